//! D-21: the clock of Redis is not that of the servers, and jumps.
//!
//! Redis itself cannot be given a wrong clock here. What is proved instead: no command goes by its clock, but for how long
//! a few keys stay from their writing on; a server whose clock differs from that of Redis by an hour, in either direction,
//! does all as ever; and what a jump of Redis's clock takes away is no more than opaque tokens.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Command, Stdio};

use crate::support::drill::{Drill, ISSUER};
use crate::support::faults::{Killed, faketime_library};
use crate::support::redis::{Redis, cli};
use crate::support::{API, Client, GENEROUS, GRANT, Home, Server, wait_for};

/// Commands that go by the server's clock whatever is said with them.
const BY_CLOCK: [&str; 13] = [
    "TIME",
    "EXPIRE",
    "EXPIREAT",
    "PEXPIREAT",
    "SETEX",
    "PSETEX",
    "GETEX",
    "TTL",
    "PTTL",
    "EXPIRETIME",
    "PEXPIRETIME",
    "OBJECT",
    "LASTSAVE",
];

/// The words of a line of `MONITOR`, also of one that a script asked.
fn words(line: &str) -> Vec<String> {
    let said = line.split_once("] ").map_or("", |(_, said)| said);
    said.split("\" \"").map(|word| word.trim_matches('"').to_owned()).collect()
}

/// Why a command goes by the clock of the server.
fn fault(words: &[String]) -> Option<String> {
    let name = words[0].to_uppercase();
    let has = |option: &str| words.iter().any(|word| word.eq_ignore_ascii_case(option));
    let key = words.get(1).map(String::as_str).unwrap_or_default();
    let stays = |names: &[&str]| names.iter().any(|name| key.contains(name));
    let is_fault = match name.as_str() {
        // For some time from now on, as the server that asks has it.
        "SET" => has("EX") || has("EXAT") || has("PXAT") || has("PX") && !stays(&[":token:", ":written:", ":turn:"]),
        "PEXPIRE" => !stays(&[":written:"]),
        "XADD" => has("*"),
        name => BY_CLOCK.contains(&name),
    };
    is_fault.then(|| words.join(" "))
}

