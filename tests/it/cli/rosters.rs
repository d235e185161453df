//! `jeton client export | import | apply`: clients in a file, on every store, beside running servers.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use jeton::oauth::Algorithm;
use serde_json::{Value, json};

use super::{objects, printed, refused, stderr, stdout};
use crate::support::documents::blocks;
use crate::support::nursery::file;
use crate::support::redis::Redis;
use crate::support::signer::Signer;
use crate::support::{API, Client, GENEROUS, GRANT, Home, Server, claims, project, wait_for};

/// An id that jeton could have made.
fn id(number: usize) -> String {
    format!("c_{number:022}")
}

/// Runs a command on a file with these lines.
fn run(home: &Home, command: &str, lines: &[Value], flags: &[&str]) -> Output {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    run_text(home, command, &text, flags)
}

fn run_text(home: &Home, command: &str, text: &str, flags: &[&str]) -> Output {
    let path = file(&home.folder, "clients.jsonl", text);
    home.run(&[&["client", command, path.to_str().unwrap()], flags].concat())
}

fn line(number: usize, name: &str) -> Value {
    json!({"version": 1, "client_id": id(number), "name": name, "scope": "read"})
}

fn exported(home: &Home) -> Vec<Value> {
    objects(&home.run(&["client", "export"]))
}

/// A client that a command has registered.
fn client(row: &Value) -> Client {
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    Client { id: text("client_id"), secret: text("client_secret"), secret_id: text("secret_id") }
}

