//! Known answers: RFC 7515 A.2 and A.3, RFC 7638 §3.1, and the keys that no verifier may take.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton::jwt::{PublicKey, VerifyError};
use jeton::keys::{SigningKey, import};
use jeton::oauth::Algorithm;
use serde_json::{Value, json};

use super::{decode, vectors, verifies_by};

/// The private key of an example of RFC 7515, by way of the import.
fn key(algorithm: Algorithm, example: &str) -> SigningKey {
    let secret = import::read(algorithm, &vectors()[example]["jwk"].to_string()).unwrap();
    SigningKey::read(algorithm, &secret).unwrap()
}

fn published(keys: &[Value]) -> Result<Vec<PublicKey>, VerifyError> {
    PublicKey::from_jwks(json!({"keys": keys}).to_string().as_bytes())
}

/// An example's key as it would be published for this algorithm, its message and its signature.
fn example(name: &str, alg: &str) -> (PublicKey, Vec<u8>, Vec<u8>) {
    let known = vectors()[name].clone();
    let mut jwk = known["jwk"].clone();
    jwk["alg"] = alg.into();
    let (signed, signature) = known["jws"].as_str().unwrap().rsplit_once('.').unwrap();
    (published(&[jwk]).unwrap().remove(0), signed.into(), URL_SAFE_NO_PAD.decode(signature).unwrap())
}

#[test]
fn rfc_7515_a_2_is_signed_byte_for_byte_and_verifies_as_rs256_only() {
    let (public, signed, signature) = example("rfc7515_A2", "RS256");
    assert_eq!(public.verify(&signed, &signature), Ok(()));
    let key = key(Algorithm::Rs256, "rfc7515_A2");
    assert_eq!(key.sign(&signed).unwrap().as_ref(), signature);
    let (as_pss, ..) = example("rfc7515_A2", "PS256");
    assert_eq!(as_pss.verify(&signed, &signature), Err(VerifyError::BadSignature));
    for bit in [0, 1000, 2047] {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 0x80 >> (bit % 8);
        assert_eq!(public.verify(&signed, &changed), Err(VerifyError::BadSignature), "bit {bit}");
    }
    for wrong in [&signature[1..], &[&[0], signature.as_slice()].concat()] {
        assert_eq!(public.verify(&signed, wrong), Err(VerifyError::BadSignature), "another length");
    }
}

