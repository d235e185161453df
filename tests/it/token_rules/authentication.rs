//! Who asks: Basic and the body, right, wrong and ambiguous.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::expect;
use crate::support::{Client, GENEROUS, GRANT, Home, Server, basic, wait_for};

/// Headers that never authenticate; none of them is a 200, a 5xx or anything but these two answers.
#[test]
fn t061_to_t066_t072_t079_t080_t086_t087_malformed_and_wrong_credentials_are_refused() {
    let (server, client) = Server::usual();
    let encode = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let Client { id, secret, .. } = &client;
    let wrong = [
        ("T-063 bad percent", encode(&format!("{id}:%zz"))),
        ("T-064 not base64", "Basic !!!".to_owned()),
        ("T-064 url-safe", "Basic YTo_Pz8_".to_owned()),
        ("T-064 padding", "Basic YTpi=".to_owned()),
        ("T-065 no colon", encode(id)),
        ("T-065 empty id", encode(&format!(":{secret}"))),
        ("T-065 nothing", "Basic".to_owned()),
        ("T-066 empty secret", encode(&format!("{id}:"))),
        ("T-067 wrong secret", encode(&format!("{id}:wrong"))),
        ("T-072 truncated", encode(&format!("{id}:{}", &secret[..secret.len() - 1]))),
        ("T-072 extended", encode(&format!("{id}:{secret}a"))),
        ("T-072 case", encode(&format!("{id}:{}", secret.to_uppercase()))),
        ("T-072 space", encode(&format!("{id}:{secret} "))),
        ("T-072 NUL", encode(&format!("{id}:{secret}\0"))),
        ("T-079 Bearer", "Bearer abc".to_owned()),
        ("T-079 Negotiate", "Negotiate abc".to_owned()),
        ("T-079 Digest", "Digest username=a".to_owned()),
        ("T-079 empty", String::new()),
        ("T-080 obs-text", "Basic \u{e9}\u{e9}".to_owned()),
        ("T-080 8 KiB", format!("Basic {}", "A".repeat(8192))),
        ("T-086 case", encode(&format!("{}:{secret}", id.to_uppercase()))),
        ("T-086 trailing space", encode(&format!("{id} :{secret}"))),
        ("T-086 Unicode", encode(&format!("{}:{secret}", id.replacen('c', "с", 1)))),
        ("T-087 long id", encode(&format!("{}:{secret}", "a".repeat(129)))),
        ("T-087 control", encode(&format!("a\u{7f}:{secret}"))),
    ];
    for (rule, header) in &wrong {
        expect(&server.token(&[("Authorization", header)], GRANT), 401, "invalid_client", rule);
    }
    for header in [client.basic().replacen("Basic", "bAsIc", 1), client.basic().replacen("Basic ", "Basic    ", 1)] {
        assert_eq!(server.token(&[("Authorization", &header)], GRANT).status, 200, "T-061 {header}");
    }
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let escaped = encode(&format!("{}:{}", escape(id), escape(secret)));
    assert_eq!(server.token(&[("Authorization", &escaped)], GRANT).status, 200, "T-062 fully escaped");
}

#[test]
fn t074_two_authorization_headers_are_refused_in_either_order() {
    let (server, client) = Server::usual();
    let (good, bad) = (client.basic(), basic(&client.id, "wrong"));
    for pair in [[&good, &bad], [&bad, &good], [&good, &good]] {
        let headers = [("Authorization", pair[0].as_str()), ("Authorization", pair[1].as_str())];
        expect(&server.token(&headers, GRANT), 400, "invalid_request", "two headers");
    }
    let joined = format!("{good}, {bad}");
    expect(&server.token(&[("Authorization", &joined)], GRANT), 401, "invalid_client", "joined");
}

#[test]
fn t075_t081_t082_t083_t085_t101_the_body_authenticates_as_basic_does() {
    let (server, client) = Server::usual();
    let Client { id, secret, .. } = &client;
    assert_eq!(server.ask(&client, &format!("{GRANT}&client_id={id}")).status, 200, "T-075");
    assert_eq!(server.token(&[], &format!("{GRANT}&client_id={id}&client_secret={secret}")).status, 200, "T-081");
    let assertion = "client_assertion=x&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for (rule, form, status, error) in [
        ("T-081 wrong secret", format!("{GRANT}&client_id={id}&client_secret=x"), 401, "invalid_client"),
        ("T-066 empty secret", format!("{GRANT}&client_id={id}&client_secret="), 401, "invalid_client"),
        ("T-082 id alone", format!("{GRANT}&client_id={id}"), 401, "invalid_client"),
        ("T-083 nothing", GRANT.to_owned(), 401, "invalid_client"),
        ("T-035 empty body", String::new(), 401, "invalid_client"),
        ("T-102 no assertion", format!("{GRANT}&{assertion}"), 401, "invalid_client"),
        ("T-101 half an assertion", format!("{GRANT}&client_assertion=x"), 400, "invalid_request"),
        (
            "T-078 secret and assertion",
            format!("{GRANT}&client_id={id}&client_secret={secret}&{assertion}"),
            400,
            "invalid_request",
        ),
        (
            "T-041 repeated secret",
            format!("{GRANT}&client_id={id}&client_secret={secret}&client_secret={secret}"),
            400,
            "invalid_request",
        ),
    ] {
        expect(&server.token(&[], &form), status, error, rule);
    }
}

