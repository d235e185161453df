//! Public keys as verifiers read them (RFC 7517, RFC 7518 §6, RFC 8037 §2), and their names (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::record::{KeyError, Kid};
use crate::oauth::Algorithm;

/// The members of a public key without its name: those of its kind, in the order in which people write them.
pub(super) struct Jwk {
    members: String,
    /// The name that follows from them.
    pub(super) kid: Kid,
}

impl Jwk {
    /// The key whose raw public part this is.
    ///
    /// # Errors
    /// When the bytes are no public part of this algorithm.
    pub(super) fn new(algorithm: Algorithm, public: &[u8]) -> Result<Self, KeyError> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (members, required) = match algorithm {
            Algorithm::EdDsa => {
                let x = encode(public);
                (
                    format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#),
                    format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
                )
            }
            Algorithm::Es256 => {
                // An uncompressed point (SEC 1 §2.3.3): 4, and two coordinates of 32 bytes.
                let [4, coordinates @ ..] = public else { return Err(KeyError::Unusable) };
                let (x, y) = coordinates.split_at_checked(32).ok_or(KeyError::Unusable)?;
                let (x, y) = (encode(x), encode(y));
                (
                    format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#),
                    format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
                )
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let n = encode(public);
                (format!(r#""kty":"RSA","n":"{n}","e":"AQAB""#), format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#))
            }
        };
        Ok(Self { members, kid: Kid(encode(&Sha256::digest(required)).into()) })
    }

    /// The whole key as it stands in the JWKS.
    pub(super) fn encode(&self, algorithm: Algorithm) -> Box<str> {
        let Self { members, kid } = self;
        format!(r#"{{{members},"kid":"{kid}","alg":"{algorithm}","use":"sig"}}"#).into()
    }
}

/// The name that follows from the required members of a key, in the order of their names (RFC 7638 §3). None of them may
/// need an escape.
#[must_use]
pub fn thumbprint(required: &[(&str, &str)]) -> Box<str> {
    let members: Vec<String> = required.iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(",")))).into()
}

/// A JWKS document of these keys.
pub(super) fn set<'a>(keys: impl Iterator<Item = &'a str>) -> Box<[u8]> {
    format!(r#"{{"keys":[{}]}}"#, keys.collect::<Vec<_>>().join(",")).into_bytes().into()
}