#[test]
fn t109_rfc_7515_a_3_verifies_in_its_one_form_only() {
    let (public, signed, signature) = example("rfc7515_A3", "ES256");
    assert_eq!(public.verify(&signed, &signature), Ok(()));
    let made = key(Algorithm::Es256, "rfc7515_A3").sign(&signed).unwrap();
    assert_eq!((made.as_ref().len(), public.verify(&signed, made.as_ref())), (64, Ok(())));
    let (r, s) = signature.split_at(32);
    let number = |bytes: &[u8]| {
        let sign = if bytes[0] >= 0x80 { &[0][..] } else { &[] };
        [&[2, u8::try_from(bytes.len() + sign.len()).unwrap()][..], sign, bytes].concat()
    };
    let body = [number(r), number(s)].concat();
    let zero = [0; 32];
    for (what, wrong) in [
        ("DER", [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat()),
        ("63 bytes", signature[..63].to_vec()),
        ("65 bytes", [&signature[..], &[0]].concat()),
        ("no bytes", Vec::new()),
        ("r = s = 0", [zero, zero].concat()),
        ("r = 0", [&zero, s].concat()),
        ("s = 0", [r, &zero].concat()),
        ("s and r", [s, r].concat()),
        ("the largest numbers", vec![0xff; 64]),
    ] {
        assert_eq!(public.verify(&signed, &wrong), Err(VerifyError::BadSignature), "{what}");
    }
}

#[test]
fn j04_rfc_7638_3_1_names_an_rsa_key_and_every_key_by_its_own_members() {
    // A modulus is all that a name needs, and all that the RFC gives: the store keeps it as it is.
    let known = vectors()["rfc7638"].clone();
    let secret = import::read(Algorithm::Rs256, &vectors()["rfc7515_A2"]["jwk"].to_string()).unwrap();
    let mut record = super::record(Algorithm::Rs256, &secret);
    let export = |record: &jeton::keys::KeyRecord| {
        jeton::keys::set::export(std::slice::from_ref(record), jeton::clock::UnixTime::from_seconds(0))
    };
    assert!(export(&record).is_ok());
    record.public = known["jwk"]["n"].as_str().unwrap().into();
    assert!(export(&record).is_err(), "a public part under another's name");
    record.kid = serde_json::from_value(known["thumbprint"].clone()).unwrap();
    let set: Value = serde_json::from_slice(&export(&record).unwrap()).unwrap();
    assert_eq!((&set["keys"][0]["kid"], &set["keys"][0]["n"]), (&known["thumbprint"], &known["jwk"]["n"]));
    for (algorithm, example) in [(Algorithm::Es256, "rfc7515_A3"), (Algorithm::EdDsa, "rfc8037")] {
        let key = key(algorithm, example);
        let jwk: Value = serde_json::from_str(key.jwk()).unwrap();
        let members: &[&str] =
            if algorithm == Algorithm::EdDsa { &["crv", "kty", "x"] } else { &["crv", "kty", "x", "y"] };
        let required: Vec<String> = members.iter().map(|name| format!("\"{name}\":{}", jwk[name])).collect();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(format!("{{{}}}", required.join(",")));
        assert_eq!(key.kid().as_str(), URL_SAFE_NO_PAD.encode(digest), "{algorithm}");
        assert_eq!(jwk["x"], vectors()[example]["jwk"]["x"]);
    }
}

#[test]
fn ps256_signatures_have_a_salt_and_verify_elsewhere() {
    let key = key(Algorithm::Ps256, "rfc7515_A2");
    let jwk: Value = serde_json::from_str(key.jwk()).unwrap();
    let [first, second] = [0, 1].map(|_| key.sign(b"message").unwrap().as_ref().to_vec());
    assert_ne!(first, second);
    for signature in [&first, &second] {
        assert!(verifies_by(&jwk, b"message", signature));
        assert!(!verifies_by(&jwk, b"massage", signature));
    }
    let mut as_pkcs1 = jwk.clone();
    as_pkcs1["alg"] = "RS256".into();
    assert!(!verifies_by(&as_pkcs1, b"message", &first));
}

#[test]
fn t111_a_set_with_a_weak_or_broken_key_is_refused() {
    let (rsa, ec) = (vectors()["rfc7515_A2"]["jwk"].clone(), vectors()["rfc7515_A3"]["jwk"].clone());
    let with = |jwk: &Value, name: &str, bytes: &[u8]| {
        let mut jwk = jwk.clone();
        jwk[name] = URL_SAFE_NO_PAD.encode(bytes).into();
        jwk
    };
    let n = decode(&rsa["n"]);
    let even = [&n[..255], &[n[255] & 0xfe]].concat();
    let short = [&[0x7f], &n[1..]].concat();
    for (what, jwk) in [
        ("1024 bits", with(&rsa, "n", &n[128..])),
        ("2047 bits", with(&rsa, "n", &short)),
        ("a leading zero", with(&rsa, "n", &[&[0], n.as_slice()].concat())),
        ("an even modulus", with(&rsa, "n", &even)),
        ("16384 bits", with(&rsa, "n", &[0xff; 2048])),
        ("e = 1", with(&rsa, "e", &[1])),
        ("e = 0", with(&rsa, "e", &[0])),
        ("an even exponent", with(&rsa, "e", &[1, 0, 0])),
        ("no exponent", with(&rsa, "e", &[])),
        ("a point beside the curve", with(&ec, "y", &[1; 32])),
        ("the origin", with(&with(&ec, "x", &[0; 32]), "y", &[0; 32])),
        ("a short coordinate", with(&ec, "x", &decode(&ec["x"])[1..])),
        ("a long coordinate", with(&ec, "x", &[&[0][..], &decode(&ec["x"])].concat())),
        ("not base64url", json!({"kty": "RSA", "n": "not base64!", "e": "AQAB"})),
        ("nothing", json!({"kty": "EC", "crv": "P-256"})),
    ] {
        assert_eq!(published(&[jwk]).unwrap_err(), VerifyError::UnusableKey, "{what}");
    }
    assert_eq!(published(&[rsa, ec]).unwrap().len(), 2);
}
