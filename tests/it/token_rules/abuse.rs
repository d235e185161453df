//! Guessing, flooding, and what must never be written down.

use std::time::{Duration, Instant};

use super::expect;
use crate::support::{Client, GENEROUS, GRANT, Home, Server, Wire, basic, claims, count, segment, wait_for};

#[test]
fn t191_a_scope_taken_away_is_refused_within_a_second() {
    let (server, client) = Server::usual();
    let form = format!("{GRANT}&scope=write");
    assert_eq!(server.ask(&client, &form).status, 200);
    server.home.json(&["client", "set", &client.id, "--scope", "read"]);
    let changed = Instant::now();
    let refused =
        wait_for("the scope is gone", || Some(server.ask(&client, &form)).filter(|answer| answer.status == 400));
    assert!(changed.elapsed() < Duration::from_secs(1));
    expect(&refused, 400, "invalid_scope", "T-191");
}

#[test]
fn t205_an_unauthenticated_caller_learns_nothing_of_grants_and_scopes() {
    let (server, client) = Server::usual();
    let wrong = Client { secret: "wrong".to_owned(), ..client };
    for form in [
        "grant_type=password",
        "scope=read",
        "grant_type=client_credentials&scope=admin",
        "grant_type=client_credentials&resource=x",
    ] {
        expect(&server.ask(&wrong, form), 401, "invalid_client", form);
    }
    expect(&server.ask(&wrong, "grant_type=a&grant_type=b"), 400, "invalid_request", "syntax comes first");
}

#[test]
fn t090_a_guesser_is_throttled_and_the_client_goes_on_from_elsewhere() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve("[limits]\nclient_failures = 5\nsource_failures = 50\n");
    let ask = |source: &str, secret: &str| {
        let mut wire = Wire::connect_from(source, &server.address);
        wire.post("/oauth2/token", &[("Authorization", &basic(&client.id, secret))], GRANT);
        wire.answer()
    };
    let throttled = (0..20).map(|_| ask("127.0.0.2", "guess")).find(|answer| answer.status != 401).unwrap();
    expect(&throttled, 429, "slow_down", "throttled");
    assert!(throttled.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(ask("127.0.0.3", &client.secret).status, 200, "the client is not locked out");
    assert_eq!(ask("127.0.0.2", &client.secret).status, 200, "not even beside the guesser");
    assert_eq!(ask("127.0.0.2", "guess").status, 429);
    wait_for("failures are forgiven", || (ask("127.0.0.2", "guess").status == 401).then_some(()));
}

#[test]
fn t220_random_ids_leave_no_trace_in_metrics_and_memory() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(GENEROUS);
    let spray = |from: usize, to: usize| {
        let mut wire = server.wire();
        for n in from..to {
            wire.post("/oauth2/token", &[("Authorization", &basic(&format!("marker{n}"), "x"))], GRANT);
            assert_eq!(wire.answer().status, 401);
        }
    };
    let ids = count("JETON_TEST_RANDOM_IDS", 4000);
    spray(0, ids);
    let series = || server.ops("/metrics").text().lines().filter(|line| !line.starts_with('#')).count();
    let (before, memory) = (series(), server.memory());
    spray(ids, ids * 2);
    assert_eq!(series(), before);
    assert!(server.memory() < memory + 4096, "grew from {memory} to {} KiB", server.memory());
    assert!(!server.ops("/metrics").text().contains("marker") && !server.log_text().contains("marker"));
    assert_eq!(server.ask(&client, GRANT).status, 200);
}

#[test]
fn t217_t222_t223_nothing_secret_and_nothing_forged_is_ever_written() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{GENEROUS}[log]\nlevel = \"trace\"\n"));
    let token = server.ask(&client, GRANT).access_token();
    let presented = "jtn_presented_but_wrong";
    server.token(&[("Authorization", &basic(&client.id, presented))], GRANT);
    server.token(
        &[("Authorization", &basic("in\r\njected\u{1b}[31m", "x"))],
        &format!("{GRANT}&scope=%0d%0aforged%1b%E2%80%A8"),
    );
    let key = std::fs::read_to_string(server.home.folder.path().join("jeton.db.master-key")).unwrap();
    let events = |log: &str, message: &str| log.lines().filter(|line| line.contains(message)).count();
    let log = wait_for("all three requests are logged", || {
        let log = server.log_text();
        (events(&log, "request refused") == 2 && events(&log, "token issued") == 1).then_some(log)
    });
    let issued = log.lines().find(|line| line.contains("token issued")).unwrap();
    let issued: serde_json::Value = serde_json::from_str(issued).unwrap();
    let (header, said) = (segment(&token, 0), claims(&token));
    for (field, value) in
        [("client", &said["sub"]), ("scope", &said["scope"]), ("jti", &said["jti"]), ("kid", &header["kid"])]
    {
        assert_eq!(&issued[field], value, "T-217: {field}");
    }
    let pid = server.process.id();
    let seen = [
        log.clone(),
        server.ops("/metrics").text(),
        read_lossy(&format!("/proc/{pid}/cmdline")),
        read_lossy(&format!("/proc/{pid}/environ")),
    ];
    for text in &seen {
        for secret in [&client.secret, &token, presented, &client.basic(), key.trim()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(!text.contains("forged") && !text.contains("jected"));
    }
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON line: {line}");
    }
    let database = read_lossy(&server.home.database.display().to_string());
    assert!(!database.contains(&client.secret), "A secret in clear at rest");
}

fn read_lossy(path: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}
