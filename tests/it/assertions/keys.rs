//! The keys of clients: how they are registered, told apart, and taken away.

use std::time::Instant;

use super::*;
use crate::support::nursery::file;
use crate::support::wait_for;

#[test]
fn t112_t113_a_key_is_found_by_its_name_and_without_one_by_its_algorithm() {
    let home = Home::new();
    let first = Signer::register(&home, Algorithm::EdDsa);
    let others = [Algorithm::EdDsa, Algorithm::Es256].map(|algorithm| first.with_another_key(algorithm));
    for other in &others {
        other.add_key(&home, &[]);
    }
    let neighbour = Signer::register(&home, Algorithm::EdDsa);
    let server = home.serve(GENEROUS);
    for signer in [&first, &others[0], &others[1]] {
        for header in [signer.header(), json!({"alg": signer.key.algorithm()})] {
            let answer = present(&server, &signer.sign(&header, &signer.claims(&server.url())));
            assert_eq!(answer.status, 200, "T-112 {header}");
        }
        let misnamed = json!({"alg": signer.key.algorithm(), "kid": neighbour.key.kid()});
        expect_refused(&present(&server, &signer.sign(&misnamed, &signer.claims(&server.url()))), "T-113");
    }
    let stranger = first.with_another_key(Algorithm::EdDsa);
    for header in [stranger.header(), json!({"alg": "EdDSA"}), first.header(), neighbour.header()] {
        expect_refused(&present(&server, &stranger.sign(&header, &stranger.claims(&server.url()))), "T-112 unknown");
    }
    let theirs = neighbour.under(&first.id);
    expect_refused(&present(&server, &theirs.assertion(&server.url())), "T-113: another client's key");
}

#[test]
fn t112_two_kinds_of_keys_may_have_one_name() {
    let home = Home::new();
    let first = Signer::register(&home, Algorithm::EdDsa);
    let second = first.with_another_key(Algorithm::Es256);
    let mut jwk: Value = serde_json::from_str(second.key.jwk()).unwrap();
    jwk["kid"] = json!(first.key.kid());
    let jwk = file(&home.folder, "same-name.jwk", &jwk.to_string());
    home.json(&["client", "key", "add", &first.id, jwk.to_str().unwrap()]);
    let server = home.serve(GENEROUS);
    for signer in [&first, &second] {
        let header = json!({"alg": signer.key.algorithm(), "kid": first.key.kid()});
        assert_eq!(present(&server, &signer.sign(&header, &signer.claims(&server.url()))).status, 200);
    }
}

