//! `jeton client …`: what is printed, what is never printed again, and what it does to a running server.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use jeton::admin::{Admin, ClientChange};
use jeton::clock::Clock;
use jeton::config::master_key;
use jeton::store::{OpenMode, StoreUrl};

use super::{objects, printed, refused, stderr, stdout};
use crate::support::{API, Client, GRANT, Home, OTHER_API, Server, claims, jeton, wait_for};

#[test]
fn a12_add_prints_the_secret_once_and_what_is_kept_is_a_digest() {
    let home = Home::new();
    let output = home.run(&["client", "add", "billing", "--scope", "a b", "--audience", API, "-o", "json"]);
    let added = objects(&output).remove(0);
    assert!(stderr(&output).contains("cannot be shown again"));
    for (name, value) in [("name", "billing"), ("scope", "a b")] {
        assert_eq!(added[name], value);
    }
    assert_eq!(added["audience"], serde_json::json!([API]));
    assert!(added["expires_at"].is_null());
    let text = |name: &str| added[name].as_str().unwrap().to_owned();
    let (id, secret, secret_id) = (text("client_id"), text("client_secret"), text("secret_id"));
    assert!(secret.starts_with("jtn_") && secret.len() == 53 && id.starts_with("c_") && secret_id.starts_with("s_"));
    assert!(added["curl"].as_str().unwrap().starts_with(&format!("curl -u {id}:{secret} ")));
    let random = &secret[4..];
    for arguments in [
        &["client", "show", &id][..],
        &["client", "list"],
        &["client", "secret", "list", &id],
        &["client", "set", &id, "--name", "other"],
        &["client", "disable", &id],
        &["store", "check"],
        &["key", "list"],
    ] {
        for form in ["plain", "table", "json"] {
            let shown = home.run(&[arguments, &["-o", form]].concat());
            assert!(!printed(&shown).contains(random) && !stderr(&shown).contains(random), "{arguments:?} {form}");
        }
    }
    for file in std::fs::read_dir(home.folder.path()).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(file.path()).unwrap();
        let found = bytes.windows(random.len()).any(|window| window == random.as_bytes());
        assert!(!found, "in clear in {:?}", file.path());
        assert_eq!(file.metadata().unwrap().mode() & 0o077, 0, "others can read {:?}", file.path());
    }
}

#[test]
fn add_for_people_names_each_value_and_says_what_holds_without_a_flag() {
    let home = Home::new();
    let text = printed(&home.run(&["client", "add", "backend"]));
    let names: Vec<&str> = text.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["client id", "client secret", "secret id", "expires", "name", "scope", "audience", "try it"]);
    assert!(text.contains("expires\tnever\n") && text.contains("audience\tthe server's default\n"));
    let expiring = objects(&home.run(&["client", "list", "-o", "json"])).remove(0);
    let id = expiring["client_id"].as_str().unwrap();
    let table = printed(&home.run(&["client", "secret", "add", id, "--expires", "30d", "-o", "table"]));
    let line = table.lines().find(|line| line.starts_with("expires ")).unwrap();
    assert!(line.ends_with('Z'), "{line}");
}

#[test]
fn set_changes_what_is_named_and_show_says_it_all() {
    let home = Home::new();
    let client = home.add_client(&["--scope", "read write", "--audience", API, "--lifetime", "15m"]);
    let show = || home.json(&["client", "show", &client.id]);
    let before = show();
    assert_eq!((&before["lifetime"], &before["enabled"]), (&900.into(), &true.into()));
    assert_eq!(before["default_scope"], "read write");
    let after = home.json(&["client", "set", &client.id, "--default-scope", "read", "--tokens", "false"]);
    assert_eq!(after, show());
    assert_eq!((&after["default_scope"], &after["may_request_tokens"]), (&"read".into(), &false.into()));
    for kept in ["client_id", "name", "scope", "audience", "lifetime", "secrets", "created_at"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    let after = home.json(&["client", "set", &client.id, "--audience", API, "--audience", OTHER_API]);
    assert_eq!(after["audience"], serde_json::json!([API, OTHER_API]));
    assert_eq!(home.json(&["client", "set", &client.id, "--default-scope", ""])["default_scope"], "read write");
    let text = printed(&home.run(&["client", "show", &client.id]));
    for line in ["state\tenabled", "tokens\tno", "scope\tread write", "lifetime\t15m", "secrets\t1"] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}

#[test]
fn a_change_that_makes_no_sense_is_refused_with_what_is_allowed() {
    let home = Home::new();
    let client = home.add_client(&["--scope", "read"]);
    let id = client.id.as_str();
    let before = home.json(&["client", "show", id]);
    for (arguments, sentence) in [
        (&["client", "add", ""][..], "a name has 1 to 200 bytes and no control characters"),
        (&["client", "add", "a\u{1b}[31m"], "a name has 1 to 200 bytes"),
        (&["client", "add", "a\nb"], "a name has 1 to 200 bytes"),
        (&["client", "set", id, "--name", " "], "a name has 1 to 200 bytes"),
        (&["client", "set", id, "--lifetime", "48h"], "--lifetime is longer than token.max_lifetime (1d)"),
        (&["client", "set", id, "--lifetime", "0s"], "a lifetime is at least 1s"),
        (&["client", "set", id, "--default-scope", "write"], "the default scope must be part of the scope"),
        (&["client", "show", "c_none"], "no client has this id: 'jeton client list' shows all"),
        (&["client", "disable", "c_none"], "no client has this id"),
        (&["client", "remove", "c_none"], "no client has this id"),
        (&["client", "secret", "add", "c_none"], "no client has this id"),
        (&["client", "secret", "remove", id, "s_none"], "the client has no such secret"),
    ] {
        refused(&home.run(arguments), 1, sentence);
    }
    assert_eq!(home.json(&["client", "show", id]), before, "nothing was written");
    for _ in 1..16 {
        home.json(&["client", "secret", "add", id]);
    }
    refused(&home.run(&["client", "secret", "add", id]), 1, "a client has at most 16 secrets: remove one first");
}

#[test]
fn a_list_of_more_than_a_page_is_whole_and_in_order() {
    let home = Home::new();
    home.add_client(&[]);
    let mut ids = fill(&home, 1001);
    ids.extend(
        printed(&home.run(&["client", "list"])).lines().filter(|line| line.contains("\ttest\t")).map(first_column),
    );
    ids.sort();
    let listed: Vec<String> = printed(&home.run(&["client", "list"])).lines().map(first_column).collect();
    assert_eq!((listed.len(), &listed), (1002, &ids));
    let objects = objects(&home.run(&["client", "list", "-o", "json"]));
    assert!(objects.iter().map(|client| client["client_id"].as_str().unwrap()).eq(&ids));
    let table = printed(&home.run(&["client", "list", "-o", "table"]));
    assert!(table.lines().skip(1).map(|line| line.split(' ').next().unwrap()).eq(&ids));
}

fn first_column(line: &str) -> String {
    line.split('\t').next().unwrap().to_owned()
}

/// Registers many clients at once, in this process; returns their ids.
fn fill(home: &Home, count: usize) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = StoreUrl::parse(&home.url()).unwrap().open(OpenMode::MustExist).unwrap();
    let master = master_key::read(&home.folder.path().join("jeton.db.master-key")).unwrap();
    let admin = std::sync::Arc::new(Admin::new(store, master, Clock::System.now()));
    runtime.block_on(async {
        let mut ids = Vec::new();
        for _ in 0..count.div_ceil(100) {
            let mut adding = tokio::task::JoinSet::new();
            for number in ids.len()..count.min(ids.len() + 100) {
                let (admin, name) = (std::sync::Arc::clone(&admin), Some(format!("client {number}")));
                let change = ClientChange { name, ..ClientChange::default() };
                adding.spawn(async move { admin.add_client(change).await.unwrap().0.id.to_string() });
            }
            ids.extend(adding.join_all().await);
        }
        ids
    })
}