#[test]
fn the_judge_of_commands_sees_what_goes_by_the_clock() {
    for (said, is_fault) in [
        (r#"1.5 [0 127.0.0.1:5] "GET" "a""#, false),
        (r#"1.5 [0 lua] "TIME""#, true),
        (r#"1.5 [0 lua] "SET" "{jeton}:written:7" "1" "PX" "10000""#, false),
        (r#"1.5 [0 lua] "SET" "{jeton}:client:7" "1" "PX" "10000""#, true),
        (r#"1.5 [0 lua] "SET" "{jeton.1}:token:7" "1" "EXAT" "10000""#, true),
        (r#"1.5 [0 lua] "XADD" "{jeton}:feed" "*" "c" "1""#, true),
        (r#"1.5 [0 lua] "XADD" "{jeton}:feed" "MAXLEN" "~" "5" "7-1" "c" "1""#, false),
        (r#"1.5 [0 lua] "pexpire" "{jeton}:uses:a" "5""#, true),
    ] {
        assert_eq!(fault(&words(said)).is_some(), is_fault, "{said}");
    }
}

/// Everything that servers and commands ask in the course of a drill, and in that of the chores at a start.
#[test]
fn d21_no_command_goes_by_the_clock_of_redis() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("monitor");
    let mut monitor = cli(redis.port);
    let monitor = Killed(monitor.arg("MONITOR").stdout(File::create(&heard).unwrap()).spawn().unwrap());
    let text = || std::fs::read_to_string(&heard).unwrap_or_default();
    wait_for("it listens", || text().contains("OK").then_some(()));
    let drill = Drill::on(&redis.url());
    drill.wait_for_writes(60);
    for command in [&["key", "rotate"][..], &["store", "check"], &["client", "secret", "list", &drill.known.id]] {
        assert!(drill.node.home.run(command).status.success(), "{command:?}");
    }
    wait_for("uses are noted", || text().contains("}:recent\" \"GT\"").then_some(()));
    drill.finish();
    drop(monitor);
    let (mut counts, mut faults) = (BTreeMap::<String, usize>::new(), Vec::new());
    for line in text().lines().filter(|line| line.contains("] \"")) {
        let words = words(line);
        *counts.entry(words[0].to_uppercase()).or_default() += 1;
        faults.extend(fault(&words));
    }
    for seen in ["EVALSHA", "SET", "XADD", "XRANGE", "PUBLISH", "ZADD", "GET", "HGET"] {
        assert!(counts.contains_key(seen), "{seen} was not heard: {counts:?}");
    }
    assert_eq!(faults, Vec::<String>::new());
}

/// A home whose commands and server live at another time than Redis does.
struct Elsewhen {
    home: Home,
    environment: [(&'static str, String); 2],
}

impl Elsewhen {
    fn client(&self, options: &[&str]) -> Client {
        let mut command: Command = self.home.command();
        command.envs(self.environment.clone()).args(["client", "add", "name", "-o", "json"]).args(options);
        let output = command.stderr(Stdio::null()).output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Client { id: text("client_id"), secret: text("client_secret"), secret_id: text("secret_id") }
    }

    fn serve(self) -> Server {
        Server::start(self.home, &format!("{ISSUER}{GENEROUS}"), |command| {
            command.envs(self.environment.clone());
        })
    }
}

fn is_active(node: &Server, api: &Client, token: &str) -> bool {
    let looked = node.introspect(api, token);
    assert_eq!(looked.status, 200, "{}", looked.text());
    looked.json()["active"] == true
}

#[test]
fn d21_a_redis_whose_clock_differs_by_an_hour_changes_nothing() {
    let library = faketime_library();
    for offset in ["+1h", "-1h"] {
        let redis = Redis::start();
        let environment = [("LD_PRELOAD", library.clone()), ("FAKETIME", offset.to_owned())];
        let there = Elsewhen { home: Home::on(&redis.url()), environment };
        let opaque = ["--scope", "read", "--audience", API, "--format", "opaque"];
        let (long, short) = (there.client(&opaque), there.client(&[&opaque[..], &["--lifetime", "3s"]].concat()));
        let (signed, api) = (there.client(&["--audience", API]), there.client(&["--serves", API, "--tokens", "false"]));
        let node = there.serve();
        let token = |client: &Client| node.ask_patiently(client, GRANT).access_token();
        let brief = token(&short);
        let [kept, dropped, own] = [token(&long), token(&long), token(&signed)];
        assert!([&kept, &dropped, &own].into_iter().all(|token| is_active(&node, &api, token)), "{offset}");
        assert_eq!((node.revoke(&long, &dropped).status, node.revoke(&signed, &own).status), (200, 200));
        assert!(!is_active(&node, &api, &dropped) && !is_active(&node, &api, &own), "{offset}: revoked");
        wait_for("it ends by its own time", || (!is_active(&node, &api, &brief)).then_some(()));
        assert!(is_active(&node, &api, &kept), "{offset}: and no other does");
        let least = "local least = 1e15 for _, key in ipairs(redis.call('KEYS', '*:token:*')) do \
                     least = math.min(least, redis.call('PTTL', key)) end return least";
        let left: u64 = redis.cli(&["EVAL", least, "0"]).parse().unwrap();
        assert!(left > 500_000, "{offset}: a record outlives its token: {left} ms");
        assert_eq!(node.ops("/readyz").status, 200, "{offset}");
    }
}

/// All that stays for a time only is gone at once, as when the clock of Redis jumps ahead by a day.
#[test]
fn d21_a_jump_of_the_clock_of_redis_takes_opaque_tokens_and_nothing_else() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let client = home.usual_client();
    let opaque = home.add_client(&["--scope", "read", "--audience", API, "--format", "opaque"]);
    let api = home.add_client(&["--serves", API, "--tokens", "false"]);
    let node = home.serve(GENEROUS);
    let token = |client: &Client| node.ask_patiently(client, GRANT).access_token();
    let ([lost, dropped], [kept, revoked]) = ([token(&opaque), token(&opaque)], [token(&client), token(&client)]);
    assert_eq!((node.revoke(&opaque, &dropped).status, node.revoke(&client, &revoked).status), (200, 200));
    assert!(is_active(&node, &api, &lost) && is_active(&node, &api, &kept));
    wait_for("uses are noted", || (redis.cli(&["ZCARD", "{jeton}:recent"]) != "0").then_some(()));
    let jump = "local gone = {} for _, key in ipairs(redis.call('KEYS', '*')) do \
                if redis.call('PTTL', key) >= 0 then redis.call('DEL', key) \
                gone[#gone + 1] = string.match(key, '^[^:]*:[a-z]+') end end return gone";
    let gone = redis.cli(&["EVAL", jump, "0"]);
    let is_known = |name: &str| [":token", ":written", ":turn"].iter().any(|known| name.ends_with(known));
    assert!(gone.lines().all(is_known) && gone.contains(":token"), "{gone}");
    assert!(!is_active(&node, &api, &lost), "fails closed");
    assert!(!is_active(&node, &api, &dropped) && !is_active(&node, &api, &revoked), "what was revoked stays so");
    assert!(is_active(&node, &api, &kept));
    // A server that begins now finds all that it needs.
    let fresh = Home::on(&redis.url()).serve(GENEROUS);
    assert!(!is_active(&fresh, &api, &revoked) && !is_active(&fresh, &api, &dropped));
    wait_for("it serves", || (fresh.ask(&opaque, GRANT).status == 200).then_some(()));
    assert!(node.home.run(&["store", "check"]).status.success());
}
