//! What is an assertion, and what only looks like one: each is signed well by the client's own key unless it says
//! otherwise, so that nothing but the rule keeps it out.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;

/// What a rule has against a claim: its name, and its value or none.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if value == json!("(none)") {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
    object
}

#[test]
fn t100_t112_t116_t125_t127_what_is_an_assertion_gets_a_token() {
    let home = Home::new();
    let signers = ALGORITHMS.map(|algorithm| Signer::register(&home, algorithm));
    let server = home.serve(GENEROUS);
    for signer in &signers {
        let algorithm = signer.key.algorithm();
        let answer = signer.ask(&server);
        assert_eq!((answer.status, answer.json()["scope"].as_str()), (200, Some("read write")), "T-100 {algorithm}");
        let claims = crate::support::claims(&answer.access_token());
        assert_eq!(claims["sub"], signer.id.as_str(), "T-100 {algorithm}");
        let no_kid = with(signer.header(), "kid", json!("(none)"));
        assert_eq!(present(&server, &signer.sign(&no_kid, &signer.claims(&server.url()))).status, 200, "T-112");
    }
    let signer = &signers[0];
    for typ in ["(none)", "JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"] {
        let header = with(signer.header(), "typ", json!(typ));
        assert_eq!(present(&server, &signer.sign(&header, &signer.claims(&server.url()))).status, 200, "T-116 {typ}");
    }
    let renamed = with(signer.header(), "alg", json!("Ed25519"));
    assert_eq!(present(&server, &signer.sign(&renamed, &signer.claims(&server.url()))).status, 200, "RFC 9864");
    let fresh = || signer.claims(&server.url());
    for (rule, claims) in [
        ("T-122 a sole member", with(fresh(), "aud", json!([server.url()]))),
        ("T-123 fractional", with(fresh(), "exp", serde_json::from_str(&format!("{}.5", now() + 60)).unwrap())),
        ("T-125 nbf", with(fresh(), "nbf", json!(now() + 10))),
        ("T-125 iat", with(fresh(), "iat", json!(now() + 10))),
        ("T-127 no iat", with(fresh(), "iat", json!("(none)"))),
        ("T-128 the longest", with(fresh(), "jti", json!("j".repeat(256)))),
        ("what else it says", with(fresh(), "cnf", json!({"a": [1, null]}))),
    ] {
        let answer = present(&server, &signer.sign(&signer.header(), &claims));
        assert_eq!(answer.status, 200, "{rule}: {}", answer.text());
    }
    let with_id = format!("{GRANT}&client_id={}&{}", signer.id, form(&signer.assertion(&server.url())));
    assert_eq!(server.token(&[], &with_id).status, 200, "T-119 its own id beside it");
}

#[test]
fn t041_t077_t078_t085_t101_t119_one_mechanism_whole_and_alone() {
    let home = Home::new();
    let (client, signer) = (home.usual_client(), Signer::register(&home, Algorithm::EdDsa));
    let server = home.serve(GENEROUS);
    let assertion = signer.assertion(&server.url());
    let saml = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Asaml2-bearer";
    let secret = format!("client_id={}&client_secret={}", client.id, client.secret);
    for (rule, form) in [
        ("T-101 no type", format!("client_assertion={assertion}")),
        ("T-101 no assertion", KIND.to_owned()),
        ("T-101 an empty one", format!("{KIND}&client_assertion=")),
        ("T-101 SAML", format!("{saml}&client_assertion={assertion}")),
        ("T-101 case", format!("{}&client_assertion={assertion}", KIND.replace("jwt-bearer", "JWT-bearer"))),
        ("T-078 secret", format!("{secret}&{}", form(&assertion))),
        ("T-041 repeated", format!("{}&client_assertion={assertion}", form(&assertion))),
        ("T-041 repeated type", format!("{KIND}&{}", form(&assertion))),
        ("T-119 another's id", format!("client_id={}&{}", client.id, form(&assertion))),
    ] {
        let answer = server.token(&[], &format!("{GRANT}&{form}"));
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_request"), "{rule}: {}", answer.text());
    }
    let both = server.token(&[("Authorization", &client.basic())], &format!("{GRANT}&{}", form(&assertion)));
    assert_eq!((both.status, both.error().as_str()), (400, "invalid_request"), "T-078 Basic");
    assert_eq!(present(&server, &assertion).status, 200, "T-133: none of it used the assertion up");
    for secret in [&client.secret, "", &signer.assertion(&server.url())] {
        let form = format!("{GRANT}&client_id={}&client_secret={secret}", signer.id);
        expect_refused(&server.token(&[], &form), "T-085 a secret for a client that has none");
    }
}

