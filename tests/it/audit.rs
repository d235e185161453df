//! The audit log: who did what, in lines that cannot be forged and hold no secret.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Client, GENEROUS, GRANT, Home, Server, basic, claims, segment, wait_for};

/// A home whose commands and server write one audit log.
struct Audited {
    home: Home,
    config: String,
    log: PathBuf,
}

impl Audited {
    fn new(settings: &str) -> Self {
        let home = Home::new();
        let log = home.folder.path().join("audit.log");
        let config = format!("{GENEROUS}[audit]\noutput = \"{}\"\n{settings}", log.display());
        Self { home, config, log }
    }

    /// Runs a command with the configuration of the server.
    fn run(home: &Home, config: &str, arguments: &[&str]) -> Value {
        let file = home.folder.path().join("commands.toml");
        std::fs::write(&file, config).unwrap();
        home.json(&[&["--config", file.to_str().unwrap()], arguments].concat())
    }
}

fn events(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON line: {line}"))).collect()
}

/// The events of this name, once there are so many.
fn wait_for_events(log: &Path, name: &str, count: usize) -> Vec<Value> {
    wait_for(name, || {
        let found: Vec<Value> = events(log).into_iter().filter(|event| event["event"] == name).collect();
        (found.len() >= count).then_some(found)
    })
}

#[test]
fn t217_every_token_and_every_refusal_is_written_down_with_its_names() {
    let Audited { home, config, log } = Audited::new("");
    let client = home.usual_client();
    let server = home.serve(&config);
    let token = server.ask(&client, &format!("{GRANT}&scope=read")).access_token();
    let issued = wait_for_events(&log, "token.issued", 1).remove(0);
    let (header, said) = (segment(&token, 0), claims(&token));
    for (field, value) in
        [("client", &said["sub"]), ("scope", &said["scope"]), ("jti", &said["jti"]), ("kid", &header["kid"])]
    {
        assert_eq!(&issued[field], value, "{field}");
    }
    assert_eq!((&issued["outcome"], &issued["source"]), (&"ok".into(), &"127.0.0.1".into()));
    assert_eq!(issued["time"].as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
    server.ask(&Client { secret: "wrong".to_owned(), ..client.clone() }, GRANT);
    server.ask(&client, "grant_type=password");
    let refused = wait_for_events(&log, "token.refused", 2);
    // In any order: each worker has a buffer of its own.
    let mut outcomes: Vec<&str> = refused.iter().map(|event| event["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["invalid_client", "unsupported_grant_type"]);
    assert!(refused.iter().all(|event| event["client"] == client.id.as_str()));
}

#[test]
fn t222_t223_hostile_names_and_secrets_in_the_wrong_place_are_not_written_down() {
    let Audited { home, config, log } = Audited::new("");
    let client = home.usual_client();
    let server = home.serve(&config);
    let hostile = "x\"}\n{\"event\":\"token.issued\"}\u{1b}[31m";
    for (id, secret) in [(hostile, "x"), (client.secret.as_str(), "x"), (client.id.as_str(), hostile)] {
        assert!(server.token(&[("Authorization", &basic(id, secret))], GRANT).status >= 400);
    }
    server.token(&[], &format!("{GRANT}&client_id={}&client_secret=%0a", client.secret));
    // What is no request is not written down; what is one, without the secret that was put into the wrong place.
    assert!(wait_for_events(&log, "token.refused", 1).iter().all(|event| event["client"].is_null()));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains(&client.secret) && !text.contains("token.issued") && !text.contains("[31m"), "{text}");
}

#[test]
fn what_commands_do_is_written_down_with_who_did_it() {
    let Audited { home, config, log } = Audited::new("");
    let added = Audited::run(&home, &config, &["client", "add", "billing"]);
    let id = added["client_id"].as_str().unwrap();
    let secret = Audited::run(&home, &config, &["client", "secret", "add", id]);
    for arguments in [
        &["client", "set", id, "--scope", "read"][..],
        &["client", "disable", id],
        &["client", "enable", id],
        &["client", "revoke-tokens", id],
        &["client", "secret", "remove", id, secret["secret_id"].as_str().unwrap()],
        &["client", "remove", id],
        &["key", "rotate"],
    ] {
        Audited::run(&home, &config, arguments);
    }
    let events = events(&log);
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "client.added",
            "secret.added",
            "secret.added",
            "client.changed",
            "client.disabled",
            "client.enabled",
            "client.tokens_revoked",
            "secret.removed",
            "client.removed",
            "key.published"
        ]
    );
    assert!(events.iter().all(|event| event["actor"].as_str().unwrap().starts_with("cli:")));
    assert!(events[..9].iter().all(|event| event["client"] == id));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains(added["client_secret"].as_str().unwrap()));
}

#[test]
fn a_revocation_is_written_down_with_its_token_and_who_asked() {
    let Audited { home, config, log } = Audited::new("tokens = \"none\"\n");
    let client = home.usual_client();
    let server = home.serve(&config);
    let token = server.ask(&client, GRANT).access_token();
    let post = |headers: &[(&str, &str)]| {
        let mut wire = server.wire();
        wire.post("/oauth2/revoke", headers, &format!("token={token}"));
        wire.answer().status
    };
    assert_eq!((post(&[]), post(&[("Authorization", &client.basic())])), (401, 200));
    let revoked = wait_for_events(&log, "token.revoked", 1).remove(0);
    assert_eq!((&revoked["jti"], &revoked["client"]), (&claims(&token)["jti"], &client.id.clone().into()));
    assert_eq!(revoked["actor"], format!("client:{}", client.id));
    assert_eq!(wait_for_events(&log, "caller.refused", 1)[0]["outcome"], "invalid_client");
    assert!(events(&log).iter().all(|event| event["event"] != "token.issued"), "audit.tokens = none");
}

#[test]
fn the_last_lines_are_written_before_the_process_ends() {
    let Audited { home, config, log } = Audited::new("");
    let client = home.usual_client();
    let mut server = home.serve(&config);
    for _ in 0..50 {
        server.ask(&client, GRANT).access_token();
    }
    server.signal("-TERM");
    assert!(server.wait_for_end().success());
    assert_eq!(events(&log).len(), 50);
}

/// An output that cannot take a byte more.
fn full(when_full: &str) -> (Server, Client) {
    let home = Home::new();
    let client = home.usual_client();
    let config = format!("{GENEROUS}[audit]\noutput = \"/dev/full\"\nwhen_full = \"{when_full}\"\n");
    (home.serve(&config), client)
}

#[test]
fn s15_a_full_disk_of_the_audit_log_blocks_nobody() {
    let (server, client) = full("drop");
    for _ in 0..20 {
        server.ask(&client, GRANT).access_token();
    }
    wait_for("the operator is told", || server.log_text().contains("audit log cannot be written").then_some(()));
    assert!(server.ops("/metrics").text().contains("\njeton_audit_dropped_total "));
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_start() {
    let home = Home::new();
    home.usual_client();
    let file = home.folder.path().join("bad.toml");
    std::fs::write(&file, "[audit]\noutput = \"/nowhere/audit.log\"\n").unwrap();
    let output = home.run(&["serve", "--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("audit.output cannot be written") && said.lines().count() == 1, "{said}");
    let command = home.run(&["client", "add", "x", "--config", file.to_str().unwrap()]);
    assert_eq!(command.status.code(), Some(78), "nothing is done that cannot be written down");
}
