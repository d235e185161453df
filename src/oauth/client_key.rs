//! A public key by which a client proves who it is (RFC 7523 §2.2, `private_key_jwt`), as it is kept.
//!
//! Leaves reading and checking it to `jwt::client_keys`, which alone makes one, and verifying to `jwt`. Only public
//! members have a place here.

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use crate::clock::UnixTime;

/// The most keys that one client holds at a time.
pub const MAX_KEYS: usize = 8;

/// One of the keys by which a client may authenticate; several live side by side during a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientKey {
    /// Its name in the header of an assertion: as registered, or the RFC 7638 thumbprint.
    pub kid: Box<str>,
    /// The one algorithm that it verifies.
    pub alg: Algorithm,
    /// The key.
    pub jwk: PublicJwk,
    /// When it was registered.
    pub created_at: UnixTime,
    /// From this instant on it no longer authenticates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
}

/// The public members of a JWK (RFC 7518 §6, RFC 8037 §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicJwk {
    /// `EC`, `OKP` or `RSA`.
    pub kty: Box<str>,
    /// The curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<Box<str>>,
    /// The point, or the first of its coordinates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Box<str>>,
    /// The second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<Box<str>>,
    /// The modulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<Box<str>>,
    /// The exponent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<Box<str>>,
}

impl ClientKey {
    /// Whether it authenticates at this instant.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether a header that says this may mean it: without a `kid` every key of the algorithm is tried.
    #[must_use]
    pub fn is_meant_by(&self, kid: Option<&str>, alg: Algorithm) -> bool {
        self.alg == alg && kid.is_none_or(|kid| kid == &*self.kid)
    }
}
