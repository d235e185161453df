//! Assertions at every endpoint, what the operator sees of them, and what nobody does.

use super::*;
use crate::support::wait_for;

#[test]
fn i18_r01_an_assertion_for_the_issuer_authenticates_at_introspection_and_revocation() {
    let home = Home::new();
    let client = Signer::register(&home, Algorithm::EdDsa);
    let api = Signer::register_with(&home, Algorithm::Ps256, &["--serves", API, "--tokens", "false"]);
    let stranger = Signer::register(&home, Algorithm::Es256);
    let server = home.serve(GENEROUS);
    let post = |path: &str, caller: &Signer, token: &str| {
        let mut wire = server.wire();
        wire.post(path, &[], &format!("token={token}&{}", form(&caller.assertion(&server.url()))));
        wire.answer()
    };
    let look = |caller: &Signer, token: &str| {
        let answer = post("/oauth2/introspect", caller, token);
        assert_eq!(answer.status, 200, "I-18: {}", answer.text());
        answer.json()["active"].as_bool().unwrap()
    };
    let token = client.ask(&server).access_token();
    assert!(look(&api, &token) && look(&client, &token), "I-18 I-05");
    let away = stranger.claims("https://other.example");
    let mut wire = server.wire();
    wire.post("/oauth2/introspect", &[], &format!("token={token}&{}", form(&stranger.sign(&stranger.header(), &away))));
    expect_refused(&wire.answer(), "I-02 for another server");
    assert_eq!(post("/oauth2/revoke", &stranger, &token).error(), "unauthorized_client", "R-05");
    assert_eq!(post("/oauth2/revoke", &client, &token).status, 200, "R-01");
    assert!(!look(&api, &token), "I-06");
    assert_eq!(present(&server, &api.assertion(&server.url())).error(), "unauthorized_client", "it only introspects");
}

#[test]
fn t121_t124_the_token_endpoint_is_an_audience_and_long_lives_are_taken_where_that_is_set() {
    let home = Home::new();
    let signer = Signer::register(&home, Algorithm::EdDsa);
    let lifetime = "[limits]\nassertion_lifetime = \"1h\"\n";
    let server = home.serve(&GENEROUS.replacen("[limits]\n", lifetime, 1));
    let endpoint = format!("{}/oauth2/token", server.url());
    expect_refused(&present(&server, &signer.assertion(&endpoint)), "T-121 strict");
    let set = |audience: &str| {
        let set = server.home.json(&["client", "set", &signer.id, "--assertion-audience", audience]);
        assert_eq!(set["assertion_audience"], audience);
    };
    set("endpoint");
    assert_eq!(present(&server, &signer.assertion(&endpoint)).status, 200, "T-121: at once, like any confirmed change");
    assert_eq!(signer.ask(&server).status, 200, "and the issuer still is");
    for other in ["oauth2/introspect", "oauth2/token/", "OAUTH2/token"] {
        expect_refused(&present(&server, &signer.assertion(&format!("{}/{other}", server.url()))), other);
    }
    set("issuer");
    wait_for("it acts", || (present(&server, &signer.assertion(&endpoint)).status == 401).then_some(()));
    for (end, status) in [(3590, 200), (3700, 401)] {
        let mut claims = signer.claims(&server.url());
        claims["exp"] = json!(now() + end);
        assert_eq!(present(&server, &signer.sign(&signer.header(), &claims)).status, status, "T-124 {end}");
    }
}

