//! The token itself: its members, its id, and what it is narrowed to.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::support::{API, GENEROUS, GRANT, Home, OTHER_API, Server, claims, count, segment, wait_for};

#[test]
fn t060_t200_t201_t210_t211_t212_t216_a_right_secret_gets_a_token_of_rfc_9068() {
    let (server, client) = Server::usual();
    let answer = server.ask(&client, GRANT);
    let body = answer.json();
    let members: HashSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, HashSet::from(["access_token", "token_type", "expires_in", "scope"]));
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&"Bearer".into(), &3600.into(), &"read write".into())
    );
    for (name, value) in [("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    let token = answer.access_token();
    let header = segment(&token, 0);
    let published = server.get("/.well-known/jwks.json").json()["keys"][0]["kid"].clone();
    assert_eq!(header, serde_json::json!({"alg": "EdDSA", "typ": "at+jwt", "kid": published}));
    let said = claims(&token);
    let members: HashSet<&str> = said.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, HashSet::from(["iss", "sub", "client_id", "aud", "scope", "iat", "exp", "jti"]));
    assert_eq!((&said["iss"], &said["sub"]), (&server.url().into(), &client.id.clone().into()));
    assert_eq!((&said["client_id"], &said["scope"]), (&client.id.clone().into(), &"read write".into()));
    assert_eq!(said["aud"], serde_json::json!([API, OTHER_API]));
    let (issued, expires) = (said["iat"].as_u64().unwrap(), said["exp"].as_u64().unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(expires - issued == 3600 && issued <= now && now - issued < 60);
    assert_eq!(URL_SAFE_NO_PAD.decode(said["jti"].as_str().unwrap()).unwrap().len(), 16);
    assert!(token.len() < 2048 && !token.contains(&client.secret));
}

#[test]
fn t213_every_token_has_an_id_of_its_own_also_after_a_restart() {
    let (server, client) = Server::usual();
    let mut seen = HashSet::new();
    let tokens = count("JETON_TEST_TOKENS", 2000);
    let collect = |server: &Server, seen: &mut HashSet<String>| {
        let mut wire = server.wire();
        for _ in 0..tokens {
            wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
            let id = claims(&wire.answer().access_token())["jti"].as_str().unwrap().to_owned();
            assert!(seen.insert(id), "a repeated jti");
        }
    };
    collect(&server, &mut seen);
    let mut server = server;
    server.signal("-TERM");
    server.wait_for_end();
    let home = std::mem::replace(&mut server.home, Home::new());
    let server = home.serve(GENEROUS);
    collect(&server, &mut seen);
}

#[test]
fn t229_narrowed_and_whole_tokens_of_one_client_never_mix() {
    let (server, client) = Server::usual();
    let mut wire = server.wire();
    for round in 0..50 {
        let (form, scope, aud) = match round % 3 {
            0 => (GRANT.to_owned(), "read write", serde_json::json!([API, OTHER_API])),
            1 => (format!("{GRANT}&scope=read"), "read", serde_json::json!([API, OTHER_API])),
            _ => (format!("{GRANT}&resource={API}"), "read write", serde_json::json!(API)),
        };
        wire.post("/oauth2/token", &[("Authorization", &client.basic())], &form);
        let said = claims(&wire.answer().access_token());
        assert_eq!((&said["scope"], &said["aud"]), (&scope.into(), &aud));
    }
    server.home.json(&["client", "set", &client.id, "--lifetime", "5m"]);
    wait_for("the new lifetime acts", || (server.ask(&client, GRANT).json()["expires_in"] == 300).then_some(()));
}
