//! Opaque access tokens: random texts that say nothing, for resource servers that ask us anyway (RFC 7662).
//!
//! Leaves the form of their text to `checked` and what they stand for to `store`. Invariant: like a secret, a token
//! is never stored or printed by `Debug`; what is kept is a keyed digest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::checked::OPAQUE_TOKEN;

/// What the access tokens of a client look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenFormat {
    /// Signed, by RFC 9068: resource servers verify it by themselves, and no row is kept of it.
    #[default]
    Jwt,
    /// Random: resource servers introspect it, and each costs a write before it is issued.
    Opaque,
}

impl TokenFormat {
    /// True for what a client has that was never told otherwise.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for TokenFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jwt => "jwt",
            Self::Opaque => "opaque",
        })
    }
}

impl FromStr for TokenFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jwt" => Ok(Self::Jwt),
            "opaque" => Ok(Self::Opaque),
            _ => Err("a format is jwt or opaque"),
        }
    }
}

/// An opaque token in clear: only on its way to the client.
pub struct OpaqueToken(Zeroizing<String>);

impl OpaqueToken {
    /// Bytes of every token.
    pub const BYTES: usize = OPAQUE_TOKEN.text_chars();

    /// The token that encodes these 256 random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(OPAQUE_TOKEN.encode(bits))
    }

    /// The text to hand to its client; do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when the text may be such a token; anything else is not worth a question to the store.
    #[must_use]
    pub fn is_well_formed(text: &str) -> bool {
        OPAQUE_TOKEN.check(text).is_ok()
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Secret;

    #[test]
    fn a_token_is_told_from_a_secret_and_not_printed() {
        let (token, secret) = (OpaqueToken::from_random([7; 32]), Secret::from_random([7; 32]));
        assert!(token.expose().starts_with("jto_") && token.expose().len() == OpaqueToken::BYTES);
        assert!(OpaqueToken::is_well_formed(token.expose()) && !Secret::is_well_formed(token.expose()));
        assert!(!OpaqueToken::is_well_formed(secret.expose()));
        assert!(!OpaqueToken::is_well_formed(&token.expose().replacen("Bw", "Bx", 1)));
        assert_eq!(format!("{token:?}"), "OpaqueToken(***)");
    }

    #[test]
    fn a_format_is_read_as_it_is_written() {
        for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("JWT".parse::<TokenFormat>().is_err());
    }
}
