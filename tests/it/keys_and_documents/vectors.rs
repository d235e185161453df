//! Known answers: RFC 8037 appendix A, RFC 7638, RFC 7515 appendix A, RFC 6749 §2.3.1 and appendix B.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton::clock::UnixTime;
use jeton::jwt::{AccessToken, ClaimPrefix, Expected, Instants, PublicKey, Stamp, TokenId, VerifyError, verify};
use jeton::keys::SigningKey;
use jeton::oauth::client_auth::{BasicText, ClientAuth};
use jeton::oauth::{Algorithm, Audience, ClientId, IssuerUrl, Scope, form};
use serde_json::Value;

use super::{thumbprint, vectors};

const ISSUER: &str = "https://issuer.example";
const API: &str = "https://api.example";

/// The order of the group, little-endian (RFC 8032 §5.1).
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn decode<const N: usize>(text: &str) -> [u8; N] {
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}

/// The key pair of RFC 8037 A.1 and the set that publishes it.
fn rfc_key() -> (SigningKey, Vec<PublicKey>) {
    let jwk = vectors()["rfc8037"]["jwk"].clone();
    let key = SigningKey::read(Algorithm::EdDsa, &decode::<32>(text(&jwk, "d"))).unwrap();
    let published = PublicKey::from_ed25519(key.kid().as_str(), &decode(text(&jwk, "x"))).unwrap();
    (key, vec![published])
}

fn check(token: &str, keys: &[PublicKey]) -> Result<AccessToken, VerifyError> {
    let now = UnixTime::from_seconds(1_000);
    verify(token, keys, &Expected { issuer: ISSUER, audience: Some(API), now, leeway: Duration::ZERO })
}

/// A token as the server makes it, signed with `key` over the header given here.
fn token(key: &SigningKey, header: &str) -> String {
    let audience = Audience::parse(API).unwrap();
    let (issuer, client) = (IssuerUrl::parse(ISSUER).unwrap(), ClientId::parse("c_1").unwrap());
    let claims = ClaimPrefix::encode(&issuer, &client, std::iter::once(&audience), &Scope::parse("read").unwrap());
    let stamp = Stamp {
        issued_at: UnixTime::from_seconds(1_000),
        expires_at: UnixTime::from_seconds(2_000),
        id: TokenId([1; 16]),
    };
    let mut signed = format!("{}.", URL_SAFE_NO_PAD.encode(header)).into_bytes();
    claims.push_payload(&stamp, &Instants::default(), &mut signed);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(&signed).unwrap());
    format!("{}.{signature}", String::from_utf8(signed).unwrap())
}

fn usual_header(key: &SigningKey) -> String {
    format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, key.kid())
}

/// R and S + L: the same point of the curve, and another signature if a verifier is not strict.
fn plus_order(signature: &str) -> String {
    let mut bytes: [u8; 64] = decode(signature);
    let mut carry = 0_u16;
    for (byte, add) in bytes[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = ((sum & 0xff) as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn j04_rfc_8037_a_1_to_a_3_the_public_key_and_its_thumbprint() {
    let known = vectors()["rfc8037"].clone();
    let (key, _) = rfc_key();
    assert_eq!(key.kid().as_str(), text(&known, "thumbprint"));
    let digest: [u8; 32] = decode(key.kid().as_str());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, text(&known, "thumbprint_hex"));
    assert_eq!(thumbprint(&known["jwk"]), key.kid().as_str());
}

#[test]
fn j04_rfc_7638_the_thumbprint_that_the_documents_are_checked_with() {
    let known = vectors()["rfc7638"].clone();
    assert_eq!(thumbprint(&known["jwk"]), text(&known, "thumbprint"));
}

#[test]
fn rfc_8037_a_4_is_signed_byte_for_byte() {
    let known = vectors()["rfc8037"].clone();
    let encode = |name| URL_SAFE_NO_PAD.encode(text(&known, name));
    let signed = format!("{}.{}", encode("protected_utf8"), encode("payload_utf8"));
    let signature = URL_SAFE_NO_PAD.encode(rfc_key().0.sign(signed.as_bytes()).unwrap());
    assert_eq!(format!("{signed}.{signature}"), text(&known, "jws"));
}

#[test]
fn rfc_8037_a_5_a_token_of_that_key_verifies_and_the_example_is_no_access_token() {
    let (key, published) = rfc_key();
    assert_eq!(check(&token(&key, &usual_header(&key)), &published).unwrap().client_id, "c_1");
    let example = vectors()["rfc8037"]["jws"].as_str().unwrap().to_owned();
    assert_eq!(check(&example, &published).unwrap_err(), VerifyError::WrongHeader);
}

#[test]
fn a_signature_with_s_plus_l_is_rejected() {
    let known = vectors()["rfc8037"].clone();
    let signature = text(&known, "jws").rsplit('.').next().unwrap();
    assert_eq!(plus_order(signature), text(&known["negative"], "sig_S_plus_L"), "the vector's own arithmetic");
    let (key, published) = rfc_key();
    let sound = token(&key, &usual_header(&key));
    let (signed, signature) = sound.rsplit_once('.').unwrap();
    let malleable = format!("{signed}.{}", plus_order(signature));
    assert!(check(&sound, &published).is_ok());
    assert_eq!(check(&malleable, &published).unwrap_err(), VerifyError::BadSignature);
}

#[test]
fn rfc_7515_a_5_alg_none_is_rejected_in_every_spelling() {
    let (key, published) = rfc_key();
    let example = vectors()["rfc7515_A5"]["jws"].as_str().unwrap().to_owned();
    assert_eq!(check(&example, &published).unwrap_err(), VerifyError::WrongHeader);
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, key.kid());
        let signed = token(&key, &header);
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        assert_eq!(check(&signed, &published).unwrap_err(), VerifyError::WrongHeader, "{alg}");
        assert_eq!(check(&unsigned, &published).unwrap_err(), VerifyError::WrongHeader, "{alg}");
    }
    let stripped = token(&key, &usual_header(&key));
    let stripped = format!("{}.", stripped.rsplit_once('.').unwrap().0);
    assert_eq!(check(&stripped, &published).unwrap_err(), VerifyError::BadSignature);
}

