//! Signing keys of several nodes on one Redis: who rotates, who follows, who is cut off, and whose clock is wrong.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::keys_and_documents::automatic::{QUICK, expect_one_after_the_other};
use crate::keys_and_documents::rotation::{Verifier, planned};
use crate::keys_and_documents::{JWKS, keys, kid};
use crate::support::drill::ISSUER;
use crate::support::faults::faketime_library;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::Redis;
use crate::support::{Client, GENEROUS, GRANT, Home, Server, claims, wait_for};

fn node(url: &str, settings: &str) -> Server {
    Home::on(url).serve(&format!("{ISSUER}{settings}{GENEROUS}"))
}

fn begin() -> (Redis, Home, Client) {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let client = home.usual_client();
    (redis, home, client)
}

/// K-03: both want to rotate at the same moment, again and again: one does, both follow, and nobody's key is in vain.
#[test]
fn k03_two_nodes_on_redis_roll_one_key_after_the_other() {
    let (redis, _, client) = begin();
    let (first, second) = (node(&redis.url(), QUICK), node(&redis.url(), QUICK));
    expect_one_after_the_other(&first, &second, &client);
}

/// K-04: a node that misses the rotation goes on with the old key for as long as that is published, then says 503, and
/// never signs with a key that is gone; once it sees the store again, it follows.
#[test]
fn k04_a_node_that_misses_a_rotation_never_signs_with_a_key_that_is_gone() {
    let (redis, home, client) = begin();
    let settings = QUICK.replace("\"6s\"", "\"0s\"");
    let wire = Proxy::to(redis.port);
    let (here, alone) = (node(&redis.url(), &settings), node(&wire.url(), &settings));
    let old = kid(&alone.ask_patiently(&client, GRANT).access_token());
    wire.set(Fault::Silent);
    let config = here.home.folder.path().join("jeton.toml");
    assert!(here.home.run(&["--config", config.to_str().unwrap(), "key", "rotate"]).status.success());
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_mins(1), "the old key is never removed");
        let answer = alone.ask(&client, GRANT);
        let published = keys(&here.get(JWKS).json());
        if answer.status == 200 {
            let token = answer.access_token();
            assert_eq!(kid(&token), old, "it knows no other key");
            assert!(published.contains_key(&old), "signed with a key that is gone: {:?}", planned(&home));
        } else {
            assert_eq!(answer.status, 503);
        }
        if !published.contains_key(&old) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    wire.set(Fault::None);
    let mut verifier = Verifier::fetch(&here);
    wait_for("it follows", || {
        let answer = Some(alone.ask(&client, GRANT)).filter(|answer| answer.status == 200)?;
        let token = answer.access_token();
        assert_ne!(kid(&token), old, "{:?}", planned(&home));
        assert!(verifier.verifies(&token, &here), "{:?}", planned(&home));
        Some(())
    });
}

/// P-09, K-10: the clocks of two nodes differ by thirty seconds, either way: each takes the other's tokens, and through a
/// rotation no verifier ever meets a key that it cannot know.
#[test]
fn p09_k10_nodes_whose_clocks_differ_take_each_others_tokens_and_keys() {
    let library = faketime_library();
    for offset in ["+30s", "-30s"] {
        let redis = Redis::start();
        let home = Home::on(&redis.url());
        // A store that is older than the clocks differ: the first key of a new one is still to come for who is behind.
        let mut older = home.command();
        older.env("LD_PRELOAD", &library).env("FAKETIME", "-2m").args(["client", "add", "first"]);
        assert!(older.output().unwrap().status.success());
        let client = home.usual_client();
        let settings = "[keys]\njwks_max_age = \"1s\"\nclock_skew = \"60s\"\n";
        let right = node(&redis.url(), settings);
        let wrong = Server::start(Home::on(&redis.url()), &format!("{ISSUER}{settings}{GENEROUS}"), |command| {
            command.env("LD_PRELOAD", &library).env("FAKETIME", offset);
        });
        let config = right.home.folder.path().join("jeton.toml");
        let mut verifiers = [Verifier::fetch(&right), Verifier::fetch(&wrong)];
        let check = |verifiers: &mut [Verifier; 2]| {
            for (issues, looks) in [(&right, &wrong), (&wrong, &right)] {
                let token = issues.ask_patiently(&client, GRANT).access_token();
                wait_for("tokens are looked into", || {
                    Some(looks.introspect(&client, &token))
                        .filter(|looked| looked.status == 200)
                        .map(|looked| assert_eq!(looked.json()["active"], true, "{offset}: {:?}", claims(&token)))
                });
                for verifier in &mut *verifiers {
                    assert!(verifier.verifies(&token, looks), "{offset}");
                }
            }
        };
        check(&mut verifiers);
        let before: HashSet<String> = planned(&home).into_keys().collect();
        assert!(wrong.home.run(&["--config", config.to_str().unwrap(), "key", "rotate"]).status.success());
        wait_for("the new key is published", || {
            [&right, &wrong].iter().all(|node| keys(&node.get(JWKS).json()).len() == 2).then_some(())
        });
        let plan = planned(&home);
        let successor = plan.iter().find(|(kid, _)| !before.contains(*kid)).unwrap().1;
        let (published, active) =
            (successor["published_at"].as_u64().unwrap(), successor["activated_at"].as_u64().unwrap());
        assert!(active >= published + 61, "max-age and skew lie between, by the store's word alone: {successor}");
        check(&mut verifiers);
    }
}
