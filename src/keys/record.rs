//! What the store keeps of a signing key: its public part, its encrypted private part and its four instants.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::oauth::Algorithm;

/// The name of a key: its RFC 7638 thumbprint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kid(pub(super) Box<str>);

impl Kid {
    /// The thumbprint as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signing key as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The thumbprint of the public key.
    pub kid: Kid,
    /// The signature algorithm, as in the header of a token.
    pub alg: Box<str>,
    /// The raw public key in base64url: 32 bytes of Ed25519, the uncompressed point of P-256, or the modulus of RSA,
    /// whose exponent is always 65537.
    pub public: Box<str>,
    /// The private key, encrypted under the master key and bound to `kid`: the seed of Ed25519, else PKCS#8.
    pub sealed: Box<str>,
    /// From when on it stands in the JWKS.
    pub published_at: UnixTime,
    /// From when on it signs.
    pub activated_at: UnixTime,
    /// From when on it no longer signs, since a newer one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<UnixTime>,
    /// From when on it is gone from the JWKS, its last token having expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<UnixTime>,
}

impl KeyRecord {
    /// The ring that it belongs to.
    ///
    /// # Errors
    /// [`KeyError::UnknownAlgorithm`] in a store that a newer version wrote.
    pub fn algorithm(&self) -> Result<Algorithm, KeyError> {
        self.alg.parse().map_err(|_| KeyError::UnknownAlgorithm)
    }
}

/// What can be wrong with keys. None of the texts holds any part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The master key file holds something else.
    MalformedMasterKey,
    /// The cipher refused to encrypt.
    CannotSeal,
    /// A stored key cannot be decrypted.
    CannotOpen,
    /// The public part of a stored key does not belong to its private part or its `kid`.
    Mismatch,
    /// An algorithm that this build does not know.
    UnknownAlgorithm,
    /// The operating system or the library could not make a key.
    CannotGenerate,
    /// A signature could not be made.
    CannotSign,
    /// A signature that was made for a trial is wrong.
    Faulty,
    /// Not a private key of its algorithm, too small, or too large.
    Unusable,
    /// A rotation is under way: a published key waits for its activation.
    RotationUnderWay,
    /// No key is there to be rotated.
    NoKey,
    /// A key of this name is or was there already.
    KnownKey,
    /// No key of this name is there to be removed.
    UnknownKey,
    /// The key that signs, or that is the first to do so, cannot be removed.
    KeySigns,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MalformedMasterKey => "the master key is not 32 bytes in base64url: restore the file from its backup",
            Self::CannotSeal => "a signing key could not be encrypted",
            Self::CannotOpen => {
                "a signing key cannot be decrypted: the master key is not the one that the store was made with, or the store is damaged"
            }
            Self::Mismatch => "a stored signing key does not match its public part or its kid: the store is damaged",
            Self::UnknownAlgorithm => "a stored signing key has an algorithm that this version does not know",
            Self::CannotGenerate => "a signing key could not be made",
            Self::CannotSign => "a signature could not be made",
            Self::Faulty => "a signing key made a wrong signature when it was tried: this machine or its memory is at fault",
            Self::Unusable => "not a usable private key of this algorithm; RSA needs 2048 to 4096 bits and exponent 65537",
            Self::RotationUnderWay => "a rotation is under way: wait until the published key is active, see 'jeton key list'",
            Self::KnownKey => "this key is or was among the signing keys already: 'jeton key list' shows all",
            Self::UnknownKey => "no live key has this kid: 'jeton key list' shows all",
            Self::KeySigns => "this key signs, or no other one does: put another in its place first by 'jeton key rotate --now'",
            Self::NoKey => "no key signs now: make one that does by 'jeton key rotate --now', or set the clock right if it is behind",
        })
    }
}

impl std::error::Error for KeyError {}
