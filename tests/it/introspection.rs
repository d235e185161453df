//! Introspection (RFC 7662, RFC 9701) and revocation (RFC 7009) over a real socket.

mod opaque;
mod revocation;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{
    API, Answer, Client, GENEROUS, GRANT, Home, OTHER_API, Server, basic, claims, jeton, segment, wait_for,
};

const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";

/// A server, a client of it, and the resource server that the client's tokens are for.
struct Scene {
    server: Server,
    client: Client,
    api: Client,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let client = home.usual_client();
        let api = home.add_client(&["--serves", API, "--tokens", "false"]);
        Self { server: home.serve(GENEROUS), client, api }
    }

    fn token(&self) -> String {
        self.server.ask(&self.client, GRANT).access_token()
    }

    fn post(&self, path: &str, caller: &Client, form: &str) -> Answer {
        post(&self.server, path, &[("Authorization", &caller.basic())], form)
    }

    fn introspect(&self, caller: &Client, token: &str) -> Value {
        let answer = self.post(INTROSPECT, caller, &format!("token={token}"));
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text());
        answer.json()
    }

    fn is_active(&self, token: &str) -> bool {
        self.introspect(&self.api, token)["active"] == true
    }
}

fn post(server: &Server, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    let mut wire = server.wire();
    wire.post(path, headers, form);
    wire.answer()
}

fn inactive() -> Value {
    json!({"active": false})
}

#[test]
fn i05_i11_an_active_token_is_described_by_its_own_claims() {
    let scene = Scene::new();
    let token = scene.token();
    let mut expected = claims(&token);
    expected["active"] = true.into();
    expected["token_type"] = "Bearer".into();
    assert_eq!(scene.introspect(&scene.api, &token), expected);
    assert!(expected["exp"].is_u64() && expected["iat"].is_u64());
    let hint = scene.post(INTROSPECT, &scene.api, &format!("token={token}&token_type_hint=refresh_token"));
    assert_eq!(hint.json(), expected, "I-04: a wrong hint changes nothing");
}