/// Runs the command, then waits until the server answers as `expected`; the promise is one second.
fn acts(server: &Server, arguments: &[&str], what: &str, expected: impl Fn() -> bool) {
    assert!(server.home.run(arguments).status.success(), "{what}");
    let acknowledged = Instant::now();
    wait_for(what, || expected().then_some(()));
    assert!(acknowledged.elapsed() < Duration::from_secs(4), "{what} took {:?}", acknowledged.elapsed());
}

#[test]
fn a15_a_change_by_a_command_acts_on_a_running_server_within_a_second() {
    let (server, client) = Server::usual();
    let id = client.id.as_str();
    let status = |client: &Client| server.ask_patiently(client, GRANT).status;
    assert_eq!(status(&client), 200);
    acts(&server, &["client", "disable", id], "disabled", || status(&client) == 401);
    acts(&server, &["client", "disable", id], "disabled twice is disabled", || status(&client) == 401);
    acts(&server, &["client", "enable", id], "enabled", || status(&client) == 200);
    acts(&server, &["client", "enable", id], "enabled twice is enabled", || status(&client) == 200);
    acts(&server, &["client", "set", id, "--scope", "read"], "another scope", || {
        server.ask_patiently(&client, GRANT).json()["scope"] == "read"
    });
    acts(&server, &["client", "set", id, "--lifetime", "5m"], "another lifetime", || {
        server.ask_patiently(&client, GRANT).json()["expires_in"] == 300
    });
    acts(&server, &["client", "set", id, "--audience", API], "another audience", || {
        claims(&server.ask_patiently(&client, GRANT).access_token())["aud"] == API
    });
    acts(&server, &["client", "set", id, "--tokens", "false"], "no tokens", || {
        server.ask_patiently(&client, GRANT).error() == "unauthorized_client"
    });
    acts(&server, &["client", "set", id, "--tokens", "true"], "tokens again", || status(&client) == 200);
    let added = server.home.json(&["client", "secret", "add", id]);
    let text = |name: &str| added[name].as_str().unwrap().to_owned();
    let second = Client { id: text("client_id"), secret: text("client_secret"), secret_id: text("secret_id") };
    wait_for("a new secret works at once", || (status(&second) == 200).then_some(()));
    assert_eq!(status(&client), 200, "and the old one goes on");
    let remove = ["client", "secret", "remove", id, &client.secret_id];
    acts(&server, &remove, "the old secret is gone", || status(&client) == 401);
    assert_eq!(status(&second), 200);
    acts(&server, &["client", "remove", id], "removed", || status(&second) == 401);
    let newcomer = server.home.usual_client();
    assert_eq!(status(&newcomer), 200, "a client registered meanwhile needs no waiting");
}

#[test]
fn the_curl_line_of_add_works_against_the_server_that_it_names() {
    crate::support::need("curl");
    let (server, _client) = Server::usual();
    let output = jeton()
        .env("JETON_ISSUER", server.url())
        .args(["--store", &server.home.url(), "client", "add", "x", "--scope", "read", "-o", "json"])
        .output()
        .unwrap();
    let curl = objects(&output).remove(0)["curl"].as_str().unwrap().to_owned();
    let answer = std::process::Command::new("sh").args(["-c", &format!("{curl} -s")]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_str(&stdout(&answer)).unwrap();
    assert_eq!(answer["scope"], "read");
    assert_eq!(claims(answer["access_token"].as_str().unwrap())["iss"], server.url());
}
