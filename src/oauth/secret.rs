//! Client secrets: made by the server, shown once, kept as a keyed digest.
//!
//! Leaves the form of its text to `checked`. Invariants: a secret is never stored or printed by `Debug`; digests are compared in constant time. A random
//! 256-bit secret needs no slow hash, so none stands on the token path.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize as _, Zeroizing};

use super::checked::{CLIENT_SECRET, Malformed};

/// Length of every secret that the server makes.
pub const SECRET_CHARS: usize = CLIENT_SECRET.text_chars();

/// A secret in clear: only between its making and its being shown.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret that encodes these 256 random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(CLIENT_SECRET.encode(bits))
    }

    /// The text to hand to its owner; do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when the text has the form and the checksum of a secret of ours. Says nothing about any client.
    #[must_use]
    pub fn is_well_formed(text: &str) -> bool {
        Self::check(text).is_ok()
    }

    /// As [`Secret::is_well_formed`], and says what is wrong.
    ///
    /// # Errors
    /// What a secret of ours has otherwise.
    pub fn check(text: &str) -> Result<(), Malformed> {
        CLIENT_SECRET.check(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What is stored of a secret: its HMAC-SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// A digest that no secret of a client has; stands in where there is nothing to compare with.
    pub const DECOY: Self = Self([0; 32]);

    /// The digest that is kept as these bytes.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest itself, to be found by.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Equality in constant time; by words, since every step of it is kept from the optimiser.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (left, right) = (self.0.as_chunks::<8>().0, other.0.as_chunks::<8>().0);
        let words = left.iter().zip(right).map(|(left, right)| (u64::from_ne_bytes(*left), u64::from_ne_bytes(*right)));
        words.fold(Choice::from(1), |equal, (left, right)| equal & left.ct_eq(&right)).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(***)")
    }
}

impl TryFrom<String> for SecretHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut digest = [0; 32];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut digest) {
            Ok(32) => Ok(Self(digest)),
            _ => Err("a secret hash is 32 bytes in base64url"),
        }
    }
}

impl From<SecretHash> for String {
    fn from(hash: SecretHash) -> Self {
        URL_SAFE_NO_PAD.encode(hash.0)
    }
}

/// Computes [`SecretHash`]es under the server's key; the keyed state is made ready once.
#[derive(Clone)]
pub struct SecretHasher(Hmac<Sha256>);

impl SecretHasher {
    /// A hasher under `key`, which is derived from the master key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // RFC 2104 §2: a key shorter than a block is padded with zeros.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(key).for_each(|(padded, byte)| *padded = *byte);
        let hasher = Self(<Hmac<Sha256> as KeyInit>::new(&block));
        block.as_mut_slice().zeroize();
        hasher
    }

    /// The digest of what was presented. Its cost depends on the length alone.
    #[must_use]
    pub fn hash(&self, presented: &str) -> SecretHash {
        let mut mac = self.0.clone();
        mac.update(presented.as_bytes());
        SecretHash(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for SecretHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHasher(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_carries_its_checksum_and_needs_no_encoding() {
        let secret = Secret::from_random([7; 32]);
        assert_eq!(secret.expose().len(), SECRET_CHARS);
        assert!(secret.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        assert!(Secret::is_well_formed(secret.expose()));
        assert!(!Secret::is_well_formed(&secret.expose().replacen("Bw", "Bx", 1)));
        assert_eq!(format!("{secret:?}"), "Secret(***)");
    }

    #[test]
    fn t072_only_the_same_text_has_the_same_hash() {
        let hasher = SecretHasher::new(&[1; 32]);
        let secret = Secret::from_random([7; 32]);
        let stored = hasher.hash(secret.expose());
        assert!(stored.matches(&hasher.hash(secret.expose())));
        let long = "x".repeat(72);
        for (left, right) in [
            (secret.expose().to_owned(), secret.expose().to_lowercase()),
            (secret.expose().to_owned(), format!("{} ", secret.expose())),
            (secret.expose().to_owned(), format!("{}\0", secret.expose())),
            (secret.expose().to_owned(), secret.expose()[1..].to_owned()),
            (format!("{long}a"), format!("{long}b")),
        ] {
            assert!(!hasher.hash(&left).matches(&hasher.hash(&right)));
        }
        assert!(!stored.matches(&SecretHasher::new(&[2; 32]).hash(secret.expose())), "keyed");
    }

    #[test]
    fn hmac_matches_rfc_4231_case_2_when_keyed_by_a_padded_block() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hash: String = SecretHasher::new(&key).hash("what do ya want for nothing?").into();
        assert_eq!(
            hash,
            URL_SAFE_NO_PAD.encode([
                0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a,
                0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
            ])
        );
    }

    proptest! {
        #[test]
        fn every_secret_is_well_formed_and_no_slip_of_one_character_is(bits: [u8; 32], at in 0..SECRET_CHARS, slip in "[A-Za-z0-9_-]") {
            let secret = Secret::from_random(bits);
            prop_assert!(Secret::is_well_formed(secret.expose()));
            let mut slipped = secret.expose().to_owned();
            slipped.replace_range(at..=at, &slip);
            prop_assert_eq!(Secret::is_well_formed(&slipped), slipped == secret.expose());
        }

        #[test]
        fn parse_of_encode_is_the_same(digest: [u8; 32]) {
            let text = String::from(SecretHash(digest));
            prop_assert_eq!(SecretHash::try_from(text).unwrap().0, digest);
        }
    }
}
