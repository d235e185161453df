//! `jeton token issue | inspect`: a client's and a resource server's part, by hand.

use std::io::Write as _;
use std::process::{Output, Stdio};

use super::{objects, printed, refused, stderr, stdout};
use crate::support::{API, Client, GENEROUS, GRANT, Home, Server, claims, jeton, wait_for};

fn issue(server: &Server, client: &Client, flags: &[&str]) -> Output {
    let arguments = ["token", "issue", "--issuer", &server.url(), "--client-id", &client.id];
    let issue = || jeton().args(arguments).args(flags).env("JETON_CLIENT_SECRET", &client.secret).output().unwrap();
    wait_for("it is admitted", || Some(issue()).filter(|output| !stderr(output).contains("answered 503")))
}

fn inspect(arguments: &[&str]) -> Output {
    jeton().args(["token", "inspect"]).args(arguments).output().unwrap()
}

/// Runs a command with `text` at its standard input.
fn fed(arguments: &[&str], text: &str) -> Output {
    let mut command = jeton();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // It may stop reading before it has read all.
    let _ = process.stdin.take().unwrap().write_all(text.as_bytes());
    process.wait_with_output().unwrap()
}

#[test]
fn issue_prints_the_token_or_the_whole_answer() {
    let (server, client) = Server::usual();
    let token = printed(&issue(&server, &client, &[]));
    assert_eq!(claims(token.trim_end())["client_id"], client.id.as_str());
    assert!(token.ends_with('\n') && token.lines().count() == 1);
    let answer = objects(&issue(&server, &client, &["--scope", "read", "--resource", API, "-o", "json"])).remove(0);
    assert_eq!((&answer["scope"], &answer["token_type"]), (&"read".into(), &"Bearer".into()));
    assert_eq!(claims(answer["access_token"].as_str().unwrap())["aud"], API);
}

#[test]
fn issue_takes_the_secret_from_a_file_or_standard_input_but_no_flag() {
    let (server, client) = Server::usual();
    let (url, id) = (server.url(), client.id.as_str());
    let file = server.home.folder.path().join("secret");
    std::fs::write(&file, format!("{}\n", client.secret)).unwrap();
    let arguments = ["token", "issue", "--issuer", &url, "--client-id", id, "--client-secret-file"];
    let by = |file: &str| arguments.iter().map(ToString::to_string).chain([file.to_owned()]).collect::<Vec<_>>();
    printed(&jeton().args(by(file.to_str().unwrap())).output().unwrap());
    printed(&fed(&[&arguments[..], &["-"]].concat(), &client.secret));
    refused(&jeton().args(by("/nonexistent")).output().unwrap(), 1, "/nonexistent cannot be read: ");
    let none = jeton().args(&arguments[..6]).output().unwrap();
    refused(&none, 1, "no secret: name a file with --client-secret-file or set JETON_CLIENT_SECRET");
    let flag = jeton().args(&arguments[..6]).args(["--client-secret", &client.secret]).output().unwrap();
    assert_eq!(flag.status.code(), Some(2));
}

#[test]
fn issue_says_what_the_server_answered_and_nothing_of_the_secret() {
    let (server, client) = Server::usual();
    let wrong = Client { secret: format!("{}x", client.secret), ..client.clone() };
    let output = issue(&server, &wrong, &[]);
    refused(&output, 1, "/oauth2/token answered 401 Unauthorized: invalid_client");
    assert!(!stderr(&output).contains(&client.secret));
    refused(&issue(&server, &client, &["--scope", "admin"]), 1, "answered 400 Bad Request: invalid_scope");
    refused(&issue(&server, &client, &["--resource", "https://evil.example"]), 1, "invalid_target");
    for (issuer, sentence) in [
        ("https://auth.example.com", "https is not supported by this version"),
        ("ftp://x", "neither https nor on this machine"),
        ("x", "neither https nor on this machine"),
        ("http://auth.example.com", "neither https nor on this machine"),
        ("http://127.0.0.1:1", "127.0.0.1:1: "),
        (&format!("{}/other", server.url()), "answered 404 Not Found instead of a JSON document"),
    ] {
        let arguments = ["token", "issue", "--issuer", issuer, "--client-id", "x"];
        refused(&jeton().args(arguments).env("JETON_CLIENT_SECRET", "x").output().unwrap(), 1, sentence);
    }
}

