//! The one type that users hold: a key, and the fastest code that may sign with it.

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::key::{Key, KeyMismatch};
use crate::policy::{Acceleration, Path, VerifyAfterSign, Why};
use crate::{check, portable};

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignError {
    /// There are more or fewer places for signatures than messages.
    Lengths,
    /// The signatures that were made, twice and in two ways, do not verify.
    Fault,
}

impl std::fmt::Display for SignError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lengths => "there are not as many signatures as messages",
            Self::Fault => "a signature that was made does not verify",
        })
    }
}

impl std::error::Error for SignError {}

/// Signs with one key, one message or many at once.
///
/// Cheap to share between threads behind an `Arc`: signing takes `&self`, no lock and no allocation.
pub struct Signer {
    key: Key,
    pair: Option<Ed25519KeyPair>,
    path: Path,
    verify: VerifyAfterSign,
}

impl Signer {
    /// A signer of an expanded key.
    ///
    /// # Errors
    /// When `public` is not the public key of `secret`.
    pub fn new(secret: &ExpandedSecretKey, public: &VerifyingKey) -> Result<Self, KeyMismatch> {
        Ok(Self::of(Key::new(secret, public)?, None))
    }

    /// A signer of the key of this seed (RFC 8032's private key). The same as [`Signer::new`], but faster where the
    /// portable path is taken.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::of(Key::from_seed(seed), Ed25519KeyPair::from_seed_unchecked(seed).ok())
    }

    fn of(key: Key, pair: Option<Ed25519KeyPair>) -> Self {
        Self { key, pair, path: Path::Portable(Why::Unsupported), verify: VerifyAfterSign::Off }
    }

    /// The same signer with vector instructions or without; [`Acceleration::Detect`] by default.
    #[must_use]
    pub fn acceleration(mut self, acceleration: Acceleration) -> Self {
        self.path = Path::Portable(match acceleration {
            Acceleration::Detect => Why::Unsupported,
            Acceleration::Off => Why::SwitchedOff,
        });
        self
    }

    /// The same signer with signatures verified before they leave; [`VerifyAfterSign::Off`] by default.
    #[must_use]
    pub fn verify_after_sign(mut self, verify: VerifyAfterSign) -> Self {
        self.verify = verify;
        self
    }

    /// The public key.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.key.public
    }

    /// By which code this signer signs from now on. It changes when a fault is found, so look again now and then.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// Signs one message.
    ///
    /// # Errors
    /// As [`Signer::sign_batch`].
    pub fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let mut signature = [Signature::from_bytes(&[0; 64])];
        self.sign_batch(&[message], &mut signature)?;
        let [signature] = signature;
        Ok(signature)
    }

    /// Signs each message, and puts its signature at the same place of `signatures`. Any number of messages will do;
    /// 4 and more, best multiples of 4, make the most of it.
    ///
    /// # Errors
    /// When the slices differ in length; with [`Signer::verify_after_sign`], when no sound signatures can be made.
    /// All of `signatures` are to be thrown away then.
    pub fn sign_batch(&self, messages: &[&[u8]], signatures: &mut [Signature]) -> Result<(), SignError> {
        if messages.len() != signatures.len() {
            return Err(SignError::Lengths);
        }
        self.sign_portably(messages, signatures)?;
        if check::is_wanted(self.verify, signatures) && !check::are_sound(&self.key.public, messages, signatures) {
            return Err(SignError::Fault);
        }
        Ok(())
    }

    fn sign_portably(&self, messages: &[&[u8]], signatures: &mut [Signature]) -> Result<(), SignError> {
        let Some(pair) = &self.pair else {
            portable::sign_batch(&self.key, messages, signatures);
            return Ok(());
        };
        for (message, signature) in messages.iter().zip(signatures) {
            *signature = portable::sign_by_pair(pair, message).ok_or(SignError::Fault)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("public", &self.key.public).finish_non_exhaustive()
    }
}
