//! Revocation of every kind of token, across servers, crashes and whatever is written down.

use std::time::{Duration, Instant};

use super::{INTROSPECT, REVOKE, Scene, inactive, post};
use crate::support::{API, Client, GENEROUS, GRANT, Home, basic, claims, count, wait_for};

/// every kind of token that is issued can be revoked, so the error for those that cannot has no occasion.
#[test]
fn r06_tokens_of_every_kind_are_revoked_and_none_is_called_unsupported() {
    let home = Home::new();
    let api = home.add_client(&["--serves", API, "--tokens", "false"]);
    let signed = ["EdDSA", "ES256", "RS256", "PS256"].map(|algorithm| {
        if algorithm != "EdDSA" {
            home.json(&["key", "rotate", "--now", "--alg", algorithm]);
        }
        (algorithm, home.add_client(&["--audience", API, "--alg", algorithm]))
    });
    let opaque = ("opaque", home.add_client(&["--audience", API, "--format", "opaque"]));
    let scene = Scene { client: opaque.1.clone(), api, server: home.serve(GENEROUS) };
    for (kind, client) in signed.into_iter().chain([opaque]) {
        for hint in ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token", "&token_type_hint=urn%3Ax"]
        {
            let token = scene.server.ask(&client, GRANT).access_token();
            assert!(scene.is_active(&token), "{kind}");
            let answer = scene.post(REVOKE, &client, &format!("token={token}{hint}"));
            assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{kind} {hint}");
            assert_eq!(scene.introspect(&scene.api, &token), inactive(), "{kind} {hint}");
        }
        for token in ["garbage", "jto_garbage", "eyJhbGciOiJub25lIn0.e30.", "a.b.c.d.e"] {
            let answer = scene.post(REVOKE, &client, &format!("token={token}"));
            assert_eq!((answer.status, answer.text().as_str()), (200, ""), "R-02 {kind}: {token}");
        }
    }
}

/// killed as soon as a revocation was acknowledged, again and again; `JETON_TEST_REVOCATION_KILLS` says how often.
#[test]
#[expect(clippy::print_stderr, reason = "the figures of a long run, for whoever asks with --nocapture")]
fn r10_whatever_was_acknowledged_as_revoked_stays_so_after_every_kill() {
    let mut scene = Scene::new();
    let (kills, mut revoked) = (count("JETON_TEST_REVOCATION_KILLS", 6), Vec::new());
    let kept = scene.token();
    for round in 0..kills {
        let token = scene.token();
        assert!(scene.is_active(&token));
        assert_eq!(scene.post(REVOKE, &scene.client, &format!("token={token}")).status, 200);
        scene.server.signal("-KILL");
        revoked.push(token);
        scene.server.wait_for_end();
        scene.server.restart(GENEROUS);
        assert_eq!(scene.introspect(&scene.api, &revoked[round]), inactive(), "after kill {round}");
        let earlier = rand::random_range(0..=round);
        assert_eq!(scene.introspect(&scene.api, &revoked[earlier]), inactive(), "{earlier}, after kill {round}");
    }
    for (round, token) in revoked.iter().enumerate() {
        assert_eq!(scene.introspect(&scene.api, token), inactive(), "{round}, at the end");
    }
    assert!(scene.is_active(&kept), "and nothing else is");
    assert_eq!(scene.server.home.json(&["store", "check"])["revocations"], kills);
    eprintln!("R-10: {kills} kills, each right after an acknowledged revocation: none was forgotten");
}