#[test]
fn what_is_exported_is_whole_without_a_secret_and_imported_the_same_elsewhere() {
    let home = Home::new();
    let usual = home.usual_client();
    home.json(&["client", "set", &usual.id, "--default-scope", "read", "--lifetime", "15m", "--serves", API]);
    home.json(&["client", "set", &usual.id, "--format", "opaque", "--assertion-audience", "endpoint"]);
    home.json(&["client", "revoke-tokens", &usual.id]);
    home.json(&["client", "disable", &usual.id]);
    let keys: Vec<Signer> =
        [Algorithm::EdDsa, Algorithm::Rs256].into_iter().map(|alg| Signer::register(&home, alg)).collect();
    let text = printed(&home.run(&["client", "export"]));
    assert!(!text.contains("secret") && !text.contains("digest") && !text.contains("jtn_"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_usual = lines.iter().find(|line| line["client_id"] == usual.id.as_str()).unwrap();
    let shown = home.json(&["client", "show", &usual.id]);
    for (name, value) in of_usual.as_object().unwrap().iter().filter(|(name, _)| *name != "version") {
        assert_eq!(*value, shown[name], "{name}");
    }
    let other = Home::new();
    let imported = run_text(&other, "import", &text, &["-o", "json"]);
    let rows = objects(&imported);
    assert_eq!(exported(&other), lines);
    // A client that has keys needs no secret; the other one has none that anybody knew, and gets one.
    let of = |id: &str| rows.iter().find(|row| row["client_id"] == id).unwrap();
    assert!(keys.iter().all(|signer| of(&signer.id)["client_secret"].is_null()));
    let new = client(of(&usual.id));
    assert_ne!(new.secret, usual.secret);
    assert_eq!(stdout(&imported).matches(&new.secret).count(), 2, "once, and once in its curl line");
    assert!(stderr(&imported).contains("cannot be shown again"));
    other.json(&["client", "enable", &new.id]);
    let server = other.serve(GENEROUS);
    assert_eq!(server.ask_patiently(&new, GRANT).status, 200);
    assert_eq!(server.ask_patiently(&usual, GRANT).status, 401);
    assert_eq!(keys[0].ask(&server).status, 200);
}

#[test]
fn digests_let_the_same_secrets_in_where_the_master_key_is_the_same_and_are_refused_elsewhere() {
    let home = Home::new();
    let usual = home.usual_client();
    let output = home.run(&["client", "export", "--with-digests"]);
    let text = printed(&output);
    assert!(text.contains("\"digest\"") && !text.contains(&usual.secret[4..]), "{text}");
    assert!(stderr(&output).contains("only where the store has the same master key"));
    refused(&run_text(&Home::new(), "import", &text, &[]), 1, "line 1: its digests were made under another master key");
    refused(&run_text(&home, "apply", &text, &[]), 1, "line 1: secrets are for 'jeton client import'");
    let key = home.folder.path().join("jeton.db.master-key");
    let other = Home::new();
    let config = format!("master_key_file = \"{}\"\n{GENEROUS}", key.display());
    let config_file = file(&other.folder, "import.toml", &config);
    let imported = run_text(&other, "import", &text, &["--config", config_file.to_str().unwrap(), "-o", "json"]);
    assert!(objects(&imported)[0]["client_secret"].is_null());
    let server = other.serve(&config);
    assert_eq!(server.ask_patiently(&usual, GRANT).status, 200);
}

#[test]
fn a_file_that_is_wrong_anywhere_writes_nothing_at_all() {
    let home = Home::new();
    let good = line(1, "good");
    let with = |name: &str, value: Value| {
        let mut line = line(2, "bad");
        line[name] = value;
        line
    };
    let oct = json!([{"jwk": {"kty": "oct", "k": "AAAA"}}]);
    for command in ["import", "apply"] {
        for (bad, complaint) in [
            (with("version", json!(2)), "version 2 is not known"),
            (with("colour", json!("red")), "unknown field `colour`"),
            (with("lifetime", json!(90_000)), "lifetime is longer than token.max_lifetime (1d)"),
            (with("lifetime", json!(0)), "a lifetime is at least 1s"),
            (with("default_scope", json!("write")), "the default scope must be part of the scope"),
            (with("scope", json!("a\"b")), "line 2: "),
            (with("name", json!("a\nb")), "a name has 1 to 200 bytes"),
            (with("keys", oct.clone()), "private or secret key"),
            (with("created_at", json!(99_999_999_999_u64)), "created_at is in the future"),
            (with("tokens_revoked_at", json!(99_999_999_999_u64)), "tokens_revoked_at is in the future"),
            (with("client_id", json!("billing")), "client_id must be one that jeton made"),
            (with("client_id", json!(id(1))), "this client_id stands on line 1 already"),
        ] {
            let output = run(&home, command, &[good.clone(), bad.clone()], &[]);
            refused(&output, 1, complaint);
            assert!(stderr(&output).contains("line 2: "), "{bad}: {}", stderr(&output));
        }
        let twice = format!("{good}\n{{\"version\":1,\"name\":\"a\",\"name\":\"b\"}}\n");
        refused(&run_text(&home, command, &twice, &[]), 1, "line 2: duplicate field `name`");
        refused(&home.run(&["client", command, "/nowhere"]), 1, "/nowhere cannot be read");
    }
    assert!(!home.database.exists(), "not even a store was made");
    let nameless = json!({"version": 1, "name": "new"});
    refused(&run(&home, "apply", &[nameless], &[]), 1, "line 1: client_id is missing");
    refused(&run(&home, "apply", &[], &["--prune"]), 1, "--prune would remove all");
}

#[test]
fn import_refuses_a_client_that_is_there_and_takes_standard_input() {
    let home = Home::new();
    let mut importing = home.command();
    let importing = importing.args(["client", "import", "-", "-o", "json"]).stdin(Stdio::piped());
    let mut importing = importing.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let text = format!("{}\n\n{}\n", line(1, "one"), json!({"version": 1, "name": "without an id"}));
    importing.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let rows = objects(&importing.wait_with_output().unwrap());
    assert_eq!(rows[0]["client_id"], id(1));
    assert!(rows[1]["client_id"].as_str().unwrap().starts_with("c_"));
    let before = exported(&home);
    refused(&run(&home, "import", &[line(2, "two"), line(1, "again")], &[]), 1, "line 2: c_0000000000000000000001 is");
    assert_eq!(exported(&home), before, "nothing was written");
}

#[test]
fn many_clients_are_imported_whole_each_with_a_secret_of_its_own() {
    let home = Home::new();
    let lines: Vec<Value> = (0..600).map(|number| line(number, &format!("client {number}"))).collect();
    let rows = objects(&run(&home, "import", &lines, &["-o", "json"]));
    assert!(rows.iter().map(|row| row["client_id"].as_str().unwrap()).eq((0..600).map(id)), "in the file's order");
    let secrets: std::collections::HashSet<&str> =
        rows.iter().map(|row| row["client_secret"].as_str().unwrap()).collect();
    assert_eq!((secrets.len(), exported(&home).len()), (600, 600));
    assert_eq!(printed(&run(&home, "apply", &lines, &[])), "nothing to do: 600 clients are as the file has them\n");
    let last = client(&rows[599]);
    assert_eq!(home.serve(GENEROUS).ask_patiently(&last, GRANT).status, 200);
}

#[test]
fn apply_says_what_it_does_does_it_and_has_nothing_to_do_the_second_time() {
    let home = Home::new();
    let keeper = home.add_client(&["--scope", "read"]);
    let log = home.folder.path().join("audit.log");
    let config = format!("{GENEROUS}[audit]\noutput = \"{}\"\n", log.display());
    let config_file = file(&home.folder, "audit.toml", &config).display().to_string();
    objects(&run(&home, "import", &[line(1, "one"), line(2, "two")], &["-o", "json"]));
    let mut changed = line(1, "first");
    (changed["lifetime"], changed["audience"], changed["enabled"]) = (json!(300), json!([API]), json!(false));
    let wanted = [changed, line(2, "two"), line(3, "three")];
    let before = exported(&home);
    let dry = run(&home, "apply", &wanted, &["--dry-run"]);
    let plan = printed(&dry);
    let expected = [
        format!("+\t{}\tthree\tnew, with a secret", id(3)),
        format!(
            "~\t{}\tfirst\taudience: none -> {API}; enabled: true -> false; lifetime: none -> 300; name: one -> first",
            id(1)
        ),
        "would be created 1, changed 1, removed 0; unchanged 1".to_owned(),
    ];
    assert_eq!(plan.lines().collect::<Vec<_>>(), expected);
    assert!(stderr(&dry).contains("1 clients are only in the store and stay: --prune removes them"));
    assert_eq!(exported(&home), before, "a dry run writes nothing");
    let done = run(&home, "apply", &wanted, &["-o", "json", "--config", &config_file]);
    let rows = objects(&done);
    let made = rows.iter().find(|row| row["client_secret"].is_string()).unwrap();
    assert_eq!(made["client_id"], id(3));
    let summary =
        json!({"created": 1, "changed": 1, "removed": 0, "unchanged": 1, "only_in_store": 1, "dry_run": false});
    assert_eq!(rows.last().unwrap()["summary"], summary);
    assert_eq!(rows[1]["differences"]["lifetime"], json!({"from": null, "to": 300}));
    let again = run(&home, "apply", &wanted, &["--config", &config_file]);
    assert_eq!(printed(&again), "nothing to do: 3 clients are as the file has them\n");
    let pruned = printed(&run(&home, "apply", &wanted, &["--prune", "--config", &config_file]));
    assert!(pruned.starts_with(&format!("-\t{}\ttest\tremoved for good\n", keeper.id)), "{pruned}");
    assert_eq!(exported(&home).len(), 3);
    let events = events(&log);
    let of = |number: usize| -> Vec<&str> {
        events.iter().filter(|(_, client)| *client == id(number)).map(|(kind, _)| kind.as_str()).collect()
    };
    assert_eq!(of(3), ["client.added", "secret.added"]);
    assert_eq!(of(1), ["client.changed", "client.disabled"]);
    assert!(of(2).is_empty());
    assert!(events.contains(&("client.removed".to_owned(), keeper.id)), "{events:?}");
    assert!(!std::fs::read_to_string(&log).unwrap().contains("jtn_"));
}

/// What the audit log says, and of whom.
fn events(log: &PathBuf) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |line: &Value, name: &str| line[name].as_str().map(ToOwned::to_owned);
    lines.filter_map(|line| Some((text(&line, "event")?, text(&line, "client")?))).collect()
}

#[test]
fn what_a_file_does_not_say_lets_nobody_in_again_and_locks_nobody_out() {
    let home = Home::new();
    let signer = Signer::register(&home, Algorithm::EdDsa);
    let usual = home.add_client(&["--scope", "read"]);
    for id in [&usual.id, &signer.id] {
        home.json(&["client", "disable", id]);
        home.json(&["client", "revoke-tokens", id]);
    }
    let least = |id: &str| json!({"version": 1, "client_id": id, "name": "renamed", "tokens_revoked_at": 1});
    printed(&run(&home, "apply", &[least(&usual.id), least(&signer.id)], &[]));
    for line in exported(&home) {
        assert_eq!((&line["name"], &line["enabled"]), (&json!("renamed"), &json!(false)));
        assert!(line["tokens_revoked_at"].as_u64().unwrap() > 1, "what was cut off stays so");
    }
    let keys = |line: &Value| line["keys"].as_array().unwrap().len();
    assert_eq!(exported(&home).iter().map(keys).sum::<usize>(), 1);
    assert_eq!(home.json(&["client", "show", &usual.id])["secrets"].as_array().unwrap().len(), 1);
    let mut without = least(&signer.id);
    (without["keys"], without["enabled"]) = (json!([]), json!(true));
    let said = printed(&run(&home, "apply", &[without], &[]));
    assert!(said.contains("enabled: false -> true; keys: ") && said.contains(" -> none"), "{said}");
    assert_eq!(exported(&home).iter().map(keys).sum::<usize>(), 0);
}

#[test]
fn a_running_server_acts_on_an_applied_file() {
    let (server, usual) = Server::usual();
    let home = &server.home;
    let mut lines = exported(home);
    lines[0]["scope"] = json!("read");
    printed(&run(home, "apply", &lines, &[]));
    wait_for("the scope is narrower", || (server.ask_patiently(&usual, GRANT).json()["scope"] == "read").then_some(()));
    let added = run(home, "import", &[json!({"version": 1, "name": "new", "alg": "ES256"})], &["-o", "json"]);
    assert!(stderr(&added).contains("The first ES256 key signs from"), "verifiers have to learn of it first");
    let new = client(&objects(&added)[0]);
    assert_eq!(home.json(&["client", "show", &new.id])["alg"], "ES256");
    let rows = objects(&run(home, "apply", &[lines[0].clone(), line(7, "seven")], &["--prune", "-o", "json"]));
    let seven = client(rows.iter().find(|row| row["client_secret"].is_string()).unwrap());
    assert_eq!(claims(&server.ask_patiently(&seven, GRANT).access_token())["sub"], id(7));
    wait_for("what was pruned is gone", || (server.ask(&new, GRANT).status == 401).then_some(()));
}

#[test]
fn clients_go_from_a_file_to_redis_and_back_in_the_same_form() {
    let redis = Redis::start();
    let (home, far) = (Home::new(), Home::on(&redis.url()));
    home.usual_client();
    Signer::register(&home, Algorithm::Es256);
    let lines = exported(&home);
    assert_eq!(objects(&run(&far, "import", &lines, &["-o", "json"])).len(), 2);
    assert_eq!(exported(&far), lines);
    let extra = far.add_client(&[]);
    let rows = objects(&run(&far, "apply", &lines, &["--prune", "-o", "json"]));
    assert_eq!((&rows[0]["change"], &rows[0]["client_id"]), (&json!("remove"), &json!(extra.id)));
    assert_eq!(exported(&far), lines);
    refused(&run(&far, "import", &lines, &[]), 1, "is registered already");
}

#[test]
fn an_export_of_an_empty_store_is_empty() {
    let home = Home::new();
    let only = home.add_client(&[]);
    home.json(&["client", "remove", &only.id]);
    assert_eq!(printed(&home.run(&["client", "export"])), "");
}

#[test]
fn the_file_in_the_documents_is_one_that_is_imported_and_then_has_nothing_to_apply() {
    let text = std::fs::read_to_string(project().join("docs/operating.md")).unwrap();
    let examples: String = blocks(&text, "json").into_iter().map(|(_, block)| block).collect();
    let home = Home::new();
    assert_eq!(objects(&run_text(&home, "import", &examples, &["-o", "json"])).len(), 2);
    let applied = printed(&run_text(&home, "apply", &examples, &[]));
    assert_eq!(applied, "nothing to do: 2 clients are as the file has them\n");
}
