//! What `docs/redis.md` says is so: its configurations and commands make servers on one Redis, its access list is enough
//! for all that jeton does and has nothing else, and its sentences are those of `store check`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cluster::Cluster;
use crate::support::documents::{blocks, document};
use crate::support::nursery::file;
use crate::support::redis::Redis;
use crate::support::{API, Elsewhere, GRANT, Home, Server, project, wait_for};

const DOCUMENT: &str = "docs/redis.md";
const ADMIN: [&str; 4] = ["--user", "admin", "-a", "ADMIN-PASSWORD"];

/// The only block of this kind.
fn block(kind: &str) -> String {
    let mut blocks = blocks(&document(DOCUMENT), kind);
    assert_eq!(blocks.len(), 1, "{kind}");
    blocks.remove(0).1
}

/// What the access list says of the user `jeton`, word by word.
fn access_list() -> Vec<String> {
    let block = block("conf");
    let line = block.lines().find_map(|line| line.strip_prefix("user jeton ")).expect("a user for jeton");
    line.split(' ').map(str::to_owned).collect()
}

/// A Redis as the document configures it, with these options besides.
fn documented_redis(folder: &TempDir, options: &[&str]) -> Redis {
    let config = file(folder, "redis.conf", &block("conf"));
    let mut redis = Redis::with(&[&["--include", config.to_str().unwrap()], options].concat());
    redis.access = ADMIN.map(str::to_owned).to_vec();
    redis
}

/// The document's settings for a server of this machine, and the folder that it keeps its files in.
fn documented_config(redis: &Redis, folder: &Path) -> String {
    let own = |text: &str| text.replace("/etc/jeton", folder.to_str().unwrap());
    let at = format!("127.0.0.1:{}", redis.port);
    own(&block("toml"))
        .replace("10.0.0.5:6379", &at)
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("0.0.0.0:8081", "127.0.0.1:0")
}

/// Runs the document's commands, but for the server itself, as a person would type them one after the other.
fn run_documented_commands(folder: &Path) -> String {
    let shown: Vec<String> = blocks(&document(DOCUMENT), "console").into_iter().map(|(_, block)| block).collect();
    let shown = shown.concat();
    let (serve, typed): (Vec<_>, Vec<_>) = shown
        .lines()
        .map(|line| line.strip_prefix("$ ").expect("a command"))
        .partition(|command| *command == "jeton serve");
    assert_eq!((serve.len(), typed.len() > 5), (1, true), "{shown}");
    let script = typed.join("\n").replace("/etc/jeton", folder.to_str().unwrap());
    let programs = Path::new(env!("CARGO_BIN_EXE_jeton")).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).env("PATH", path).env_remove("JETON_STORE").stdin(Stdio::null());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A home whose commands have the document's configuration, and these variables.
fn home_with(config: &Path, redis: &Redis, settings: &[(&str, &str)]) -> Home {
    let own = ("JETON_CONFIG".to_owned(), config.display().to_string());
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment = std::iter::once(own).chain(settings).collect();
    Home { elsewhere: Some(Elsewhere { url: redis.url(), environment }), ..Home::new() }
}

/// What Redis refused, by name.
fn refused(redis: &Redis) -> BTreeSet<String> {
    let log = redis.cli(&["ACL", "LOG"]);
    let mut lines = log.lines();
    let mut found = BTreeSet::new();
    while let Some(line) = lines.next() {
        if line == "object" {
            found.extend(lines.next().map(str::to_owned));
        }
    }
    found
}

/// Nothing, but for what only a check of the promise asks for and can do without.
fn refuses_nothing_that_is_needed(redis: &Redis) {
    let refused = refused(redis);
    assert!(refused.is_subset(&BTreeSet::from(["config|get".to_owned()])), "{refused:?}");
}

/// A configuration that differs from the default only in how long Redis may take: the machine may be busy.
const PATIENT: (&str, &str) = ("JETON_STORE__REDIS_DEADLINE", "2s");

