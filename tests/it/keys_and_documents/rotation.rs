//! A rotation while servers run: published first, signed with later, removed last; no verifier ever fails.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use ed25519_dalek::VerifyingKey;
use serde_json::Value;

use super::{JWKS, keys, kid, verifies};
use crate::support::{Client, GENEROUS, GRANT, Home, Server, claims};

/// Small enough for a test: a key waits 6 s (max-age, skew, grace and the spread), the old one goes 7 s after it.
const QUICK: &str = "[keys]\njwks_max_age = \"1s\"\nclock_skew = \"1s\"\n[token]\nlifetime = \"1s\"\nmax_lifetime = \"2s\"\n[store]\noutage_grace = \"2s\"\n";

/// A resource server that does what its caches allow, and no more.
pub struct Verifier {
    keys: HashMap<String, VerifyingKey>,
    max_age: Duration,
    fetched: Instant,
}

impl Verifier {
    pub fn fetch(server: &Server) -> Self {
        let fetched = Instant::now();
        let answer = server.get(JWKS);
        let max_age = answer.header("cache-control").unwrap().split_once("max-age=").unwrap().1.parse().unwrap();
        Self { keys: keys(&answer.json()), max_age: Duration::from_secs(max_age), fetched }
    }

    /// Uses what it has for as long as it may.
    pub fn verifies(&mut self, token: &str, server: &Server) -> bool {
        if self.fetched.elapsed() >= self.max_age {
            *self = Self::fetch(server);
        }
        verifies(token, &self.keys)
    }
}

fn expires_at(token: &str) -> u64 {
    claims(token)["exp"].as_u64().unwrap()
}

fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// `key list` by kid.
pub fn planned(home: &Home) -> HashMap<String, Value> {
    let output = home.run(&["key", "list", "-o", "json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let keys = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    keys.map(|key| (key["kid"].as_str().unwrap().to_owned(), key)).collect()
}

fn states(home: &Home) -> HashMap<String, String> {
    planned(home).into_iter().map(|(kid, key)| (kid, key["state"].as_str().unwrap().to_owned())).collect()
}

pub fn two_nodes(settings: &str) -> (Server, Server, Client) {
    let home = Home::new();
    let client = home.usual_client();
    let second = Home::at(home.database.clone());
    let config = format!("{settings}{GENEROUS}");
    let first = Server::start(home, &config, |command| {
        command.args(["--issuer", "http://localhost:1"]);
    });
    let second = Server::start(second, &config, |command| {
        command.args(["--issuer", "http://localhost:1"]);
    });
    (first, second, client)
}

#[test]
fn t215_j05_a_verifier_that_refetches_only_at_max_age_never_fails_in_a_rotation() {
    let (first, second, client) = two_nodes(QUICK);
    let old = kid(&first.ask_patiently(&client, GRANT).access_token());
    let mut verifiers = [Verifier::fetch(&first), Verifier::fetch(&second)];
    // Without their configuration: how long the key waits is as the servers have it.
    let rotated = first.home.run(&["key", "rotate"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let plan = planned(&first.home);
    let (_, retired) = plan.iter().find(|(kid, _)| **kid == old).unwrap();
    let (new, successor) = plan.iter().find(|(kid, _)| **kid != old).unwrap();
    let at = |key: &Value, name: &str| key[name].as_u64().unwrap();
    let (active_from, removed_from) = (at(successor, "activated_at"), at(retired, "removed_at"));
    assert_eq!(active_from, at(successor, "published_at") + 6, "max-age, skew, grace and the spread: {successor}");
    assert_eq!(at(retired, "retired_at"), active_from);
    assert!(removed_from >= active_from + 2, "the longest lifetime: {retired}");

    let started = Instant::now();
    let mut held = VecDeque::<String>::new();
    loop {
        assert!(started.elapsed() < Duration::from_mins(1), "the old key was never removed");
        for server in [&first, &second] {
            let token = server.ask_patiently(&client, GRANT).access_token();
            let issued_at = claims(&token)["iat"].as_u64().unwrap();
            assert_eq!(&kid(&token) == new, issued_at >= active_from, "{issued_at} {active_from}");
            held.push_back(token);
        }
        held.retain(|token| expires_at(token) > unix_now());
        for (verifier, server) in verifiers.iter_mut().zip([&second, &first]) {
            for token in held.iter().take(2).chain(held.iter().rev().take(2)) {
                // It may have expired since it was picked.
                assert!(verifier.verifies(token, server) || expires_at(token) <= unix_now(), "{:?}", started.elapsed());
            }
        }
        let set = keys(&second.get(JWKS).json());
        assert!(set.contains_key(&old) || unix_now() >= removed_from, "removed while its tokens are valid");
        if !set.contains_key(&old) {
            assert!(set.contains_key(new));
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let states = states(&first.home);
    assert_eq!((states.get(&old).unwrap().as_str(), states.get(new).unwrap().as_str()), ("removed", "active"));
}

#[test]
fn j05_a_new_key_is_listed_and_published_at_once_and_does_not_sign() {
    let (server, client) = Server::usual();
    let old = kid(&server.ask_patiently(&client, GRANT).access_token());
    assert_eq!(states(&server.home), HashMap::from([(old.clone(), "active".to_owned())]));
    server.home.json(&["key", "rotate"]);
    let states = states(&server.home);
    assert_eq!(states.get(&old).unwrap(), "active");
    assert_eq!(states.values().filter(|state| *state == "published").count(), 1);
    crate::support::wait_for("the server publishes it", || (keys(&server.get(JWKS).json()).len() == 2).then_some(()));
    let again = server.home.run(&["key", "rotate"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("a rotation is under way"));
    assert_eq!(planned(&server.home).len(), 2);
    // Neither this server nor one that starts now signs with it.
    assert_eq!(kid(&server.ask_patiently(&client, GRANT).access_token()), old);
    let late = Home::at(server.home.database.clone()).serve(GENEROUS);
    assert_eq!(kid(&late.ask_patiently(&client, GRANT).access_token()), old);
    assert_eq!(late.get(JWKS).body, server.get(JWKS).body);
}
