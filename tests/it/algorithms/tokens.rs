//! Tokens of each algorithm through the socket, and the documents that they verify by.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{ALGORITHMS, JWKS, everyone, verifies};
use crate::support::{API, Answer, Client, GENEROUS, GRANT, Server, claims, jeton, segment};

fn introspect(server: &Server, client: &Client, headers: &[(&str, &str)], token: &str) -> Answer {
    let basic = client.basic();
    let mut wire = server.wire();
    wire.post(
        "/oauth2/introspect",
        &[&[("Authorization", basic.as_str())], headers].concat(),
        &format!("token={token}"),
    );
    wire.answer()
}

#[test]
fn t210_t211_t214_every_algorithm_gets_tokens_that_verify_by_the_published_keys_alone() {
    let (home, clients) = everyone();
    let server = home.serve(GENEROUS);
    let set = server.get(JWKS).json();
    for (algorithm, client) in &clients {
        let usual = server.ask_patiently(client, GRANT).access_token();
        let narrowed = server.ask_patiently(client, &format!("{GRANT}&scope=read&resource={API}")).access_token();
        for token in [&usual, &narrowed] {
            let header = segment(token, 0);
            assert_eq!((&header["alg"], &header["typ"]), (&json!(algorithm), &json!("at+jwt")));
            assert!(verifies(token, &set), "{algorithm}: {token}");
            let signature = URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
            assert_eq!(signature.len(), if algorithm.ends_with("S256") && *algorithm != "ES256" { 256 } else { 64 });
            assert_eq!((&claims(token)["sub"], &claims(token)["aud"]), (&json!(client.id), &json!(API)));
            let issuer = server.url();
            let output = jeton().args(["token", "inspect", token, "--issuer", &issuer]).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && said.contains("verdict\tvalid\n"), "{algorithm}: {said}");
            assert_eq!(introspect(&server, client, &[], token).json()["active"], true, "{algorithm}");
        }
        assert_eq!(claims(&narrowed)["scope"], "read");
        let series = format!("jeton_signatures_total{{alg=\"{algorithm}\"}}");
        assert!((server.metric(&series) - 2.0).abs() < 0.5, "{series} {}", server.metric(&series));
        let (start, signature) = usual.rsplit_once('.').unwrap();
        let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
        let damaged = format!("{start}.{flipped}{}", &signature[1..]);
        assert!(!verifies(&damaged, &set));
        assert_eq!(introspect(&server, client, &[], &damaged).json(), json!({"active": false}), "{algorithm}");
    }
}

#[test]
fn m07_a_signed_introspection_is_signed_as_the_metadata_says_whatever_the_token_is() {
    let (home, clients) = everyone();
    let server = home.serve(GENEROUS);
    let metadata = server.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(metadata["introspection_signing_alg_values_supported"], json!(["EdDSA"]));
    for (algorithm, client) in &clients {
        let token = server.ask_patiently(client, GRANT).access_token();
        let accept = [("Accept", "application/token-introspection+jwt")];
        let answer = introspect(&server, client, &accept, &token).text();
        assert_eq!(segment(&answer, 0)["alg"], "EdDSA");
        assert_eq!(claims(&answer)["token_introspection"]["active"], true, "{algorithm}");
        assert!(verifies(&answer, &server.get(JWKS).json()));
    }
}

/// The algorithms of the keys of a document, in its order.
fn algorithms(set: &Value) -> Vec<String> {
    set["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn j01_j06_the_set_has_rsa_first_and_okp_last_and_can_be_asked_for_one_algorithm() {
    let (home, _) = everyone();
    let server = home.serve(GENEROUS);
    let whole = server.get(JWKS);
    assert_eq!(algorithms(&whole.json()), ["RS256", "PS256", "ES256", "EdDSA"]);
    let mut tags = HashSet::from([whole.header("etag").unwrap().to_owned()]);
    for algorithm in ALGORITHMS {
        let answer = server.get(&format!("{JWKS}?alg={algorithm}"));
        assert_eq!((answer.status, algorithms(&answer.json())), (200, vec![algorithm.to_owned()]));
        for name in ["content-type", "cache-control", "access-control-allow-origin"] {
            assert_eq!(answer.header(name), whole.header(name), "{name}");
        }
        let tag = answer.header("etag").unwrap().to_owned();
        let mut wire = server.wire();
        wire.send(
            format!("GET {JWKS}?x&alg={algorithm} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n").as_bytes(),
        );
        assert_eq!(wire.answer().status, 304, "{algorithm}");
        assert!(tags.insert(tag), "a tag of its own");
    }
    // Verifiers can do nothing with an empty set, so a question that nothing answers is none.
    for query in ["alg=", "alg=HS256", "alg=none", "alg=es256", "alg=EdDSA%20", "kid=x", "ALG=ES256", "%", ""] {
        let answer = server.get(&format!("{JWKS}?{query}"));
        assert_eq!((answer.status, &answer.body), (200, &whole.body), "{query}");
    }
}

#[test]
fn an_algorithm_that_nobody_uses_has_no_keys_and_is_answered_with_all() {
    let (server, _) = Server::usual();
    let whole = server.get(JWKS);
    assert_eq!(algorithms(&whole.json()), ["EdDSA"], "keys are made when they are used");
    assert_eq!(server.get(&format!("{JWKS}?alg=RS256")).body, whole.body);
}

#[test]
fn t213_slow_signatures_made_side_by_side_stand_in_their_own_tokens() {
    let (home, clients) = everyone();
    let server = home.serve(GENEROUS);
    let set = server.get(JWKS).json();
    std::thread::scope(|scope| {
        for (algorithm, client) in clients.iter().chain(&clients) {
            let (server, set) = (&server, &set);
            scope.spawn(move || {
                let mut seen = HashSet::new();
                for _ in 0..10 {
                    let token = server.ask_patiently(client, GRANT).access_token();
                    assert!(verifies(&token, set), "{algorithm}: {token}");
                    assert_eq!(claims(&token)["sub"], json!(client.id));
                    assert!(seen.insert(claims(&token)["jti"].to_string()));
                }
            });
        }
    });
    assert!(!server.log_text().contains("panicked"));
}