#[test]
fn i01_r08_only_posted_forms_are_read() {
    let scene = Scene::new();
    let token = scene.token();
    for path in [INTROSPECT, REVOKE] {
        let answer = scene.server.get(&format!("{path}?token={token}&callback=x"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{path}");
        let query = scene.post(&format!("{path}?token={token}"), &scene.client, "x=y");
        assert_eq!((query.status, query.error().as_str()), (400, "invalid_request"), "{path}");
        let header = [("Authorization", scene.client.basic()), ("Content-Type", "application/json".to_owned())];
        let header: Vec<(&str, &str)> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(post(&scene.server, path, &header, "{}").status, 400, "{path}");
    }
    assert!(scene.is_active(&token), "nothing of it revoked anything");
}

#[test]
fn i02_i13_i17_r07_nobody_asks_without_authentication() {
    let scene = Scene::new();
    let token = scene.token();
    let wrong = basic(&scene.api.id, "wrong");
    // I-13: a token that would speak for itself, and by itself.
    let bearer = format!("Bearer {token}");
    for path in [INTROSPECT, REVOKE] {
        for headers in [&[][..], &[("Authorization", wrong.as_str())], &[("Authorization", bearer.as_str())]] {
            let answer = post(&scene.server, path, headers, &format!("token={token}"));
            assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"), "{path} {headers:?}");
            assert!(answer.header("www-authenticate").is_some() && answer.json().get("active").is_none());
        }
        let twice = format!("token={token}&client_id={}&client_secret={}", scene.api.id, scene.api.secret);
        assert_eq!(scene.post(path, &scene.api, &twice).error(), "invalid_request", "T-077 holds here, too");
    }
    let body = format!("token={token}&client_id={}&client_secret={}", scene.api.id, scene.api.secret);
    assert_eq!(post(&scene.server, INTROSPECT, &[], &body).json()["active"], true, "the secret in the body");
}

#[test]
fn i03_r04_the_token_is_named_once() {
    let scene = Scene::new();
    for path in [INTROSPECT, REVOKE] {
        for form in ["", "token=", "token=a&token=b", "token=a&token_type_hint=x&token_type_hint=x"] {
            let answer = scene.post(path, &scene.client, form);
            assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_request"), "{path} {form:?}");
        }
    }
}

#[test]
fn i06_i07_i16_everything_else_is_inactive_and_says_no_more() {
    let scene = Scene::new();
    let token = scene.token();
    let [header, payload, signature] = [0, 1, 2].map(|part| token.split('.').nth(part).unwrap().to_owned());
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let with_header = |change: &dyn Fn(&mut Value)| {
        let mut changed = segment(&token, 0);
        change(&mut changed);
        format!("{}.{payload}.{signature}", encode(&changed))
    };
    let mut foreign = claims(&token);
    foreign["iss"] = "https://other.example".into();
    let last = if signature.ends_with('A') { 'B' } else { 'A' };
    let stray_bits = format!("{header}.{payload}.{}{last}", &signature[..signature.len() - 1]);
    let malleable = format!("{header}.{payload}.{}", plus_group_order(&signature));
    for (what, token) in [
        ("garbage", "garbage".to_owned()),
        ("dots", ".".repeat(60_000)),
        ("long", "a".repeat(60_000)),
        ("alg none", with_header(&|header| header["alg"] = "none".into())),
        ("alg HS256", with_header(&|header| header["alg"] = "HS256".into())),
        ("typ JWT", with_header(&|header| header["typ"] = "JWT".into())),
        ("unknown kid", with_header(&|header| header["kid"] = "other".into())),
        ("another issuer", format!("{header}.{}.{signature}", encode(&foreign))),
        ("unsigned", format!("{header}.{payload}.")),
        ("truncated", token[..token.len() - 1].to_owned()),
        ("extended", format!("{token}A")),
        ("padded", format!("{token}%3D")),
        ("stray bits", stray_bits),
        ("S + L", malleable),
    ] {
        assert_eq!(scene.introspect(&scene.api, &token), inactive(), "{what}");
    }
    assert!(scene.is_active(&token));
}

/// The same signature with the group order added to its second half: the equation still holds (RFC 8032 §5.1.7).
fn plus_group_order(signature: &str) -> String {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut carry = 0;
    for (byte, added) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(added) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn i08_a_caller_sees_its_own_tokens_and_those_for_the_resource_server_that_it_is() {
    let scene = Scene::new();
    let stranger = scene.server.home.add_client(&["--serves", "https://stranger.example"]);
    let narrowed = scene.server.ask(&scene.client, &format!("{GRANT}&resource={OTHER_API}")).access_token();
    let token = scene.token();
    assert_eq!(scene.introspect(&scene.client, &token)["active"], true, "its own");
    assert_eq!(scene.introspect(&scene.api, &token)["active"], true, "for it");
    assert_eq!(scene.introspect(&stranger, &token), inactive(), "not for it");
    assert_eq!(scene.introspect(&scene.api, &narrowed), inactive(), "for another resource server");
}

#[test]
fn i06_an_expired_token_is_inactive() {
    let home = Home::new();
    let client = home.add_client(&["--lifetime", "1s"]);
    let scene = Scene { server: home.serve(GENEROUS), api: client.clone(), client };
    let token = scene.token();
    wait_for("the token expires", || (!scene.is_active(&token)).then_some(()));
    assert_eq!(scene.introspect(&scene.api, &token), inactive());
    assert_eq!(scene.post(REVOKE, &scene.client, &format!("token={token}")).status, 200, "R-02");
}

#[test]
fn i09_what_happens_to_the_client_happens_to_its_tokens() {
    let scene = Scene::new();
    let home = &scene.server.home;
    let token = scene.token();
    let turns = |what: &str, active: bool| wait_for(what, || (scene.is_active(&token) == active).then_some(()));
    turns("the token is good", true);
    home.json(&["client", "disable", &scene.client.id]);
    turns("a disabled client's token", false);
    home.json(&["client", "enable", &scene.client.id]);
    turns("an enabled client's token", true);
    home.json(&["client", "set", &scene.client.id, "--scope", "read"]);
    turns("a token with a scope that is gone", false);
    home.json(&["client", "set", &scene.client.id, "--scope", "read write"]);
    turns("a token with its scope back", true);
    home.json(&["client", "remove", &scene.client.id]);
    turns("a removed client's token", false);
}

#[test]
fn r14_revoking_all_tokens_of_a_client_takes_those_of_the_same_second_too() {
    let scene = Scene::new();
    let token = scene.token();
    scene.server.home.json(&["client", "revoke-tokens", &scene.client.id]);
    wait_for("the tokens are revoked", || (!scene.is_active(&token)).then_some(()));
    wait_for("new tokens are good again", || scene.is_active(&scene.token()).then_some(()));
    assert!(!scene.is_active(&token));
}

#[test]
fn i12_a_signed_answer_is_a_jwt_of_its_own_type() {
    let scene = Scene::new();
    let token = scene.token();
    let ask = |token: &str| {
        let kind = "text/html, application/token-introspection+jwt;q=0.9";
        let headers = [("Authorization", scene.api.basic()), ("Accept", kind.to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = post(&scene.server, INTROSPECT, &headers, &format!("token={token}"));
        assert_eq!(answer.header("content-type"), Some("application/token-introspection+jwt"));
        answer.text()
    };
    let signed = ask(&token);
    let published = scene.server.get("/.well-known/jwks.json").json()["keys"][0]["kid"].clone();
    assert_eq!(segment(&signed, 0), json!({"alg": "EdDSA", "typ": "token-introspection+jwt", "kid": published}));
    let said = claims(&signed);
    let members: Vec<&String> = said.as_object().unwrap().keys().collect();
    assert_eq!(members, ["aud", "iat", "iss", "token_introspection"]);
    assert_eq!((&said["aud"], &said["iss"]), (&scene.api.id.clone().into(), &scene.server.url().into()));
    assert_eq!(said["token_introspection"], scene.introspect(&scene.api, &token));
    assert_eq!(claims(&ask("garbage"))["token_introspection"], inactive());
    assert_eq!(scene.introspect(&scene.api, &signed), inactive(), "I-06: it is no access token");
    check_signature(&scene.server, &signed);
}

fn check_signature(server: &Server, jws: &str) {
    let key = server.get("/.well-known/jwks.json").json()["keys"][0]["x"].as_str().unwrap().to_owned();
    let key: [u8; 32] = URL_SAFE_NO_PAD.decode(key).unwrap().try_into().unwrap();
    let (message, signature) = jws.rsplit_once('.').unwrap();
    let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
    key.verify_strict(message.as_bytes(), &signature.into()).unwrap();
}

#[test]
fn r01_i10_a_revoked_token_is_inactive_at_once_and_after_a_kill() {
    let mut scene = Scene::new();
    let (token, other) = (scene.token(), scene.token());
    let answer = scene.post(REVOKE, &scene.client, &format!("token={token}&token_type_hint=nonsense"));
    assert_eq!((answer.status, answer.body.len(), answer.header("cache-control")), (200, 0, Some("no-store")), "R-03");
    assert_eq!(scene.introspect(&scene.api, &token), inactive());
    assert!(scene.is_active(&other), "only the one");
    scene.server.signal("-KILL");
    scene.server.wait_for_end();
    scene.server.restart(GENEROUS);
    assert_eq!(scene.introspect(&scene.api, &token), inactive(), "R-10");
    assert!(scene.is_active(&other));
}

#[test]
fn r02_r05_r12_what_is_not_the_callers_own_good_token_is_left_alone() {
    let scene = Scene::new();
    let (token, stranger) = (scene.token(), scene.server.home.add_client(&[]));
    let refused = scene.post(REVOKE, &stranger, &format!("token={token}"));
    assert_eq!((refused.status, refused.error().as_str()), (400, "unauthorized_client"));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", signature.chars().rev().collect::<String>());
    for token in [forged.as_str(), "garbage", "a.b.c", &"x".repeat(20_000)] {
        assert_eq!(scene.post(REVOKE, &scene.client, &format!("token={token}")).status, 200);
    }
    assert!(scene.is_active(&token), "R-12: a forged token with its id revokes nothing");
    for _ in 0..2 {
        assert_eq!(scene.post(REVOKE, &scene.client, &format!("token={token}")).status, 200, "R-02: once more");
    }
    assert!(!scene.is_active(&token));
}

#[test]
fn r13_many_revocations_of_one_token_are_one_record() {
    let scene = Scene::new();
    let token = scene.token();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut wire = scene.server.wire();
                for _ in 0..25 {
                    wire.post(REVOKE, &[("Authorization", &scene.client.basic())], &format!("token={token}"));
                    assert_eq!(wire.answer().status, 200);
                }
            });
        }
    });
    assert_eq!(scene.server.home.json(&["store", "check"])["revocations"], 1);
}

#[test]
fn i15_r09_without_the_store_there_is_no_answer_rather_than_a_wrong_one() {
    let scene = Scene::new();
    let token = scene.token();
    assert!(scene.is_active(&token));
    let database = &scene.server.home.database;
    std::fs::rename(database, database.with_extension("away")).unwrap();
    let refused = |path: &str, caller: &Client| {
        let answer = scene.post(path, caller, &format!("token={token}"));
        let honest = answer.status == 503 && answer.header("retry-after").is_some();
        assert!(honest || answer.status == 200, "{} {}", answer.status, answer.text());
        honest.then_some(())
    };
    assert!(refused(REVOKE, &scene.client).is_some(), "a revocation is never acknowledged without the store");
    wait_for("introspection is out of date", || refused(INTROSPECT, &scene.api));
    assert_eq!(scene.server.ask(&scene.client, GRANT).status, 200, "tokens go on");
}

#[test]
fn m05_the_metadata_names_what_there_is() {
    let (server, _) = Server::usual();
    let document = server.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(document["introspection_endpoint"], format!("{}{INTROSPECT}", server.url()));
    assert_eq!(document["revocation_endpoint"], format!("{}{REVOKE}", server.url()));
    let help = jeton().args(["client", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("revoke-tokens"));
}