/// I-10: `JETON_TEST_SPREAD_ROUNDS` says how many revocations are timed.
#[test]
#[expect(clippy::print_stderr, reason = "the figures of a long run, for whoever asks with --nocapture")]
fn i10_another_server_on_the_same_file_sees_a_revocation_within_a_second() {
    let scene = Scene::new();
    let other = scene.server.beside(&format!("issuer = \"{}\"\n{GENEROUS}", scene.server.url()));
    let mut took: Vec<Duration> = (0..count("JETON_TEST_SPREAD_ROUNDS", 9))
        .map(|_| {
            let token = scene.token();
            let ask = || post(&other, INTROSPECT, &[("Authorization", &scene.api.basic())], &format!("token={token}"));
            // A memory that is out of date says so, on a machine that has other things to do.
            wait_for("it is good there, too", || (ask().status == 200).then_some(()));
            // The other server looks at fixed intervals: at any moment of one.
            std::thread::sleep(Duration::from_millis(rand::random_range(0..250)));
            assert_eq!(scene.post(REVOKE, &scene.client, &format!("token={token}")).status, 200);
            let acknowledged = Instant::now();
            wait_for("the other server sees it", || {
                let answer = ask();
                (answer.status == 200 && answer.json() == inactive()).then_some(())
            });
            acknowledged.elapsed()
        })
        .collect();
    took.sort();
    let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    let late = took[took.len() * 9 / 10];
    eprintln!("I-10: {} revocations, seen after {median:?} (90 % {late:?}, slowest {slowest:?})", took.len());
    // The promise is one second for each; a machine that has other things to do may be late for some.
    assert!(median < Duration::from_secs(1) && slowest < Duration::from_secs(4), "{took:?}");
}

/// T-223 for what is posted to the other two endpoints, in whatever place and form.
#[test]
fn t223_nothing_that_is_posted_for_introspection_or_revocation_is_written_down() {
    let home = Home::new();
    let client = home.usual_client();
    let api = home.add_client(&["--serves", API, "--tokens", "false"]);
    let audit = home.folder.path().join("audit.log");
    let opaque = home.add_client(&["--audience", API, "--format", "opaque"]);
    let config = format!("{GENEROUS}[log]\nlevel = \"trace\"\n[audit]\noutput = \"{}\"\n", audit.display());
    let scene = Scene { server: home.serve(&config), client, api };
    let (wrong, marker) = ("jtn_presented_but_wrong", "marker-of-a-token");
    let tokens = [scene.token(), scene.server.ask(&opaque, GRANT).access_token()];
    for path in [INTROSPECT, REVOKE] {
        for token in tokens.iter().map(String::as_str).chain([marker]) {
            let by_body =
                |caller: &Client| format!("token={token}&client_id={}&client_secret={}", caller.id, caller.secret);
            for caller in
                [&scene.api, &scene.client, &opaque, &Client { secret: wrong.to_owned(), ..scene.api.clone() }]
            {
                scene.post(path, caller, &format!("token={token}&token_type_hint={token}"));
                post(&scene.server, path, &[], &by_body(caller));
                scene.post(path, caller, &format!("token={token}&token={token}&{token}=x"));
                post(&scene.server, path, &[("Authorization", &format!("Bearer {token}"))], &format!("token={token}"));
                post(&scene.server, path, &[("Authorization", &basic(token, token))], &format!("token=%zz{token}"));
                post(&scene.server, &format!("{path}?token={token}"), &[("Content-Type", "text/plain")], token);
            }
        }
    }
    let jti = claims(&tokens[0])["jti"].as_str().unwrap().to_owned();
    let written = wait_for("the revocation is written down", || {
        let text = std::fs::read_to_string(&audit).unwrap_or_default();
        (text.contains("token.revoked") && text.contains(&jti)).then_some(text)
    });
    wait_for("the last refusal is logged", || scene.server.log_text().contains("request refused").then_some(()));
    let (log, metrics) = (std::sync::Arc::clone(&scene.server.log), scene.server.ops("/metrics").text());
    let (_home, status) = scene.server.end_by("-TERM");
    assert!(status.success());
    let audit = std::fs::read_to_string(&audit).unwrap();
    assert!(audit.len() >= written.len() && audit.contains("caller.refused"));
    let seen = [("audit log", audit), ("log", log.lock().unwrap().join("\n")), ("metrics", metrics)];
    let callers = [&scene.client, &scene.api, &opaque];
    let secrets = callers.iter().flat_map(|caller| [caller.secret.clone(), caller.basic()[6..].to_owned()]);
    for secret in secrets.chain(tokens).chain([wrong, marker].map(str::to_owned)) {
        // Of a signed token the part that makes it one.
        let secret = secret.rsplit('.').next().unwrap();
        for (place, text) in &seen {
            assert!(!text.contains(secret), "{secret} in the {place}");
        }
    }
}
