//! Keys that roll by themselves, and one that has to go at once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::rotation::{Verifier, planned, two_nodes};
use super::{JWKS, keys, kid};
use crate::support::{Client, GRANT, Server, claims, wait_for};

/// As `rotation::QUICK`, with a new key every six seconds.
pub const QUICK: &str = "[keys]\njwks_max_age = \"1s\"\nclock_skew = \"1s\"\nrotate_every = \"6s\"\n\
                     [token]\nlifetime = \"1s\"\nmax_lifetime = \"2s\"\n[store]\noutage_grace = \"2s\"\n";

#[test]
fn k01_k03_two_servers_roll_one_key_after_the_other_and_no_verifier_ever_fails() {
    let (first, second, client) = two_nodes(QUICK);
    expect_one_after_the_other(&first, &second, &client);
}

/// Two rotations of two nodes that both want them: each has one winner, and no verifier ever fails.
pub fn expect_one_after_the_other(first: &Server, second: &Server, client: &Client) {
    let mut verifiers = [Verifier::fetch(first), Verifier::fetch(second)];
    let (mut signed_by, started) = (HashSet::new(), Instant::now());
    while signed_by.len() < 3 {
        assert!(started.elapsed() < Duration::from_mins(1), "the keys do not roll: {:?}", planned(&first.home));
        for server in [first, second] {
            let token = server.ask_patiently(client, GRANT).access_token();
            signed_by.insert(kid(&token));
            for verifier in &mut verifiers {
                assert!(verifier.verifies(&token, server), "after {:?}", started.elapsed());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // One winner per rotation: nobody's key was published in vain.
    let plan = planned(&first.home);
    assert!((3..=4).contains(&plan.len()), "{plan:?}");
    let mut lives: Vec<(u64, Option<u64>)> =
        plan.values().map(|key| (key["activated_at"].as_u64().unwrap(), key["retired_at"].as_u64())).collect();
    lives.sort_unstable();
    for pair in lives.windows(2) {
        assert_eq!(pair[0].1, Some(pair[1].0), "a key retires when its successor takes over: {plan:?}");
    }
}

#[test]
fn k07_i14_a_lost_key_is_replaced_and_removed_on_all_servers_within_a_second() {
    let (first, second, client) = two_nodes("");
    let config = first.home.folder.path().join("jeton.toml");
    let run = |arguments: &[&str]| {
        let output = first.home.run(&[&["--config", config.to_str().unwrap()], arguments].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let token = first.ask_patiently(&client, GRANT).access_token();
    let lost = kid(&token);
    let (code, said) = run(&["key", "remove", &lost]);
    assert!(code == 1 && said.contains("this key signs"), "{said}");
    let (code, said) = run(&["key", "rotate", "--now"]);
    assert!(code == 0 && said.contains("up to 5m"), "who still trusts the old set is said: {said}");
    for server in [&first, &second] {
        wait_for("the new key signs", || {
            (kid(&server.ask_patiently(&client, GRANT).access_token()) != lost).then_some(())
        });
    }
    let is_active = || {
        let mut wire = second.wire();
        wire.post("/oauth2/introspect", &[("Authorization", &client.basic())], &format!("token={token}"));
        wire.answer().json()["active"] == true
    };
    assert!(is_active(), "a retired key's tokens are good until they expire");
    let (code, said) = run(&["key", "remove", &lost]);
    assert_eq!(code, 0, "{said}");
    let removed = Instant::now();
    for server in [&first, &second] {
        wait_for("the key is gone", || (!keys(&server.get(JWKS).json()).contains_key(&lost)).then_some(()));
    }
    wait_for("its tokens are inactive", || (!is_active()).then_some(()));
    // The promise is one second; the rest is for a machine that has other things to do.
    assert!(removed.elapsed() < Duration::from_secs(4), "took {:?}", removed.elapsed());
    assert_eq!(planned(&first.home)[&lost]["state"], "removed");
    let (code, said) = run(&["key", "remove", &lost]);
    assert!(code == 1 && said.contains("no live key has this kid"), "{said}");
    assert!(claims(&token)["jti"].is_string() && run(&["key", "remove", "nonsense"]).0 == 1);
}

#[test]
fn k02_a_server_that_is_killed_while_keys_roll_leaves_a_plan_that_the_next_one_follows() {
    let (mut first, mut second, client) = two_nodes(QUICK);
    let before: HashSet<String> = planned(&first.home).into_keys().collect();
    wait_for("a successor is published", || (planned(&first.home).len() > before.len()).then_some(()));
    for server in [&mut first, &mut second] {
        server.signal("-KILL");
        server.wait_for_end();
    }
    let plan = planned(&first.home);
    first.restart(&format!("issuer = \"http://localhost:1\"\n{QUICK}"));
    let mut verifier = Verifier::fetch(&first);
    let successor = plan.iter().find(|(kid, _)| !before.contains(*kid)).unwrap().0.clone();
    wait_for("the successor signs", || {
        let token = first.ask_patiently(&client, GRANT).access_token();
        assert!(verifier.verifies(&token, &first), "signed by a key that is not published");
        (kid(&token) == successor).then_some(())
    });
}
