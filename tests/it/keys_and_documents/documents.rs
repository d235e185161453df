//! The JWKS document on the wire: its members, its caching, and that nothing takes it away.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{JWKS, METADATA, keys, kid, thumbprint, verifies};
use crate::support::{Answer, GENEROUS, GRANT, Home, Server, wait_for};

/// Sends one request with these header lines.
fn request(server: &Server, method: &str, path: &str, headers: &str) -> Answer {
    let mut wire = server.wire();
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{headers}\r\n").as_bytes());
    if method == "HEAD" { wire.head_answer() } else { wire.answer() }
}

/// J-02, J-03, J-04 for every key of a document.
fn check_keys(document: &Value) {
    let keys = document["keys"].as_array().unwrap();
    assert!(!keys.is_empty(), "an empty set");
    assert_eq!(document.as_object().unwrap().len(), 1);
    let mut kids = HashSet::new();
    for key in keys {
        let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x"]), "public members and no other");
        assert_eq!((&key["kty"], &key["crv"]), (&"OKP".into(), &"Ed25519".into()));
        assert_eq!((&key["alg"], &key["use"]), (&"EdDSA".into(), &"sig".into()));
        let x = key["x"].as_str().unwrap();
        assert_eq!(x.len(), 43);
        assert_eq!(URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.decode(x).unwrap()), x, "not canonical");
        assert_eq!(key["kid"], thumbprint(key));
        assert!(kids.insert(key["kid"].to_string()), "a kid twice");
    }
}

#[test]
fn j01_j02_j03_j04_t214_the_set_is_what_verifiers_expect_and_tokens_verify_by_it_alone() {
    let (server, client) = Server::usual();
    server.home.json(&["key", "rotate"]);
    let two = || Some(server.get(JWKS)).filter(|answer| answer.json()["keys"].as_array().unwrap().len() == 2);
    let answer = wait_for("the new key is published", two);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/jwk-set+json")));
    check_keys(&answer.json());
    let token = server.ask_patiently(&client, GRANT).access_token();
    let keys = keys(&answer.json());
    assert!(verifies(&token, &keys));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = server.ask_patiently(&client, GRANT).access_token();
    assert!(!verifies(&format!("{}.{signature}", other.rsplit_once('.').unwrap().0), &keys), "a signature of its own");
    assert!(!verifies(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64])), &keys));
}

#[test]
fn j06_the_set_may_be_kept_and_is_not_sent_twice() {
    let (server, _client) = Server::usual();
    let answer = server.get(JWKS);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let etag = answer.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 8, "{etag}");
    for held in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let known = request(&server, "GET", JWKS, &format!("If-None-Match: {held}\r\n"));
        assert_eq!((known.status, known.body.len()), (304, 0), "{held}");
        assert_eq!(known.header("etag"), Some(etag.as_str()));
        assert_eq!(known.header("cache-control"), Some("public, max-age=300"));
    }
    assert_eq!(request(&server, "GET", JWKS, "If-None-Match: \"other\"\r\n").status, 200);
    let head = request(&server, "HEAD", JWKS, "");
    assert_eq!(head.status, 200);
    for name in ["content-type", "content-length", "cache-control", "etag"] {
        assert_eq!(head.header(name), answer.header(name), "{name}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"] {
        let refused = request(&server, method, JWKS, "");
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!(refused.header("cache-control"), Some("no-store"), "{method}");
    }
    server.home.json(&["key", "rotate"]);
    let changed =
        || Some(request(&server, "GET", JWKS, &format!("If-None-Match: {etag}\r\n"))).filter(|a| a.status == 200);
    assert_ne!(wait_for("another set has another tag", changed).header("etag"), Some(etag.as_str()));
}

#[test]
fn j07_the_documents_need_no_credentials_and_no_store() {
    let (server, _client) = Server::usual();
    let (set, metadata) = (server.get(JWKS), server.get(METADATA));
    let check = |what: &str| {
        for (path, known) in [(JWKS, &set), (METADATA, &metadata)] {
            let answer = server.get(path);
            assert_eq!((answer.status, &answer.body), (200, &known.body), "{path} {what}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path} {what}");
            assert!(answer.header("access-control-allow-credentials").is_none(), "{path} {what}");
        }
    };
    check("without credentials");
    for (path, known) in [(JWKS, &set), (METADATA, &metadata)] {
        for headers in ["Authorization: Basic eDp4\r\n", "Authorization: Bearer x\r\n", "Origin: https://a.example\r\n"]
        {
            let answer = request(&server, "GET", &format!("{path}?x=%ff&kid=none"), headers);
            assert_eq!((answer.status, &answer.body), (200, &known.body), "{path} {headers}");
        }
    }
    let away = server.home.folder.path().join("away.db");
    std::fs::rename(&server.home.database, &away).unwrap();
    let up = "jeton_store_up";
    assert!(server.ops("/metrics").text().contains("\njeton_store_up 1\n"), "the series that is watched here");
    wait_for("the store is lost", || (server.metric(up) < 0.5).then_some(()));
    check("without a store");
}

#[test]
fn j08_every_server_has_every_key_and_no_reader_ever_sees_an_empty_set() {
    let (first, client) = Server::usual();
    let database = first.home.database.clone();
    let second = Home::at(database).serve(GENEROUS);
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for server in [&first, &second] {
            let (done, reads) = (&done, &reads);
            scope.spawn(move || {
                let mut wire = server.wire();
                while !done.load(Ordering::Relaxed) {
                    wire.send(format!("GET {JWKS} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
                    let answer = wire.answer();
                    assert_eq!(answer.status, 200);
                    check_keys(&answer.json());
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The readers end whatever happens here.
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("both are read", || (reads.load(Ordering::Relaxed) > 50).then_some(()));
            first.home.json(&["key", "rotate"]);
            let started = Instant::now();
            let both = || {
                let sets = [&first, &second].map(|server| server.get(JWKS).json());
                (sets[0] == sets[1] && sets[0]["keys"].as_array().unwrap().len() == 2).then_some(())
            };
            wait_for("both publish both keys", both);
            assert!(started.elapsed() < Duration::from_secs(5), "promised within a second: {:?}", started.elapsed());
            let seen = reads.load(Ordering::Relaxed);
            wait_for("and are read on", || (reads.load(Ordering::Relaxed) > seen + 50).then_some(()));
        }));
        done.store(true, Ordering::Relaxed);
        rotated.unwrap();
    });
    for server in [&first, &second] {
        let token = server.ask_patiently(&client, GRANT).access_token();
        assert!(verifies(&token, &keys(&first.get(JWKS).json())), "{}", kid(&token));
    }
}
