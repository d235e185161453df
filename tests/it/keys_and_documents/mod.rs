//! The keys and the public documents: what is published, when, and that tokens verify by it alone.

pub mod automatic;
mod documents;
mod metadata;
mod metrics;
pub mod rotation;
mod vectors;
mod without_a_key;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::segment;

pub const JWKS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// The public test vectors of the RFCs.
fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/rfc.json")).unwrap()
}

/// RFC 7638 over any key, from its text: the required members in lexicographic order.
fn thumbprint(jwk: &Value) -> String {
    let required: &[&str] = match jwk["kty"].as_str().unwrap() {
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        other => panic!("no such key type here: {other}"),
    };
    let members: Vec<String> = required.iter().map(|name| format!(r#""{name}":{}"#, jwk[name])).collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(","))))
}

/// The keys of a JWKS document, read with nothing of ours.
pub fn keys(document: &Value) -> HashMap<String, VerifyingKey> {
    let keys = document["keys"].as_array().unwrap().iter();
    keys.map(|jwk| {
        let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        let key = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
        (jwk["kid"].as_str().unwrap().to_owned(), key)
    })
    .collect()
}

pub fn kid(token: &str) -> String {
    segment(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// Checks a signature as a verifier that has nothing but the published keys.
fn verifies(token: &str, keys: &HashMap<String, VerifyingKey>) -> bool {
    let Some(key) = keys.get(&kid(token)) else { return false };
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    key.verify_strict(signed.as_bytes(), &signature).is_ok()
}
