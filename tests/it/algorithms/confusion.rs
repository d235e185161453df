//! Tokens that are signed well, and claim an algorithm that is not their key's (RFC 8725 §2.1, §3.1).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jeton::clock::UnixTime;
use jeton::jwt::{Expected, PublicKey, VerifyError, verify};
use jeton::keys::SigningKey;
use jeton::oauth::Algorithm;
use serde_json::{Value, json};
use sha2::Sha256;

use super::fresh;

const NOW: u64 = 1_000;

/// The part of a token that is signed, with any header.
fn unsigned(header: &Value) -> String {
    let claims = json!({"iss": "https://issuer.example", "sub": "c_1", "client_id": "c_1", "aud": "https://api.example",
                        "iat": NOW, "exp": NOW + 60, "jti": "AAAAAAAAAAAAAAAAAAAAAA"});
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn header(alg: &str, key: &SigningKey) -> Value {
    json!({"alg": alg, "typ": "at+jwt", "kid": key.kid()})
}

fn signed(header: &Value, key: &SigningKey) -> String {
    let unsigned = unsigned(header);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(unsigned.as_bytes()).unwrap());
    format!("{unsigned}.{signature}")
}

fn set(keys: &[&SigningKey]) -> Vec<PublicKey> {
    let keys: Vec<&str> = keys.iter().map(|key| key.jwk()).collect();
    PublicKey::from_jwks(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes()).unwrap()
}

fn check(token: &str, keys: &[PublicKey]) -> Result<String, VerifyError> {
    let (now, leeway) = (UnixTime::from_seconds(NOW), Duration::ZERO);
    let expected = Expected { issuer: "https://issuer.example", audience: Some("https://api.example"), now, leeway };
    verify(token, keys, &expected).map(|token| token.client_id)
}

#[test]
fn t107_a_key_verifies_by_its_own_algorithm_whatever_the_header_says() {
    let keys = Algorithm::ALL.map(|algorithm| fresh(algorithm).1);
    let published = set(&keys.each_ref());
    assert_eq!(published.len(), 4);
    for key in &keys {
        let own = key.algorithm().as_str();
        assert_eq!(check(&signed(&header(own, key), key), &published), Ok("c_1".to_owned()), "{own}");
        let others =
            ["EdDSA", "ES256", "RS256", "PS256", "RS384", "RS512", "PS512", "ES384", "ES256K", "none", "HS256", ""];
        for alg in others.into_iter().filter(|alg| *alg != own) {
            let token = signed(&header(alg, key), key);
            assert_eq!(check(&token, &published), Err(VerifyError::WrongHeader), "{alg} over {own}");
        }
        // The header of one key over the signature of another.
        for other in keys.iter().filter(|other| other.kid() != key.kid()) {
            let token = signed(&header(own, key), other);
            assert_eq!(check(&token, &published), Err(VerifyError::BadSignature), "{own} by {}", other.algorithm());
        }
    }
    let ed25519 = &keys[0];
    let renamed = signed(&header("Ed25519", ed25519), ed25519);
    assert!(check(&renamed, &published).is_ok(), "RFC 9864's name of the same");
}

#[test]
fn t107_one_rsa_key_is_not_two() {
    let (secret, pkcs1) = fresh(Algorithm::Rs256);
    let pss = SigningKey::read(Algorithm::Ps256, &secret).unwrap();
    assert_eq!(pkcs1.kid(), pss.kid());
    for (published, other) in [(&pkcs1, &pss), (&pss, &pkcs1)] {
        let keys = set(&[published]);
        let (own, foreign) = (published.algorithm().as_str(), other.algorithm().as_str());
        assert!(check(&signed(&header(own, published), published), &keys).is_ok());
        assert_eq!(check(&signed(&header(foreign, other), other), &keys), Err(VerifyError::WrongHeader));
        assert_eq!(check(&signed(&header(own, published), other), &keys), Err(VerifyError::BadSignature));
        assert_eq!(check(&signed(&header(foreign, published), published), &keys), Err(VerifyError::WrongHeader));
    }
}

#[test]
fn t106_an_hmac_with_a_public_key_is_no_signature() {
    for algorithm in Algorithm::ALL {
        let (_, key) = fresh(algorithm);
        let published = set(&[&key]);
        let jwk: Value = serde_json::from_str(key.jwk()).unwrap();
        let raw = ["n", "x"].iter().find_map(|name| jwk[name].as_str()).unwrap().to_owned();
        let der = URL_SAFE_NO_PAD.decode(&raw).unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
        for secret in [raw.as_bytes(), &der, pem.as_bytes(), key.jwk().as_bytes(), b""] {
            for alg in ["HS256", algorithm.as_str()] {
                let unsigned = unsigned(&header(alg, &key));
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
                mac.update(unsigned.as_bytes());
                let token = format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
                let expected = if alg == "HS256" { VerifyError::WrongHeader } else { VerifyError::BadSignature };
                assert_eq!(check(&token, &published), Err(expected), "{alg} for {algorithm}");
            }
        }
    }
}

#[test]
fn t114_a_key_in_the_header_is_not_used() {
    for algorithm in Algorithm::ALL {
        let ((_, ours), (_, theirs)) = (fresh(algorithm), fresh(Algorithm::Es256));
        let mut header = header("ES256", &theirs);
        header["jwk"] = serde_json::from_str(theirs.jwk()).unwrap();
        header["jku"] = "https://attacker.example/jwks.json".into();
        let token = signed(&header, &theirs);
        assert_eq!(check(&token, &set(&[&ours])), Err(VerifyError::UnknownKey));
        header["kid"] = json!(ours.kid());
        header["alg"] = algorithm.as_str().into();
        assert_eq!(check(&signed(&header, &theirs), &set(&[&ours])), Err(VerifyError::BadSignature));
    }
}
