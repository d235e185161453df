//! A published key as a verifier holds it (RFC 7517): what it verifies with, and by which one algorithm (RFC 8725
//! §3.1).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;

use super::verify::{VerifyError, decode};
use crate::oauth::Algorithm;
use crate::oauth::client_key::{ClientKey, PublicJwk};

/// The modulus of an RSA key, in bytes: smaller ones can be factored, larger ones only cost time.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key of the published set.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// RFC 7638 thumbprint, as in `kid`.
    pub kid: Box<str>,
    algorithm: Algorithm,
    key: Key,
}

#[derive(Clone, Debug)]
enum Key {
    Ed25519(Box<VerifyingKey>),
    Parsed(ParsedPublicKey),
}

impl PublicKey {
    /// # Errors
    /// When the bytes are no point of the curve, or one of small order.
    pub fn from_ed25519(kid: &str, bytes: &[u8; 32]) -> Result<Self, VerifyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| VerifyError::UnusableKey)?;
        if key.is_weak() {
            return Err(VerifyError::UnusableKey);
        }
        Ok(Self { kid: kid.into(), algorithm: Algorithm::EdDsa, key: Key::Ed25519(Box::new(key)) })
    }

    /// The usable keys of a JWKS document (RFC 7517 §5); keys of other kinds, for other algorithms and for encryption
    /// are skipped.
    ///
    /// # Errors
    /// When the document is no JWKS or a key of a kind that we use is broken.
    pub fn from_jwks(document: &[u8]) -> Result<Vec<Self>, VerifyError> {
        let set: JwkSet = serde_json::from_slice(document).map_err(|_| VerifyError::UnusableKey)?;
        set.keys.iter().filter_map(|jwk| Some(Self::from_jwk(jwk.algorithm()?, jwk))).collect()
    }

    /// A key by which a client authenticates.
    ///
    /// # Errors
    /// When it is broken, weak, or not for its algorithm.
    pub fn of_client(key: &ClientKey) -> Result<Self, VerifyError> {
        let PublicJwk { kty, crv, x, y, n, e } = key.jwk.clone();
        let [crv, x, y, n, e] = [crv, x, y, n, e].map(|member| member.map(String::from));
        let (kid, alg) = (key.kid.to_string(), Some(key.alg.to_string()));
        let jwk = Jwk { kty: kty.into(), kid, alg, usage: None, crv, x, y, n, e };
        Self::from_jwk(jwk.algorithm().ok_or(VerifyError::UnusableKey)?, &jwk)
    }

    fn from_jwk(algorithm: Algorithm, jwk: &Jwk) -> Result<Self, VerifyError> {
        let key = match algorithm {
            Algorithm::EdDsa => return Self::from_ed25519(&jwk.kid, &bytes(jwk.x.as_ref())?),
            Algorithm::Es256 => {
                let (x, y): ([u8; 32], [u8; 32]) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], &x, &y].concat())
            }
            Algorithm::Rs256 => jwk.rsa()?.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Ps256 => jwk.rsa()?.to_parsed_public_key(&RSA_PSS_2048_8192_SHA256),
        };
        let key = Key::Parsed(key.map_err(|_| VerifyError::UnusableKey)?);
        Ok(Self { kid: jwk.kid.as_str().into(), algorithm, key })
    }

    /// The one algorithm that it verifies.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks one signature, whose form has no second spelling: 64 bytes for the curves, the modulus's length for RSA.
    ///
    /// # Errors
    /// [`VerifyError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        match &self.key {
            Key::Ed25519(key) => {
                let signature = Signature::from_slice(signature).map_err(|_| VerifyError::BadSignature)?;
                key.verify_strict(message, &signature).map_err(|_| VerifyError::BadSignature)
            }
            Key::Parsed(key) => key.verify_sig(message, signature).map_err(|_| VerifyError::BadSignature),
        }
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwk {
    /// What it verifies: what it says, if that fits its kind, and else what its kind is mostly used for. `None` for
    /// keys that are none of ours.
    fn algorithm(&self) -> Option<Algorithm> {
        let kind: &[Algorithm] = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => &[Algorithm::EdDsa],
            ("EC", Some("P-256")) => &[Algorithm::Es256],
            ("RSA", _) => &[Algorithm::Rs256, Algorithm::Ps256],
            _ => return None,
        };
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let said = self.alg.as_deref().map_or_else(|| kind.first().copied(), Algorithm::of_header);
        said.filter(|algorithm| signs && kind.contains(algorithm))
    }

    fn rsa(&self) -> Result<RsaPublicKeyComponents<Vec<u8>>, VerifyError> {
        let member = |text: &Option<String>| text.as_ref().and_then(|text| decode(text).ok());
        let (n, e) = (member(&self.n).unwrap_or_default(), member(&self.e).unwrap_or_default());
        // Its first byte counts: leading zeros would be a second spelling (RFC 7518 §6.3.1).
        let is_long = RSA_BYTES.contains(&n.len()) && n.first().is_some_and(|first| n.len() > 256 || *first >= 0x80);
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        let sound = is_long && is_odd(&n) && is_odd(&e) && e != [1];
        if sound { Ok(RsaPublicKeyComponents { n, e }) } else { Err(VerifyError::UnusableKey) }
    }
}

/// A member of fixed length.
fn bytes<const N: usize>(text: Option<&String>) -> Result<[u8; N], VerifyError> {
    let bytes = text.and_then(|text| decode(text).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(VerifyError::UnusableKey)
}
