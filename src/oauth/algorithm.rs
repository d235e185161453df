//! The signature algorithms of tokens, by their names in `alg` (RFC 7518 §3.1, RFC 8037 §3.1).
//!
//! Leaves the keys to `keys`. A client's tokens are signed by one of them, and each has keys of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a token is signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519 under the name that most verifiers know, not RFC 9864's.
    #[default]
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, which RFC 9068 §2.1 asks for.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    #[serde(rename = "PS256")]
    Ps256,
}

/// Why a text is no algorithm of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an algorithm is EdDSA, ES256, RS256 or PS256")
    }
}

impl std::error::Error for UnknownAlgorithm {}

impl Algorithm {
    /// Every algorithm, in the order of [`Algorithm::index`].
    pub const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Rs256, Self::Ps256];

    /// The name as in `alg`; also the metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    /// The algorithm that a header means by `alg`: RFC 9864 has another name for `EdDSA` with Ed25519.
    #[must_use]
    pub fn of_header(alg: &str) -> Option<Self> {
        if alg == "Ed25519" { Some(Self::EdDsa) } else { alg.parse().ok() }
    }

    /// Position in [`Algorithm::ALL`]; metrics keep one counter per position.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// True for what a client has when nothing was said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether one signature keeps a core busy for so long that other requests would notice.
    #[must_use]
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Rs256 | Self::Ps256)
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text).ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_one_name_everywhere() {
        for (position, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            assert_eq!(algorithm.index(), position);
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
        }
        for text in ["", "none", "eddsa", "HS256", "ES384", "Ed25519", " RS256"] {
            assert_eq!(text.parse::<Algorithm>(), Err(UnknownAlgorithm), "{text}");
        }
    }
}