#[test]
fn t111_t137_what_cannot_or_must_not_be_used_is_refused_at_registration_and_not_repeated() {
    let home = Home::new();
    let signer = Signer::register(&home, Algorithm::EdDsa);
    let public: Value = serde_json::from_str(signer.key.jwk()).unwrap();
    let with = |name: &str, value: Value| {
        let mut jwk = public.clone();
        jwk[name] = value;
        jwk
    };
    let rsa: Value = serde_json::from_str(signer.with_another_key(Algorithm::Ps256).key.jwk()).unwrap();
    let small = json!({"kty": "RSA", "alg": "PS256", "n": &rsa["n"].as_str().unwrap()[..172], "e": "AQAB"});
    for (what, jwk, sentence) in [
        ("T-137 private", with("d", json!("c2VjcmV0LXBhcnQ")), "private or secret key"),
        ("T-137 symmetric", json!({"kty": "oct", "k": "c2VjcmV0LXBhcnQ"}), "private or secret key"),
        ("T-137 use", with("use", json!("enc")), "not for signatures"),
        ("T-137 key_ops", with("key_ops", json!(["sign"])), "not for signatures"),
        ("T-107", with("alg", json!("ES256")), "of another kind"),
        ("T-111 small", small, "weak or broken"),
        ("T-110 small order", with("x", json!("A".repeat(43))), "weak or broken"),
        ("A-05 repeated", public.clone(), "the same kid and alg"),
    ] {
        let path = file(&home.folder, "refused.jwk", &jwk.to_string());
        let output = home.run(&["client", "key", "add", &signer.id, path.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{what}: {text}");
        assert!(text.contains(sentence) && !text.contains("c2VjcmV0"), "{what}: {text}");
        let list = || home.run(&["client", "list", "-o", "json"]).stdout;
        let before = list();
        let added = home.run(&["client", "add", "x", "--jwks", path.to_str().unwrap()]);
        assert!(added.status.success() == (what == "A-05 repeated"), "{what}");
        assert!(added.status.success() || list() == before, "{what}: nobody was registered");
    }
    assert_eq!(home.json(&["client", "show", &signer.id])["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_client_with_keys_is_shown_with_them_and_has_no_secret() {
    let home = Home::new();
    let signer = Signer::register(&home, Algorithm::Es256);
    let shown = home.json(&["client", "show", &signer.id]);
    let jwk: Value = serde_json::from_str(signer.key.jwk()).unwrap();
    assert_eq!((&shown["secrets"], &shown["assertion_audience"]), (&json!([]), &json!("issuer")));
    let key = &shown["keys"][0];
    assert_eq!((&key["kid"], &key["alg"], &key["expires_at"]), (&jwk["kid"], &json!("ES256"), &Value::Null));
    assert_eq!(key["jwk"], json!({"kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"]}));
    assert_eq!(home.json(&["client", "key", "list", &signer.id]), *key);
    let kid = jwk["kid"].as_str().unwrap();
    for unknown in ["nonsense", "-av5owUa2JMguPF18luOjMagfwQO4KoYwXswX5lD9Bs"] {
        let output = home.run(&["client", "key", "remove", &signer.id, unknown]);
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("no such key"),
            "a thumbprint may begin with a hyphen"
        );
    }
    assert_eq!(home.json(&["client", "key", "remove", &signer.id, kid]), Value::Null, "none is left to be listed");
    assert_eq!(home.json(&["client", "show", &signer.id])["keys"], json!([]));
}

#[test]
fn t138_a_key_that_is_removed_or_expired_or_whose_client_is_disabled_is_refused_on_every_node() {
    let (server, first) = scene();
    let other = server.beside(&format!("issuer = \"{}\"\n{GENEROUS}", server.url()));
    let ask_both =
        |signer: &Signer| [&server, &other].map(|node| present(node, &signer.assertion(&server.url())).status);
    let until_both_refuse = |signer: &Signer, what: &str| {
        let began = Instant::now();
        wait_for(what, || (ask_both(signer) == [401, 401]).then_some(()));
        assert!(began.elapsed() < SOON, "{what} took {:?}", began.elapsed());
    };
    let second = first.with_another_key(Algorithm::EdDsa);
    assert_eq!(ask_both(&second), [401, 401], "not registered yet");
    second.add_key(&server.home, &[]);
    assert_eq!(ask_both(&second), [200, 200], "a refusal is confirmed by the store, so a new key works at once");
    assert_eq!(ask_both(&first), [200, 200], "and the old one beside it");
    server.home.json(&["client", "key", "remove", &first.id, first.key.kid().as_str()]);
    until_both_refuse(&first, "T-138 removed");
    assert_eq!(ask_both(&second), [200, 200]);
    let short = first.with_another_key(Algorithm::Es256);
    short.add_key(&server.home, &["--expires", "3s"]);
    assert_eq!(ask_both(&short), [200, 200], "T-138 before its end");
    let expires_at = server.home.json(&["client", "show", &first.id])["keys"][1]["expires_at"].as_u64().unwrap();
    wait_for("its end", || (now() >= expires_at).then_some(()));
    assert_eq!(ask_both(&short), [401, 401], "T-138 expired: by the clock, on the second");
    let mut renamed: Value = serde_json::from_str(short.key.jwk()).unwrap();
    renamed["kid"] = json!("renewed");
    let renewed = file(&server.home.folder, "renewed.jwk", &renamed.to_string());
    server.home.json(&["client", "key", "add", &first.id, renewed.to_str().unwrap()]);
    let unnamed = || short.sign(&json!({"alg": "ES256"}), &short.claims(&server.url()));
    assert_eq!(present(&server, &unnamed()).status, 200, "the same key under another name, which has not expired");
    server.home.json(&["client", "disable", &first.id]);
    until_both_refuse(&second, "T-138 disabled");
    server.home.json(&["client", "enable", &first.id]);
    wait_for("it is enabled again", || (ask_both(&second) == [200, 200]).then_some(()));
}