#[test]
fn t067_t068_t217_unknown_disabled_removed_and_wrong_are_one_answer() {
    let (server, client) = Server::usual();
    let [disabled, removed] = [server.home.usual_client(), server.home.usual_client()];
    assert_eq!(server.ask(&disabled, GRANT).status, 200);
    assert_eq!(server.ask(&removed, GRANT).status, 200);
    server.home.json(&["client", "disable", &disabled.id]);
    server.home.json(&["client", "remove", &removed.id]);
    let changed = Instant::now();
    for client in [&disabled, &removed] {
        wait_for("the change acts", || (server.ask(client, GRANT).status == 401).then_some(()));
    }
    assert!(changed.elapsed() < Duration::from_secs(1), "T-217: acts within a second, took {:?}", changed.elapsed());
    let unknown = Client { id: "c_AAAAAAAAAAAAAAAAAAAAAA".to_owned(), ..client.clone() };
    let wrong = Client { secret: format!("{}x", client.secret), ..client.clone() };
    let mut answers: Vec<String> = [&disabled, &removed, &unknown, &wrong]
        .into_iter()
        .map(|client| {
            let answer = server.ask(client, GRANT);
            let head: Vec<&str> = answer.head.lines().filter(|line| !line.starts_with("date:")).collect();
            format!("{}\n{}", head.join("\n"), answer.text())
        })
        .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    server.home.json(&["client", "enable", &disabled.id]);
    assert_eq!(server.ask(&disabled, GRANT).status, 200, "an enabled client works at once");
}

#[test]
fn t069_an_unknown_client_and_a_wrong_secret_take_the_same_way() {
    let (server, client) = Server::usual();
    assert_eq!(server.ask(&client, GRANT).status, 200);
    let find = "jeton_store_operation_duration_seconds_count{backend=\"sqlite\",operation=\"find_client\"}";
    let reads = |client: &Client| {
        let before = server.metric(find);
        for _ in 0..10 {
            assert_eq!(server.ask(client, GRANT).status, 401);
        }
        server.metric(find) - before
    };
    let unknown = Client { id: "c_AAAAAAAAAAAAAAAAAAAAAA".to_owned(), ..client.clone() };
    let wrong = Client { secret: "wrong".to_owned(), ..client.clone() };
    assert_eq!((reads(&unknown), reads(&wrong)), (10.0, 10.0), "each refusal is confirmed by one read of the store");
}

#[test]
fn t070_t071_secrets_rotate_without_a_gap_and_expire() {
    let (server, client) = Server::usual();
    let added = server.home.json(&["client", "secret", "add", &client.id]);
    let new = Client { secret: added["client_secret"].as_str().unwrap().to_owned(), ..client.clone() };
    assert_eq!((server.ask(&client, GRANT).status, server.ask(&new, GRANT).status), (200, 200), "T-071 overlap");
    server.home.json(&["client", "secret", "remove", &client.id, &client.secret_id]);
    wait_for("the old secret is refused", || (server.ask(&client, GRANT).status == 401).then_some(()));
    assert_eq!(server.ask(&new, GRANT).status, 200);
    let added = server.home.json(&["client", "secret", "add", &client.id, "--expires", "1s"]);
    let brief = Client { secret: added["client_secret"].as_str().unwrap().to_owned(), ..client };
    wait_for("T-070 the brief secret expires", || (server.ask(&brief, GRANT).status == 401).then_some(()));
}

#[test]
fn t084_t183_a_client_without_the_grant_authenticates_but_gets_nothing() {
    let home = Home::new();
    let client = home.add_client(&["--scope", "read", "--tokens", "false"]);
    let server = home.serve(GENEROUS);
    expect(&server.ask(&client, GRANT), 400, "unauthorized_client", "T-183");
    let none = Client { secret: String::new(), ..client };
    expect(&server.ask(&none, GRANT), 401, "invalid_client", "T-084 no public clients");
}
