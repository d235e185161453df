//! Tokens by every algorithm: what they verify with and what they never do, and how the keys of each roll for
//! themselves.

mod confusion;
mod from_elsewhere;
mod line;
mod policies;
mod rings;
mod tokens;
mod vectors;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton::clock::UnixTime;
use jeton::keys::{KeyRecord, MasterKey, SigningKey, private};
use jeton::oauth::Algorithm;
use serde_json::Value;

use crate::support::{API, Client, Home, segment};

const JWKS: &str = "/.well-known/jwks.json";
const ALGORITHMS: [&str; 4] = ["EdDSA", "ES256", "RS256", "PS256"];

fn decode(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

/// The public test vectors of the RFCs.
fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/rfc.json")).unwrap()
}

/// A store with a client of each algorithm, whose keys all sign: nobody knows the store yet.
fn everyone() -> (Home, Vec<(&'static str, Client)>) {
    let home = Home::new();
    let mut clients = Vec::new();
    for algorithm in ALGORITHMS {
        if !clients.is_empty() {
            home.json(&["key", "rotate", "--now", "--alg", algorithm]);
        }
        let arguments = ["--scope", "read write", "--audience", API, "--alg", algorithm];
        clients.push((algorithm, home.add_client(&arguments)));
    }
    (home, clients)
}

/// Checks a signature with nothing of ours: the key by its id, and the algorithm by the key.
fn verifies(token: &str, set: &Value) -> bool {
    let header = segment(token, 0);
    let Some(jwk) = set["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == header["kid"]) else {
        return false;
    };
    assert_eq!(jwk["alg"], header["alg"], "a key has one algorithm");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    verifies_by(jwk, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
}

fn verifies_by(jwk: &Value, message: &[u8], signature: &[u8]) -> bool {
    let rsa = || RsaPublicKeyComponents { n: decode(&jwk["n"]), e: decode(&jwk["e"]) };
    let verified = match jwk["alg"].as_str().unwrap() {
        "EdDSA" => UnparsedPublicKey::new(&ED25519, decode(&jwk["x"])).verify(message, signature),
        "ES256" => {
            let point = [&[4][..], &decode(&jwk["x"]), &decode(&jwk["y"])].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
        }
        "RS256" => rsa().verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        "PS256" => rsa().verify(&RSA_PSS_2048_8192_SHA256, message, signature),
        other => panic!("no such algorithm here: {other}"),
    };
    verified.is_ok()
}

/// A fresh private key of this algorithm, and the key that it signs with.
fn fresh(algorithm: Algorithm) -> (Vec<u8>, SigningKey) {
    let secret = private::generate(algorithm, &[7; 32].into()).unwrap();
    (secret.to_vec(), SigningKey::read(algorithm, &secret).unwrap())
}

/// What a store would keep of a private key.
fn record(algorithm: Algorithm, secret: &[u8]) -> KeyRecord {
    let at = UnixTime::from_seconds(0);
    SigningKey::seal_as(algorithm, secret, (&MasterKey::from_random([1; 32]), [1; 12]), (at, at)).unwrap()
}