/// Forms, headers and claims that are none of an assertion's, each with its rule.
fn impostors(signer: &Signer, issuer: &str) -> Vec<(&'static str, String)> {
    let header = |name: &str, value: Value| signer.sign(&with(signer.header(), name, value), &signer.claims(issuer));
    let claim = |name: &str, value: Value| signer.sign(&signer.header(), &with(signer.claims(issuer), name, value));
    let good = signer.assertion(issuer);
    let parts: Vec<&str> = good.split('.').collect();
    let text = |text: &str| signer.sign_text(&signer.header().to_string(), text);
    let members = signer.claims(issuer).to_string();
    let mut all = vec![
        ("T-102 nothing of it", "x".to_owned()),
        ("T-102 two segments", format!("{}.{}", parts[0], parts[1])),
        ("T-102 four segments", format!("{good}.AAAA")),
        ("T-102 five segments", format!("{good}.AAAA.AAAA")),
        ("T-102 no header", format!(".{}.{}", parts[1], parts[2])),
        ("T-102 no claims", format!("{}..{}", parts[0], parts[2])),
        ("T-102 no signature", format!("{}.{}.", parts[0], parts[1])),
        ("T-102 dots", ".".repeat(60_000)),
        ("T-103 JSON", r#"{"payload":"e30","signatures":[{"protected":"e30","signature":"AAAA"}]}"#.replace('+', "")),
        ("T-104 null", signer.sign_text("null", &members)),
        ("T-104 an array", signer.sign_text("[]", &members)),
        ("T-104 a text", signer.sign_text("\"x\"", &members)),
        ("T-104 repeated", signer.sign_text(r#"{"alg":"EdDSA","alg":"EdDSA"}"#, &members)),
        ("T-104 deep", signer.sign_text(&format!(r#"{{"alg":"EdDSA","x":{}"#, "[".repeat(5000)), &members)),
        ("T-104 long", signer.sign_text(&format!(r#"{{"alg":"EdDSA","x":"{}"}}"#, "x".repeat(40_000)), &members)),
        ("T-135 an array", text("[]")),
        ("T-135 repeated", text(&members.replacen('{', r#"{"jti":"j","#, 1))),
        ("T-135 deep", text(&members.replacen('{', &format!("{{\"x\":{}", "[".repeat(5000)), 1))),
        ("T-135 long", claim("x", json!("x".repeat(45_000)))),
        ("T-136 padded", format!("{good}=")),
        ("T-136 a space", format!("{good}+")),
        ("T-136 stray bits", format!("{}B", &good[..good.len() - 1])),
        ("T-133 another signature", format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86))),
    ];
    for alg in ["none", "None", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "ES256", "PS256", "ES384", "eddsa"] {
        all.push(("T-105 T-107", header("alg", json!(alg))));
    }
    for alg in [json!("(none)"), json!(1), json!(["EdDSA"]), Value::Null] {
        all.push(("T-105", header("alg", alg)));
    }
    for crit in [json!(["exp"]), json!([]), json!("x"), json!(["alg"]), json!(["b64"])] {
        all.push(("T-115", header("crit", crit)));
    }
    for typ in
        ["at+jwt", "dpop+jwt", "token-introspection+jwt", "logout+jwt", "oauth-authz-req+jwt", "application/at+jwt"]
    {
        all.push(("T-117", header("typ", json!(typ))));
    }
    for (name, value) in [("b64", json!(false)), ("zip", json!("DEF")), ("cty", json!("JWT")), ("enc", json!("A"))] {
        all.push(("T-103 T-115", header(name, value)));
    }
    let kids = [json!("other"), json!("../../../dev/null"), json!("' OR 1=1--"), json!("k".repeat(4000)), json!(7)];
    for kid in kids.into_iter().chain([Value::Null, json!("")]) {
        all.push(("T-112 T-113", header("kid", kid)));
    }
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        all.push(("T-119 T-120 T-123 T-128 missing", claim(name, json!("(none)"))));
        all.push(("T-119 T-120 T-123 T-128 null", claim(name, Value::Null)));
    }
    for (rule, name, value) in [
        ("T-119", "iss", json!("c_AAAAAAAAAAAAAAAAAAAAAA")),
        ("T-119", "sub", json!("c_AAAAAAAAAAAAAAAAAAAAAA")),
        ("T-120", "aud", json!("https://other.example")),
        ("T-120", "aud", json!(format!("{issuer}/"))),
        ("T-120", "aud", json!(issuer.to_uppercase())),
        ("T-120", "aud", json!(&issuer[..issuer.len() - 1])),
        ("T-120", "aud", json!([])),
        ("T-120", "aud", json!([issuer, 1])),
        ("T-121 strict", "aud", json!(format!("{issuer}/oauth2/token"))),
        ("T-122", "aud", json!([issuer, "https://other.example"])),
        ("T-122", "aud", json!([issuer, format!("{issuer}/oauth2/token")])),
        ("T-123 expired", "exp", json!(now() - 300)),
        ("T-123 now", "exp", json!(now())),
        ("T-123 a text", "exp", json!((now() + 60).to_string())),
        ("T-123 negative", "exp", json!(-1)),
        ("T-123 2^63", "exp", json!(1_u64 << 63)),
        ("T-124", "exp", json!(now() + 320)),
        ("T-126", "nbf", json!(now() + 70)),
        ("T-126", "iat", json!(now() + 70)),
        ("T-126 a text", "nbf", json!("0")),
        ("T-127 old", "iat", json!(now() - 320)),
        ("T-128", "jti", json!("")),
        ("T-128", "jti", json!(7)),
        ("T-128", "jti", json!("j".repeat(257))),
    ] {
        all.push((rule, claim(name, value)));
    }
    let huge = signer.claims(issuer).to_string().replacen(r#""exp":"#, r#""exp":1e400,"x":"#, 1);
    all.push(("T-123 1e400", text(&huge)));
    all
}

#[test]
fn t102_to_t128_t133_t135_t136_what_only_looks_like_one_is_one_and_the_same_answer() {
    let (server, signer) = scene();
    let stranger = signer.with_another_key(Algorithm::EdDsa).under("c_AAAAAAAAAAAAAAAAAAAAAA");
    let unknown = present(&server, &stranger.assertion(&server.url()));
    expect_refused(&unknown, "an unknown client");
    for (rule, assertion) in impostors(&signer, &server.url()) {
        let answer = present(&server, &assertion);
        assert_eq!(whole(&answer), whole(&unknown), "{rule}: {}", &assertion[..assertion.len().min(200)]);
    }
    assert_eq!(signer.ask(&server).status, 200, "and it still serves");
}

#[test]
fn t106_t109_t110_a_signature_has_one_form_and_needs_the_private_key() {
    let home = Home::new();
    let signers = ALGORITHMS.map(|algorithm| Signer::register(&home, algorithm));
    let client = home.usual_client();
    let server = home.serve(GENEROUS);
    for signer in &signers {
        let (good, algorithm) = (signer.assertion(&server.url()), signer.key.algorithm());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let (first, rest) = signature.split_at(signature.len() / 2);
        let spoilt = [
            vec![0; signature.len()],
            signature[1..].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
            [rest, first].concat(),
            // As DER has two integers.
            [&[0x30, 0x44, 0x02, 0x20], &first[..32], &[0x02, 0x20], &rest[..32]].concat(),
        ];
        for signature in spoilt {
            let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature));
            expect_refused(&present(&server, &forged), &format!("T-109 T-110 T-111 {algorithm}"));
        }
        let jwk: Value = serde_json::from_str(signer.key.jwk()).unwrap();
        let raw = ["n", "x"].iter().find_map(|name| jwk[name].as_str()).unwrap();
        let der = URL_SAFE_NO_PAD.decode(raw).unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
        let keys = [raw.as_bytes(), &der, pem.as_bytes(), signer.key.jwk().as_bytes(), b"", client.secret.as_bytes()];
        for (key, alg) in keys.into_iter().flat_map(|key| [(key, "HS256"), (key, algorithm.as_str())]) {
            let header = json!({"alg": alg, "kid": signer.key.kid()});
            let text = format!("{}.{}", encode(&header), encode(&signer.claims(&server.url())));
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            let forged = format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
            expect_refused(&present(&server, &forged), &format!("T-106 {alg} for {algorithm}"));
        }
        assert_eq!(present(&server, &good).status, 200, "T-133 {algorithm}: none of it used the assertion up");
    }
}

#[test]
fn t110_s_plus_l_of_the_rfc_8037_key_is_refused() {
    // The order of the group, to be added to the second half of a signature (RFC 8032 section 5.1.7).
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (server, signer) = scene();
    let good = signer.assertion(&server.url());
    let (text, signature) = good.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert_eq!(carry, 0, "it fits, so a lax verifier takes it");
    let malleable = format!("{text}.{}", URL_SAFE_NO_PAD.encode(&signature));
    expect_refused(&present(&server, &malleable), "T-110 S+L");
    assert_eq!(present(&server, &good).status, 200);
}

#[test]
fn t114_nothing_in_a_header_is_a_key_or_is_fetched() {
    let (server, signer) = scene();
    let attacker = signer.with_another_key(Algorithm::EdDsa);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let there = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let jwk: Value = serde_json::from_str(attacker.key.jwk()).unwrap();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!(there)),
        ("x5u", json!(there)),
        ("x5c", json!(["AAAA"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
    ] {
        for kid in [json!(attacker.key.kid()), json!(signer.key.kid()), json!("(none)")] {
            let header = with(with(attacker.header(), "kid", kid), name, value.clone());
            expect_refused(&present(&server, &attacker.sign(&header, &attacker.claims(&server.url()))), name);
        }
        let header = with(signer.header(), name, value);
        assert_eq!(present(&server, &signer.sign(&header, &signer.claims(&server.url()))).status, 200, "{name}");
    }
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn t105_t106_what_the_rfcs_sign_for_others_is_no_assertion() {
    let (server, _signer) = scene();
    let vectors: Value = serde_json::from_str(include_str!("../vectors/rfc.json")).unwrap();
    for name in ["rfc7515_A1", "rfc7515_A2", "rfc7515_A3", "rfc7515_A5", "rfc8037"] {
        expect_refused(&present(&server, vectors[name]["jws"].as_str().unwrap()), name);
    }
}

#[test]
fn t118_a_token_of_the_server_is_no_assertion() {
    let (server, signer) = scene();
    let token = signer.ask(&server).access_token();
    expect_refused(&present(&server, &token), "T-118");
}