#[test]
fn a_server_behind_a_proxy_is_asked_by_its_loopback_address() {
    let home = Home::new();
    let client = home.usual_client();
    for issuer in ["https://tokens.example.com", "https://tokens.example.com/tenant"] {
        let home = Home::at(home.database.clone());
        let server = Server::start(home, GENEROUS, |command| {
            command.args(["--issuer", issuer]);
        });
        let path = issuer.strip_prefix("https://tokens.example.com").unwrap();
        let address = format!("{}{path}/", server.url());
        let token = || {
            let arguments = ["token", "issue", "--issuer", &address, "--client-id", &client.id];
            let output = jeton().args(arguments).env("JETON_CLIENT_SECRET", &client.secret).output().unwrap();
            Some(output).filter(|output| !stderr(output).contains("answered 503"))
        };
        let token = printed(&wait_for("it is admitted", token));
        assert_eq!(claims(token.trim_end())["iss"], issuer);
        assert!(printed(&inspect(&[token.trim_end(), "--issuer", &address])).ends_with("verdict\tvalid\n"));
    }
}

#[test]
fn inspect_decodes_and_verifies_by_the_published_keys() {
    let (server, client) = Server::usual();
    let token = server.ask_patiently(&client, GRANT).access_token();
    let text = printed(&inspect(&[&token]));
    assert!(text.contains(&format!("client_id\t{}\n", client.id)) && text.contains("alg\tEdDSA\n"), "{text}");
    assert!(
        (text.contains("(in 1h)") || text.contains("(in 59m)"))
            && text.ends_with("verdict\tnot verified: name its issuer with --issuer\n"),
        "{text}"
    );
    let text = printed(&inspect(&[&token, "--issuer", &server.url()]));
    assert!(text.ends_with("verdict\tvalid\n"), "{text}");
    let piped = fed(&["token", "inspect", "--issuer", &server.url(), "-o", "json"], &format!("{token}\n"));
    let said = objects(&piped).remove(0);
    assert_eq!((&said["claims"], &said["verdict"]), (&claims(&token), &"valid".into()));
    assert_eq!(said["header"]["typ"], "at+jwt");
    assert!(printed(&inspect(&[&token, "-o", "table"])).lines().any(|line| line.starts_with("client_id  ")));
}

/// The verdict that is printed, of a token that does not pass.
fn verdict(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", stdout(output));
    let verdict = stdout(output).lines().last().unwrap().strip_prefix("verdict\t").unwrap().to_owned();
    assert_eq!(stderr(output), format!("jeton: the token is not valid: {verdict}\n"));
    verdict
}

#[test]
fn inspect_tells_a_forged_and_a_foreign_token() {
    let home = Home::new();
    let client = home.usual_client();
    let twin = Home::at(home.database.clone());
    let (server, stranger) = (home.serve(GENEROUS), Server::usual());
    let (twin, stranger, foreign) = (twin.serve(GENEROUS), stranger.0, stranger.1);
    let token = server.ask_patiently(&client, GRANT).access_token();
    let issuer = server.url();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{first}{}", &signature[1..]);
    assert_eq!(verdict(&inspect(&[&forged, "--issuer", &issuer])), "the signature does not match");
    let foreign = stranger.ask_patiently(&foreign, GRANT).access_token();
    let unknown = verdict(&inspect(&[&foreign, "--issuer", &issuer]));
    assert_eq!(unknown, "signed by a key that the issuer does not publish");
    // The same keys under another name: only `iss` tells.
    let other = twin.ask_patiently(&client, GRANT).access_token();
    assert_eq!(verdict(&inspect(&[&other, "--issuer", &issuer])), "issued by another issuer");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", token.split('.').nth(1).unwrap());
    assert!(verdict(&inspect(&[&unsigned, "--issuer", &issuer])).starts_with("not an access token"));
    assert!(printed(&inspect(&[&unsigned])).contains("alg\tnone\n"), "shown, not believed");
}

#[test]
fn inspect_tells_an_expired_token() {
    let home = Home::new();
    let client = home.add_client(&["--lifetime", "1s"]);
    let server = home.serve(GENEROUS);
    let token = server.ask_patiently(&client, GRANT).access_token();
    let expired = || Some(inspect(&[&token, "--issuer", &server.url()])).filter(|output| !output.status.success());
    let output = wait_for("it expires", expired);
    assert!(stdout(&output).contains("s ago)"), "{}", stdout(&output));
    assert_eq!(verdict(&output), "expired");
}

#[test]
fn inspect_refuses_what_is_no_token() {
    let json = "bnVsbA"; // null
    for text in
        ["", "garbage", "a.b.c", "a.b.c.d", "e30.e30", "e30.e30.e30.e30", "e30.e30.!", &format!("{json}.{json}.e30")]
    {
        refused(&fed(&["token", "inspect"], text), 1, "not a signed JWT");
    }
    refused(&fed(&["token", "inspect"], &"e30.".repeat(100_000)), 1, "not a signed JWT");
    // What a token says moves no terminal's cursor.
    let claims = "eyJhIjoiXHUwMDFiWzJKXG5leHAifQ"; // {"a":"\u001b[2J\nexp"}
    let text = printed(&inspect(&[&format!("e30.{claims}.e30")]));
    assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text:?}");
}
