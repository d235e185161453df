//! `jeton client secret …`: which secrets are in use, and whether a text is one of ours.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton::clock::UnixTime;
use jeton::oauth::Secret;
use serde_json::{Value, json};

use super::{objects, printed, refused, stderr, stdout};
use crate::support::faults::faketime_library;
use crate::support::{Client, GENEROUS, GRANT, Home, jeton, need, wait_for};

const IN_USE: &str = "keep";
const UNUSED: &str = "unused for 30 days or more: safe to remove";
const EXPIRED: &str = "expired: safe to remove";

/// Today and yesterday, since a test may run across midnight.
fn today() -> [String; 2] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    [now, now.checked_sub(Duration::from_hours(24)).unwrap()]
        .map(|at| UnixTime::from_seconds(at.as_secs()).day().to_string())
}

fn secrets(home: &Home, client: &Client) -> Vec<Value> {
    objects(&home.run(&["client", "secret", "list", &client.id, "-o", "json"]))
}

fn is_marked(secret: &Value) -> bool {
    secret["last_used"].as_str().is_some_and(|day| today().iter().any(|recent| recent == day))
}

/// A command as it was run this long ago.
fn run_before(home: &Home, days: u32, arguments: &[&str]) -> Output {
    need("faketime");
    let mut command = Command::new(env!("CARGO_BIN_EXE_jeton"));
    command.env("LD_PRELOAD", faketime_library()).env("FAKETIME", format!("-{days}d"));
    command.args(["--store", &home.url()]).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_secret_that_is_used_says_so_and_its_client_stays_as_it_was() {
    let home = Home::new();
    let client = home.usual_client();
    let spare = home.json(&["client", "secret", "add", &client.id]);
    let before = home.json(&["client", "show", &client.id]);
    let server = home.serve(GENEROUS);
    let home = &server.home;
    let fresh = secrets(home, &client);
    assert!(fresh.iter().all(|secret| secret["last_used"].is_null() && secret["safe_to_remove"] == false), "{fresh:?}");
    let wrong = Client { secret: "wrong".to_owned(), ..client.clone() };
    assert_eq!(server.ask(&wrong, GRANT).status, 401);
    assert_eq!(server.ask(&client, GRANT).status, 200);
    wait_for("the use is written down", || is_marked(&secrets(home, &client)[0]).then_some(()));
    let used = secrets(home, &client);
    assert_eq!(used[0]["secret_id"], client.secret_id);
    assert_eq!(
        (&used[1]["secret_id"], &used[1]["last_used"]),
        (&spare["secret_id"], &Value::Null),
        "only the one that was used"
    );
    assert_eq!(home.json(&["client", "show", &client.id]), before, "its revision, too");
    for _ in 0..20 {
        assert_eq!(server.ask(&client, GRANT).status, 200);
    }
    let writes =
        server.metric(r#"jeton_store_operation_duration_seconds_count{backend="sqlite",operation="put_secret_uses"}"#);
    // Until a client is in memory each worker may have had a first use of its own.
    assert!((1.0..=3.0).contains(&writes), "one first use a day, not {writes}");
}

#[test]
fn a_secret_that_was_used_by_introspection_counts_as_used() {
    let home = Home::new();
    let api = home.add_client(&["--tokens", "false"]);
    let server = home.serve(GENEROUS);
    let mut wire = server.wire();
    wire.post("/oauth2/introspect", &[("Authorization", &api.basic())], "token=x");
    assert_eq!(wire.answer().status, 200);
    wait_for("the use is written down", || is_marked(&secrets(&server.home, &api)[0]).then_some(()));
}

#[test]
fn the_list_says_which_secrets_are_safe_to_remove() {
    let home = Home::new();
    let added = run_before(&home, 40, &["client", "add", "old", "-o", "json"]);
    let added = objects(&added).remove(0);
    let text = |name: &str| added[name].as_str().unwrap().to_owned();
    let client = Client { id: text("client_id"), secret: text("client_secret"), secret_id: text("secret_id") };
    for (days, expires) in [(40, "10d"), (40, "90d"), (20, "90d")] {
        printed(&run_before(&home, days, &["client", "secret", "add", &client.id, "--expires", expires]));
    }
    let verdicts = |home: &Home| -> Vec<bool> {
        secrets(home, &client).iter().map(|secret| secret["safe_to_remove"].as_bool().unwrap()).collect()
    };
    assert_eq!(verdicts(&home), [true, true, true, false]);
    let states = |home: &Home| -> Vec<String> {
        let text = printed(&home.run(&["client", "secret", "list", &client.id]));
        text.lines().map(|line| line.split('\t').nth(4).unwrap().to_owned()).collect()
    };
    assert_eq!(states(&home), [UNUSED, EXPIRED, UNUSED, IN_USE]);
    let table = printed(&home.run(&["client", "secret", "list", &client.id, "-o", "table"]));
    let head: Vec<&str> = table.lines().next().unwrap().split("  ").filter(|title| !title.is_empty()).collect();
    assert_eq!(
        head.iter().map(|title| title.trim()).collect::<Vec<_>>(),
        ["SECRET ID", "MADE", "EXPIRES", "LAST USED", "STATE"]
    );
    let server = home.serve(GENEROUS);
    // The signing key is as old as the client, so it signs.
    assert_eq!(server.ask(&client, GRANT).status, 200);
    wait_for("the first is in use", || (verdicts(&server.home) == [false, true, true, false]).then_some(()));
    let expired = secrets(&server.home, &client)[1]["secret_id"].as_str().unwrap().to_owned();
    let left = printed(&server.home.run(&["client", "secret", "remove", &client.id, &expired]));
    assert_eq!(left.lines().filter_map(|line| line.split('\t').nth(4)).collect::<Vec<_>>(), [IN_USE, UNUSED, IN_USE]);
}

/// Runs `client secret check` with this on its standard input, where nothing else is there to help: no store, no
/// configuration, no environment.
fn check(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = jeton();
    command.args(["--store", "sqlite:/nonexistent/a.db", "client", "secret", "check"]).args(arguments);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read its input is judged by what it says.
    let _ = process.stdin.take().unwrap().write_all(input);
    process.wait_with_output().unwrap()
}

#[test]
fn check_knows_a_secret_of_ours_wherever_it_is_read_from_and_never_prints_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = Secret::from_random([7; 32]).expose().to_owned();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let file = file.to_str().unwrap();
    for (arguments, input) in [
        (&[][..], format!("{secret}\n")),
        (&["-"], format!("  {secret}\r\n")),
        (&["--file", file], String::new()),
        (&[&secret], String::new()),
    ] {
        let output = check(arguments, input.as_bytes());
        assert_eq!(printed(&output), "a jeton client secret\n", "{arguments:?}");
        assert!(!stderr(&output).contains(&secret[4..]), "{arguments:?}");
        let warned = stderr(&output).contains("seen by everybody on the machine");
        assert_eq!(warned, arguments == [&secret], "{arguments:?}: {}", stderr(&output));
        let output = check(&[arguments, &["-o", "json"]].concat(), input.as_bytes());
        assert_eq!(objects(&output), [json!({"client_secret": true})]);
    }
    assert!(
        printed(&jeton().args(["client", "secret", "check", "--help"]).output().unwrap()).contains("standard input")
    );
}

#[test]
fn check_says_what_is_wrong_with_any_other_text_and_does_not_repeat_it() {
    let secret = Secret::from_random([7; 32]).expose().to_owned();
    let long = "x".repeat(100_000);
    let too_long = format!("{secret}{}{secret}", "a".repeat(9_000));
    for (text, reason) in [
        ("", "it does not begin with jtn_"),
        ("hunter2-hunter2", "it does not begin with jtn_"),
        (long.as_str(), "it does not begin with jtn_"),
        (&secret.to_uppercase(), "it does not begin with jtn_"),
        (&secret[..52], "it has 52 characters instead of 53"),
        (&too_long, "characters instead of 53"),
        (&format!("{secret} {secret}"), "it has 107 characters instead of 53"),
        (&secret.replacen("Bw", "wB", 1), "its checksum is wrong"),
    ] {
        let output = check(&[], text.as_bytes());
        refused(&output, 1, "not a secret of jeton: it");
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        assert!(text.len() < 10 || !stderr(&output).contains(&text[4..10]), "{}", stderr(&output));
    }
    let bytes = check(&[], b"jtn_\xff\xfe");
    refused(&bytes, 1, "not a secret of jeton");
    let missing = check(&["--file", "/nonexistent/secret"], b"");
    refused(&missing, 1, "/nonexistent/secret cannot be read");
    let both = check(&["a", "--file", "b"], b"");
    assert_eq!((both.status.code(), stdout(&both).as_str()), (Some(2), ""));
}
