//! The audit log: who did what, in lines that cannot be forged and hold no secret.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Waker};

use jeton::admin::{Admin, ClientChange, unlock};
use jeton::app::{App, Opened};
use jeton::authenticator::Occasion;
use jeton::buffers::Buffers;
use jeton::clock::Clock;
use jeton::config::{Config, RawConfig};
use jeton::jwt::{Instants, SignQueue, TokenId};
use jeton::keys::MasterKey;
use jeton::metrics::Laps;
use jeton::oauth::{IssuerUrl, Scope, TokenRequest};
use jeton::store::Store;
use jeton::store::memory::MemoryStore;
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

/// A service in process that writes an audit log to this file, and the form of a client.
async fn service(log: &Path) -> (Arc<App>, String) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (master, now) = (|| MasterKey::from_random([7; 32]), Clock::System.now());
    let records = unlock(&*store, &master(), now).await.unwrap();
    let mut raw = RawConfig::default();
    raw.read_toml(&format!("[serve]\nworkers = 1\n[audit]\noutput = \"{}\"\n", log.display()), "test").unwrap();
    let admin = Admin::new(Arc::clone(&store), master(), now);
    let (name, scope) = (Some("test".to_owned()), Some(Scope::parse("read").unwrap()));
    let (client, new) = admin.add_client(ClientChange { name, scope, ..ClientChange::default() }).await.unwrap();
    let form = format!("{GRANT}&client_id={}&client_secret={}", client.id, new.secret.expose());
    let (config, issuer) = (Config::from_raw(&raw).unwrap(), IssuerUrl::parse("https://issuer.example").unwrap());
    let (app, _) = App::new(config, issuer, Opened { store, master: master(), records }, Clock::System).unwrap();
    (app, form)
}

#[tokio::test]
async fn a_token_is_written_down_once_it_is_signed_and_never_when_it_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let (app, form) = service(&log).await;
    let request = TokenRequest::parse(form.as_bytes(), None).unwrap();
    let trail = app.audit.trail(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (shard, queue, buffers, laps) =
        (app.metrics.shard(0), &SignQueue::default(), &Buffers::default(), &Laps::default());
    let (now, instants, client_key) = (app.clock.now(), &Instants::default(), std::cell::OnceCell::new());
    let occasion = Occasion { now, throttled: None, shard, queue, instants, buffers, laps, trail, client_key };
    let issue = |random: fn(&mut [u8])| Box::pin(app.tokens.issue(&request, random, &occasion));
    // The first asks the store for the client, the others find it in memory.
    issue(|bytes| bytes.fill(1)).await.unwrap();
    let mut given_up = issue(|bytes| bytes.fill(2));
    let polled = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it waits for its signature");
    drop(given_up);
    issue(|bytes| bytes.fill(3)).await.unwrap();
    app.audit.end();
    let names: Vec<String> = events(&log).iter().map(|event| event["jti"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, [TokenId([1; 16]), TokenId([3; 16])].map(|id| id.to_string()));
}
