//! Each algorithm's keys by themselves: when the first one signs, and how each rolls while servers run.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{JWKS, everyone, verifies};
use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, segment, wait_for};

/// Small enough for a test: a key waits 6 s (max-age, skew, grace and the spread).
const QUICK: &str = "[keys]\njwks_max_age = \"1s\"\nclock_skew = \"1s\"\n[token]\nlifetime = \"1s\"\nmax_lifetime = \"2s\"\n\
     [store]\noutage_grace = \"2s\"\n";

/// A resource server that does what its caches allow, and no more.
struct Verifier {
    set: Value,
    fetched: Instant,
}

impl Verifier {
    fn fetch(server: &Server) -> Self {
        let fetched = Instant::now();
        Self { set: server.get(JWKS).json(), fetched }
    }

    fn verifies(&mut self, token: &str, server: &Server) -> bool {
        if self.fetched.elapsed() >= Duration::from_secs(1) {
            *self = Self::fetch(server);
        }
        verifies(token, &self.set)
    }
}

fn kid(token: &str) -> String {
    segment(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// Runs a command with the server's own settings; its exit code, and what it said beside its result.
fn run(server: &Server, arguments: &[&str]) -> (i32, String) {
    let config = server.home.folder.path().join("jeton.toml");
    let output = server.home.run(&[&["--config", config.to_str().unwrap()], arguments].concat());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// `key list` as objects.
fn keys(home: &Home) -> Vec<Value> {
    let output = home.run(&["key", "list", "-o", "json"]);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many keys of this algorithm are in this state.
fn number(home: &Home, alg: &str, state: &str) -> usize {
    keys(home).iter().filter(|key| key["alg"] == alg && key["state"] == state).count()
}

/// Asks until the answer is not about the load of this machine: a wait of a second says nothing.
fn ask(server: &Server, client: &Client) -> Answer {
    let is_busy = |answer: &Answer| answer.status == 503 && answer.header("retry-after") == Some("1");
    wait_for("the request is admitted", || Some(server.ask(client, GRANT)).filter(|answer| !is_busy(answer)))
}

#[test]
fn j05_t215_t218_a_first_key_is_published_before_it_signs_and_until_then_the_answer_is_503() {
    let home = Home::new();
    let (client, other) = (home.usual_client(), home.usual_client());
    let server = home.serve(&format!("{QUICK}{GENEROUS}"));
    let mut verifier = Verifier::fetch(&server);
    assert!(verifier.verifies(&ask(&server, &client).access_token(), &server));
    let (code, said) = run(&server, &["client", "set", &client.id, "--alg", "ES256"]);
    assert!(code == 0 && said.contains("The first ES256 key signs from 20"), "{said}");
    assert_eq!(number(&server.home, "ES256", "published"), 1);
    wait_for("the key is published", || (server.get(JWKS).json()["keys"].as_array().unwrap().len() == 2).then_some(()));
    let (mut refused, started) = (0, Instant::now());
    let token = loop {
        assert!(started.elapsed() < Duration::from_secs(20), "it never signs");
        let answer = server.ask(&client, GRANT);
        if answer.status == 200 {
            let token = answer.access_token();
            if segment(&token, 0)["alg"] == "ES256" {
                break token;
            }
            assert_eq!(refused, 0, "signed by the old algorithm after it was given up");
        } else {
            assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"));
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=6).contains(&wait), "{wait}");
            refused += 1;
        }
        assert!(verifier.verifies(&ask(&server, &other).access_token(), &server), "nobody else is concerned");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(refused > 0, "signed at once");
    assert!(verifier.verifies(&token, &server), "a verifier that kept its set as long as it may");
    assert_eq!(server.ops("/readyz").status, 200);
    assert!(!server.log_text().contains("ERROR"), "{}", server.log_text());
}

#[test]
fn in_a_new_store_the_first_key_signs_at_once_and_in_another_it_says_when() {
    let home = Home::new();
    let client = home.add_client(&["--scope", "read", "--alg", "PS256"]);
    assert_eq!((number(&home, "PS256", "active"), number(&home, "EdDSA", "active")), (1, 1));
    let output = home.run(&["client", "add", "late", "--alg", "RS256", "-o", "json"]);
    let (said, added) = (String::from_utf8(output.stderr).unwrap(), serde_json::from_slice::<Value>(&output.stdout));
    assert!(said.contains("The first RS256 key signs from 20"), "{said}");
    assert_eq!(added.unwrap()["alg"], "RS256");
    assert_eq!((number(&home, "RS256", "active"), number(&home, "RS256", "published")), (0, 1));
    let shown = home.json(&["client", "show", &client.id]);
    assert_eq!(shown["alg"], "PS256");
    let text = String::from_utf8(home.run(&["client", "show", &client.id]).stdout).unwrap();
    assert!(text.contains("algorithm\tPS256\n"), "{text}");
    let unknown = home.run(&["client", "set", &client.id, "--alg", "HS256"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("EdDSA, ES256, RS256 or PS256"));
    assert_eq!(home.run(&["client", "set", "c_nobody", "--alg", "ES256"]).status.code(), Some(1));
    assert_eq!(number(&home, "ES256", "published"), 0, "no keys for nobody");
    let server = home.serve(GENEROUS);
    let token = ask(&server, &client).access_token();
    assert!(verifies(&token, &server.get(JWKS).json()) && segment(&token, 0)["alg"] == "PS256");
}

#[test]
fn rings_are_rotated_together_or_one_by_one_and_keep_the_key_that_signs() {
    let (home, _) = everyone();
    home.json(&["key", "rotate", "--alg", "ES256"]);
    let states = |alg| (number(&home, alg, "active"), number(&home, alg, "published"));
    assert_eq!((states("ES256"), states("EdDSA"), states("RS256")), ((1, 1), (1, 0), (1, 0)));
    let again = home.run(&["key", "rotate", "--alg", "ES256"]);
    assert!(again.status.code() == Some(1) && String::from_utf8_lossy(&again.stderr).contains("under way"));
    home.json(&["key", "rotate"]);
    for alg in super::ALGORITHMS {
        assert_eq!(states(alg), (1, 1), "{alg}");
    }
    let again = home.run(&["key", "rotate"]);
    assert!(again.status.code() == Some(1) && String::from_utf8_lossy(&again.stderr).contains("under way"));
    let waiting = keys(&home).into_iter().find(|key| key["alg"] == "PS256" && key["state"] == "published").unwrap();
    home.json(&["key", "remove", waiting["kid"].as_str().unwrap()]);
    let signs = keys(&home).into_iter().find(|key| key["alg"] == "PS256" && key["state"] == "active").unwrap();
    assert!(signs["retired_at"].is_null(), "it goes on: {signs}");
    assert_eq!((states("RS256"), states("ES256")), ((1, 1), (1, 1)), "the other rings are as they were");
    assert_eq!(home.run(&["key", "remove", signs["kid"].as_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn a_ring_can_be_made_ahead_and_its_first_key_is_not_removed() {
    let (server, client) = Server::usual();
    assert_eq!(run(&server, &["key", "rotate", "--alg", "ES256"]).0, 0);
    let first = keys(&server.home).into_iter().find(|key| key["alg"] == "ES256").unwrap();
    assert_eq!(first["state"], "published");
    let (code, said) = run(&server, &["key", "remove", first["kid"].as_str().unwrap()]);
    assert!(code == 1 && said.contains("this key signs"), "{said}");
    assert_eq!(segment(&ask(&server, &client).access_token(), 0)["alg"], "EdDSA", "nobody was given it yet");
    // In an emergency it need not wait, and then there is nothing to wait for.
    assert_eq!(run(&server, &["key", "rotate", "--alg", "ES256", "--now"]).0, 0);
    let (code, said) = run(&server, &["client", "set", &client.id, "--alg", "ES256"]);
    assert!(code == 0 && said.is_empty(), "{said}");
    wait_for("its tokens are signed by it", || {
        (segment(&ask(&server, &client).access_token(), 0)["alg"] == "ES256").then_some(())
    });
    assert_eq!(run(&server, &["key", "remove", first["kid"].as_str().unwrap()]).0, 0);
}

#[test]
fn k01_t215_every_ring_rolls_by_itself_and_no_verifier_ever_fails() {
    let (home, clients) = everyone();
    let second = Home::at(home.database.clone());
    let quick = QUICK.replacen("[keys]\n", "[keys]\nrotate_every = \"6s\"\n", 1);
    let config = format!("issuer = \"http://localhost:1\"\n{quick}{GENEROUS}");
    let servers = [home.serve(&config), second.serve(&config)];
    let mut verifiers = servers.each_ref().map(Verifier::fetch);
    let (mut signed_by, started) = (HashMap::<&str, HashSet<String>>::new(), Instant::now());
    while signed_by.len() < 4 || signed_by.values().any(|kids| kids.len() < 2) {
        assert!(started.elapsed() < Duration::from_mins(1), "a ring does not roll: {:?}", keys(&servers[0].home));
        for (server, (algorithm, client)) in servers.iter().flat_map(|server| clients.iter().map(move |c| (server, c)))
        {
            let token = ask(server, client).access_token();
            assert_eq!(segment(&token, 0)["alg"], *algorithm);
            signed_by.entry(algorithm).or_default().insert(kid(&token));
            for verifier in &mut verifiers {
                assert!(verifier.verifies(&token, server), "{algorithm} after {:?}", started.elapsed());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut ends: HashMap<String, Vec<(u64, Option<u64>)>> = HashMap::new();
    for key in keys(&servers[0].home) {
        let life = (key["activated_at"].as_u64().unwrap(), key["retired_at"].as_u64());
        ends.entry(key["alg"].as_str().unwrap().to_owned()).or_default().push(life);
    }
    for (algorithm, lives) in &mut ends {
        lives.sort_unstable();
        assert!(lives.windows(2).all(|pair| pair[0].1 == Some(pair[1].0)), "{algorithm}: {lives:?}");
    }
}