#[test]
fn t090_forgeries_are_throttled_and_the_client_is_served_all_the_same() {
    let home = Home::new();
    let signer = Signer::register(&home, Algorithm::EdDsa);
    let server = home.serve("[limits]\nclient_failures = 3\nclient_failures_per_second = 1\n[serve]\nworkers = 1\n");
    assert_eq!(signer.ask(&server).status, 200, "it is in memory");
    let forger = signer.with_another_key(Algorithm::EdDsa);
    let throttled = wait_for("it is throttled", || {
        let answer = present(&server, &forger.assertion(&server.url()));
        assert!(matches!(answer.status, 401 | 429), "{}", answer.text());
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(throttled.error(), "slow_down");
    assert_eq!(signer.ask(&server).status, 200, "T-090");
}

#[test]
fn t217_t223_the_logs_name_the_key_and_never_an_assertion() {
    let home = Home::new();
    let log = home.folder.path().join("audit.log");
    let config = format!("{GENEROUS}[log]\nlevel = \"trace\"\n[audit]\noutput = \"{}\"\n", log.display());
    let commands = crate::support::nursery::file(&home.folder, "commands.toml", &config);
    let commands = commands.to_str().unwrap().to_owned();
    let signer = Signer::register_with(&home, Algorithm::EdDsa, &["--config", &commands, "--scope", "read"]);
    let server = home.serve(&config);
    let good = signer.assertion(&server.url());
    let forged = signer.with_another_key(Algorithm::EdDsa).assertion(&server.url());
    let token = present(&server, &good).access_token();
    for again in [&good, &forged] {
        expect_refused(&present(&server, again), "a replay, a forgery");
    }
    let mut wire = server.wire();
    let last = signer.assertion(&server.url());
    wire.post("/oauth2/revoke", &[], &format!("token={token}&{}", form(&last)));
    assert_eq!(wire.answer().status, 200);
    let kid = signer.key.kid().to_string();
    server.home.json(&["--config", &commands, "client", "key", "remove", &signer.id, &kid]);
    let written = wait_for("the audit log is written", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |name: &str| events.iter().filter(|event| event["event"] == name).cloned().collect::<Vec<_>>();
        let named = ["client_key.added", "token.issued", "token.revoked", "client_key.removed"].map(of);
        let refusals = of("token.refused");
        (named.iter().all(|events| events.len() == 1) && refusals.len() == 2).then_some((text, named, refusals))
    });
    let (text, named, refusals) = written;
    for event in named.iter().flatten() {
        assert_eq!((&event["client_kid"], &event["client"]), (&json!(kid), &json!(signer.id)), "T-217 {event}");
    }
    assert!(refusals.iter().all(|event| event.get("client_kid").is_none()), "nothing was proved: {refusals:?}");
    let everything = format!("{text}\n{}\n{}", server.log_text(), server.ops("/metrics").text());
    for assertion in [&good, &forged, &last] {
        for part in assertion.split('.').skip(1) {
            assert!(!everything.contains(part), "T-223");
        }
    }
    let jti = crate::support::segment(&good, 1)["jti"].as_str().unwrap().to_owned();
    assert!(!everything.contains(&jti), "T-223: nor its name");
    let series = r#"jeton_client_authentications_total{method="private_key_jwt"}"#;
    assert!(server.metric(series) >= 2.0, "X-02");
    for (reason, least) in [("replayed_assertion", 1.0), ("wrong_key", 1.0), ("expired_key", 0.0)] {
        let series = format!("jeton_authentication_failures_total{{reason=\"{reason}\"}}");
        assert!(server.metric(&series) >= least, "X-02 {reason}");
    }
}

#[test]
fn m04_m07_the_advertised_algorithms_are_those_that_work() {
    let home = Home::new();
    let signers = ALGORITHMS.map(|algorithm| Signer::register(&home, algorithm));
    let server = home.serve(GENEROUS);
    let said = server.get("/.well-known/oauth-authorization-server").json();
    let works = ["EdDSA", "Ed25519", "ES256", "RS256", "PS256", "ES384", "RS512", "HS256", "none"].map(|alg| {
        let is_accepted = signers.iter().any(|signer| {
            let header = json!({"alg": alg, "kid": signer.key.kid()});
            present(&server, &signer.sign(&header, &signer.claims(&server.url()))).status == 200
        });
        (alg, is_accepted)
    });
    for endpoint in ["token", "introspection", "revocation"] {
        let methods = &said[format!("{endpoint}_endpoint_auth_methods_supported")];
        assert_eq!(*methods, json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]), "M-04");
        let advertised = &said[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
        for (alg, is_accepted) in works {
            assert_eq!(advertised.as_array().unwrap().contains(&json!(alg)), is_accepted, "M-07 {endpoint} {alg}");
        }
    }
}