#[test]
fn an_hmac_by_the_public_key_and_foreign_headers_are_rejected() {
    let (key, published) = rfc_key();
    let kid = key.kid();
    let hmac = vectors()["rfc7515_A1"]["jws"].as_str().unwrap().to_owned();
    assert_eq!(check(&hmac, &published).unwrap_err(), VerifyError::WrongHeader);
    for (header, expected) in [
        (format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#), VerifyError::WrongHeader),
        (format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#), VerifyError::WrongHeader),
        (format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#), VerifyError::WrongHeader),
        (format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), VerifyError::WrongHeader),
        (format!(r#"{{"alg":"EdDSA","typ":"dpop+jwt","kid":"{kid}"}}"#), VerifyError::WrongHeader),
        (format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}","crit":["exp"]}}"#), VerifyError::WrongHeader),
        (format!(r#"{{"alg":"EdDSA","alg":"none","typ":"at+jwt","kid":"{kid}"}}"#), VerifyError::Malformed),
        (r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(), VerifyError::UnknownKey),
        (r#"{"alg":"EdDSA","typ":"at+jwt","kid":"other"}"#.to_owned(), VerifyError::UnknownKey),
        ("[]".to_owned(), VerifyError::Malformed),
    ] {
        assert_eq!(check(&token(&key, &header), &published).unwrap_err(), expected, "{header}");
    }
}

#[test]
fn a_jwks_with_an_unusable_key_is_refused_and_keys_of_other_kinds_are_skipped() {
    let (rsa, ed25519) = (vectors()["rfc7638"]["jwk"].clone(), vectors()["rfc8037"]["jwk"].clone());
    let with = |jwk: &Value, name: &str, value: &str| {
        let mut jwk = jwk.clone();
        jwk[name] = value.into();
        jwk
    };
    let set = serde_json::json!({"keys": [
        rsa, ed25519,
        with(&rsa, "alg", "RS512"), with(&rsa, "alg", "RSA-OAEP"), with(&rsa, "alg", "ES256"),
        with(&rsa, "use", "enc"), with(&ed25519, "alg", "RS256"), with(&ed25519, "crv", "X25519"),
        {"kty": "oct", "k": "AAAA", "alg": "HS256"}, {"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"},
    ]});
    assert_eq!(PublicKey::from_jwks(set.to_string().as_bytes()).unwrap().len(), 2);
    // The identity has small order: it would verify what nobody signed (RFC 8032 §5.1.7 by `verify_strict`).
    let identity = URL_SAFE_NO_PAD.encode([&[1][..], &[0; 31]].concat());
    for x in [identity.as_str(), "AAAA", "", "not base64!"] {
        let set = serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string();
        assert_eq!(PublicKey::from_jwks(set.as_bytes()).unwrap_err(), VerifyError::UnusableKey, "{x}");
    }
}

#[test]
fn t039_t062_rfc_6749_basic_and_appendix_b() {
    let known = vectors()["rfc6749"].clone();
    let header = format!("Basic {}", text(&known, "basic"));
    let basic = BasicText::decode(std::iter::once(header.as_bytes())).unwrap().unwrap();
    let auth = ClientAuth::from_basic(&basic).unwrap();
    let read: Vec<String> = auth.readings().map(|pair| format!("{}:{}", pair.id, pair.secret)).collect();
    assert_eq!(read, [text(&known, "basic_userpass")]);
    let (plain, encoded) = (text(&known, "appendix_b_plain"), text(&known, "appendix_b_encoded"));
    let mut written = String::new();
    form::encode(plain, &mut written);
    assert_eq!(written, encoded);
    assert_eq!(form::decode(encoded.as_bytes()).unwrap(), plain);
}