#[test]
fn what_the_document_shows_makes_servers_on_one_redis_whose_user_may_do_all_that_is_needed() {
    let (folder, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let redis = documented_redis(&folder, &[]);
    let text = documented_config(&redis, ours.path());
    let config = file(&ours, "jeton.toml", &text);
    let said = run_documented_commands(ours.path());
    assert!(said.contains("could not be asked (CONFIG GET appendfsync)"), "{said}");
    let home = || home_with(&config, &redis, &[PATIENT]);
    let nodes = [home().serve(&text), home().serve(&text)];
    let [first, second] = &nodes;
    wait_for("both hear of changes", || {
        let heard = redis.cli(&["PUBSUB", "NUMSUB", "{jeton}:changed"]);
        (heard.lines().nth(1) == Some("2")).then_some(())
    });
    do_all_that_requests_do(first, second);
    do_all_that_commands_do(&first.home, second);
    replicas_can_be_waited_for(&config, &redis);
    move_to_another(&first.home, &config);
    refuses_nothing_that_is_needed(&redis);
    for node in &nodes {
        assert!(!node.log_text().contains("NOPERM"), "{}", node.log_text());
    }
}

fn do_all_that_requests_do(first: &Server, second: &Server) {
    let signed = first.home.usual_client();
    let opaque = first.home.add_client(&["--scope", "read", "--audience", API, "--format", "opaque"]);
    let api = first.home.add_client(&["--serves", API, "--tokens", "false"]);
    for client in [&signed, &opaque] {
        let token = first.ask_patiently(client, GRANT).access_token();
        let is_active = |node: &Server| Some(node.introspect(&api, &token)).filter(|answer| answer.status == 200);
        let is_active = |node: &Server| is_active(node).map(|answer| answer.json()["active"] == true);
        wait_for("the other one knows it", || is_active(second).filter(|active| *active));
        assert_eq!(second.revoke(client, &token).status, 200);
        for node in [first, second] {
            wait_for("it is revoked", || is_active(node).filter(|active| !*active));
        }
    }
    wait_for("the day of a use is written down", || {
        let secrets = first.home.json(&["client", "secret", "list", &signed.id]);
        used(&secrets).then_some(())
    });
}

fn used(secrets: &Value) -> bool {
    let text = secrets.to_string();
    text.contains("last_used") && !text.contains("\"last_used\":null")
}

fn do_all_that_commands_do(home: &Home, node: &Server) {
    let client = home.usual_client();
    assert_eq!(node.ask_patiently(&client, GRANT).status, 200);
    for command in [
        &["client", "set", &client.id, "--lifetime", "5m"][..],
        &["client", "secret", "add", &client.id],
        &["client", "secret", "remove", &client.id, &client.secret_id],
        &["client", "revoke-tokens", &client.id],
        &["client", "disable", &client.id],
        &["client", "enable", &client.id],
        &["client", "show", &client.id],
        &["client", "list"],
        &["client", "remove", &client.id],
        &["key", "rotate"],
        &["key", "list"],
        &["store", "check"],
    ] {
        home.json(command);
    }
    wait_for("the server follows", || (node.ask(&client, GRANT).status == 401).then_some(()));
    let backup = home.folder.path().join("backup.db");
    home.json(&["store", "backup", backup.to_str().unwrap()]);
}

/// With a replica, by the same access list.
fn replicas_can_be_waited_for(config: &Path, redis: &Redis) {
    let (folder, of) = (tempfile::tempdir().unwrap(), format!("127.0.0.1 {}", redis.port));
    let options = ["--replicaof", &of, "--masteruser", "admin", "--masterauth", "ADMIN-PASSWORD"];
    let replica = documented_redis(&folder, &options);
    wait_for("the replica follows", || (replica.info("master_link_status") == "up").then_some(()));
    let home = home_with(config, redis, &[PATIENT, ("JETON_STORE__REDIS_WAIT_REPLICAS", "1")]);
    home.add_client(&[]);
    // Without the right to ask for it, the rest of the sentence is there all the same.
    let durability = home.json(&["store", "check"])["durability"].to_string();
    assert!(durability.contains("a failover to one of the 1 replicas that confirm each write loses nothing"));
}

/// To another Redis with the same list, and from there to a file.
fn move_to_another(home: &Home, config: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let other = documented_redis(&folder, &[]);
    let there = other.url_as("jeton", "JETON-PASSWORD");
    let text = fs::read_to_string(config).unwrap();
    let from = text.lines().find_map(|line| line.strip_prefix("url = ")).unwrap().trim_matches('"');
    let file = format!("sqlite:{}", home.folder.path().join("moved.db").display());
    for (from, to) in [(from, there.as_str()), (&there, &file)] {
        let copied = home.json(&["store", "copy", "--from", from, "--to", to]);
        assert_eq!(copied["state"], "done");
    }
    refuses_nothing_that_is_needed(&other);
}

/// D-13: the list has what the backend asks for, and nothing that it does not.
#[test]
fn the_access_list_has_the_commands_of_the_source_and_no_other() {
    let source = source_of_the_backend();
    let called = |opening: &str| -> BTreeSet<String> {
        let names = source.split(opening).skip(1).filter_map(|rest| rest.split(['\'', '"']).next());
        names.map(str::to_lowercase).collect()
    };
    let listed: BTreeSet<String> =
        access_list().iter().filter_map(|word| word.strip_prefix('+')).map(str::to_owned).collect();
    let sent = called("redis.call('").union(&called("cmd(\"")).cloned().collect::<BTreeSet<_>>();
    assert!(sent.len() > 20, "{sent:?}");
    // To ask for the promise is an operator's right; and sentinels have a list of their own.
    let missing: Vec<_> =
        sent.difference(&listed).filter(|name| !["config", "sentinel"].contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "the access list of {DOCUMENT} lacks {missing:?}");
    let lower = source.to_lowercase();
    let unused: Vec<_> = listed
        .iter()
        .filter(|name| !["\"NAME\"", "'NAME'", ".NAME("].iter().any(|form| lower.contains(&form.replace("NAME", name))))
        .collect();
    assert!(unused.is_empty(), "the access list of {DOCUMENT} has {unused:?}, which nobody asks for");
}

fn source_of_the_backend() -> String {
    let mut text = String::new();
    for folder in ["src/store/redis", "src/store/redis/lua"] {
        for entry in fs::read_dir(project().join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                text += &fs::read_to_string(entry.path()).unwrap();
            }
        }
    }
    text
}

