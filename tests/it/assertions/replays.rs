//! Each assertion is good once: at whatever endpoint, on whatever node, before and after a restart.

use std::fs;

use super::*;
use crate::support::redis::Redis;
use crate::support::wait_for;

#[test]
fn t129_t132_t133_t134_an_assertion_is_good_once_at_all_endpoints_together() {
    let home = Home::new();
    let first = Signer::register(&home, Algorithm::EdDsa);
    let second = Signer::register(&home, Algorithm::Es256);
    let server = home.serve(GENEROUS);
    let assertion = first.assertion(&server.url());
    let answer = present(&server, &assertion);
    let token = answer.access_token();
    expect_refused(&present(&server, &assertion), "T-129 again");
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let mut wire = server.wire();
        wire.post(path, &[], &format!("token={token}&{}", form(&assertion)));
        expect_refused(&wire.answer(), &format!("T-134 at {path}"));
    }
    // Another form of the same name is no other assertion.
    let claims = first.claims(&server.url());
    let later = json!({"exp": now() + 90});
    assert_eq!(present(&server, &first.sign(&first.header(), &claims)).status, 200);
    let mut again = claims.clone();
    again["exp"] = later["exp"].clone();
    expect_refused(&present(&server, &first.sign(&first.header(), &again)), "T-129 with another end");
    let mut theirs = second.claims(&server.url());
    theirs["jti"] = claims["jti"].clone();
    assert_eq!(present(&server, &second.sign(&second.header(), &theirs)).status, 200, "T-132");

    let claims = first.claims(&server.url());
    let mut elsewhere = claims.clone();
    elsewhere["aud"] = json!("https://other.example");
    expect_refused(&present(&server, &first.sign(&first.header(), &elsewhere)), "T-133 for another server");
    let forger = first.with_another_key(Algorithm::EdDsa);
    expect_refused(&present(&server, &forger.sign(&first.header(), &claims)), "T-133 forged");
    assert_eq!(present(&server, &first.sign(&first.header(), &claims)).status, 200, "T-133: it was not used up");
    let replayed = r#"jeton_authentication_failures_total{reason="replayed_assertion"}"#;
    wait_for("replays are counted", || (server.metric(replayed) >= 4.0).then_some(()));
}

/// Presents many copies at a time, alternately to these servers; how many got a token.
fn race(servers: &[&Server], assertion: &str) -> usize {
    let form = &format!("{GRANT}&{}", form(assertion));
    std::thread::scope(|scope| {
        let copies: Vec<_> = (0..200)
            .map(|n| {
                let server = servers[n % servers.len()];
                scope.spawn(move || {
                    wait_for("it is admitted", || Some(server.token(&[], form).status).filter(|status| *status != 503))
                })
            })
            .collect();
        let statuses: Vec<u16> = copies.into_iter().map(|copy| copy.join().unwrap()).collect();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 401)), "{statuses:?}");
        statuses.iter().filter(|status| **status == 200).count()
    })
}

#[test]
fn t130_t131_of_200_copies_on_two_nodes_one_is_good_and_none_after_a_kill() {
    let (mut server, signer) = scene();
    let issuer = server.url();
    let other = server.beside(&format!("issuer = \"{issuer}\"\n{GENEROUS}"));
    let assertion = signer.assertion(&issuer);
    assert_eq!(race(&[&server, &other], &assertion), 1, "T-130 T-131");
    let last = signer.assertion(&issuer);
    assert_eq!(present(&server, &last).status, 200);
    server.signal("-KILL");
    server.wait_for_end();
    server.restart(GENEROUS);
    for used in [&assertion, &last] {
        for node in [&server, &other] {
            expect_refused(&present(node, used), "T-131 after a restart");
        }
    }
    assert_eq!(signer.ask(&server).status, 200);
}

#[test]
fn t130_t131_two_nodes_on_one_redis_take_an_assertion_once_and_none_when_it_is_gone() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let signer = Signer::register(&home, Algorithm::Es256);
    let server = home.serve(GENEROUS);
    let other = server.beside(&format!("issuer = \"{}\"\n{GENEROUS}", server.url()));
    let assertion = signer.assertion(&server.url());
    assert_eq!(race(&[&server, &other], &assertion), 1);
    let in_doubt = signer.assertion(&server.url());
    drop(redis);
    for used in [&assertion, &in_doubt] {
        let answer = server.token(&[], &format!("{GRANT}&{}", form(used)));
        assert_eq!(answer.status, 503, "T-131: nobody can say: {}", answer.text());
    }
}

#[test]
fn t131_i15_a_store_that_cannot_say_whether_it_was_used_is_a_503_and_comes_back() {
    let home = Home::new();
    let (client, signer) = (home.usual_client(), Signer::register(&home, Algorithm::EdDsa));
    let server = home.serve(GENEROUS);
    let used = signer.assertion(&server.url());
    assert_eq!((present(&server, &used).status, server.ask_patiently(&client, GRANT).status), (200, 200));
    let away = server.home.folder.path().join("away.db");
    fs::rename(&server.home.database, &away).unwrap();
    let ask = |assertion: &str| server.token(&[], &format!("{GRANT}&{}", form(assertion)));
    wait_for("the file is missed", || (ask(&signer.assertion(&server.url())).status == 503).then_some(()));
    for (what, assertion) in [("fresh", &signer.assertion(&server.url())), ("used", &used)] {
        let answer = ask(assertion);
        assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"), "{what}");
        assert!(answer.header("retry-after").is_some(), "{what}");
    }
    assert_eq!(server.ask_patiently(&client, GRANT).status, 200, "a secret needs no store");
    fs::rename(&away, &server.home.database).unwrap();
    wait_for("it is back", || (ask(&signer.assertion(&server.url())).status == 200).then_some(()));
    expect_refused(&present(&server, &used), "T-131: what was used stays used");
}