/// The same list with what the document adds for a Cluster, on every node of one.
#[test]
fn the_access_list_is_enough_for_a_cluster() {
    let cluster = Cluster::shared();
    let added = ["+cluster|slots", "+asking"];
    assert!(document(DOCUMENT).contains("`+cluster|slots +asking`"));
    let list = access_list();
    let rights = list.iter().map(String::as_str).chain(added).collect::<Vec<_>>();
    for node in &cluster.nodes {
        node.cli(&[&["ACL", "SETUSER", "jeton", "reset"], &rights[..]].concat());
        node.cli(&["ACL", "LOG", "RESET"]);
    }
    let url = cluster.url().replace("://", "://jeton:JETON-PASSWORD@");
    let home = Home::on_with(&url, &[PATIENT]);
    let opaque = home.add_client(&["--scope", "read", "--audience", API, "--format", "opaque"]);
    let node = home.serve(crate::support::GENEROUS);
    for _ in 0..8 {
        let token = node.ask_patiently(&opaque, GRANT).access_token();
        assert_eq!(node.introspect(&opaque, &token).json()["active"], true);
        assert_eq!(node.revoke(&opaque, &token).status, 200);
    }
    do_all_that_commands_do(&node.home, &node);
    cluster.nodes.iter().for_each(refuses_nothing_that_is_needed);
    drop(node);
    for node in &cluster.nodes {
        node.cli(&["ACL", "DELUSER", "jeton"]);
    }
}

/// D-09: the tables of what a write survives are in the words of `store check`.
#[test]
fn d09_the_document_says_what_a_write_survives_in_the_words_of_the_check() {
    let (redis, text) = (Redis::start(), document(DOCUMENT));
    let home = Home::on_with(&redis.url(), &[PATIENT]);
    home.add_client(&[]);
    let mut said = BTreeSet::new();
    for settings in [
        &[("appendfsync", "always")][..],
        &[("appendfsync", "everysec")],
        &[("appendfsync", "no")],
        &[("appendonly", "no"), ("save", "3600 1")],
        &[("save", "")],
    ] {
        for (name, value) in settings {
            redis.cli(&["CONFIG", "SET", name, value]);
        }
        said.extend(sentences(&home));
    }
    assert_eq!(said.len(), 6, "five for a crash, and that there is no replica: {said:?}");
    let replica = Redis::with(&["--replicaof", &format!("127.0.0.1 {}", redis.port)]);
    wait_for("the replica follows", || (replica.info("master_link_status") == "up").then_some(()));
    said.extend(sentences(&home));
    said.extend(sentences(&Home::on_with(&redis.url(), &[PATIENT, ("JETON_STORE__REDIS_WAIT_REPLICAS", "1")])));
    assert_eq!(said.len(), 8, "{said:?}");
    for sentence in said {
        assert!(text.contains(&sentence), "{DOCUMENT} does not say {sentence:?}");
    }
}

fn sentences(home: &Home) -> Vec<String> {
    let report = home.json(&["store", "check"]);
    report["durability"].as_str().unwrap().split("; ").map(str::to_owned).collect()
}

#[test]
fn every_setting_of_redis_is_in_the_document() {
    let text = document(DOCUMENT);
    let settings = jeton::config::SETTINGS.iter().filter(|setting| setting.key.starts_with("store.redis_"));
    let missing: Vec<_> = settings.filter(|setting| !text.contains(&format!("| `{}` |", setting.key))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The figures come from commands that are there.
#[test]
fn the_commands_of_the_figures_are_there() {
    let text = document(DOCUMENT);
    let figures = text.split("\n## ").find(|section| section.starts_with("Figures\n")).expect("figures");
    let mut commands = 0;
    for command in figures.split('`').skip(1).step_by(2) {
        commands += 1;
        if let Some(words) = command.split("cargo test --locked --test it -- --nocapture ").nth(1) {
            let variable = command.split('=').next().unwrap();
            assert!(tests_contain(&format!("\"{variable}\"")) && tests_contain(&format!("fn {words}")), "{command}");
        } else {
            assert!(project().join(command.split(' ').next().unwrap()).is_file(), "{command}");
        }
    }
    assert!(commands >= 3, "{figures}");
}

fn tests_contain(text: &str) -> bool {
    let folder = project().join("tests/it/redis_faults");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files.into_iter().any(|file| file.contains(text))
}
