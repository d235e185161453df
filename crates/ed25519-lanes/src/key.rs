//! The key of a signer: its secret halves and its public one, known to belong together.
//!
//! A key has a place of its own on the heap and is written there part by part: what moves with a signer is a pointer,
//! so no copy stays behind where the signer was. What its making leaves on the stack is for `signer` to wipe.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::scalar::Secret;

/// The verifying key is not that of the secret key. Signing with such a pair would give the secret key away: two
/// signatures of one message under two public keys share the nonce (RUSTSEC-2022-0093).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMismatch;

impl std::fmt::Display for KeyMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the verifying key does not belong to the secret key")
    }
}

impl std::error::Error for KeyMismatch {}

/// What RFC 8032 §5.1.5 derives from a seed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key {
    /// a
    pub(crate) scalar: Scalar,
    /// a as lanes multiply by it.
    pub(crate) secret: Secret,
    /// The second half of the seed's digest: what nonces are derived from.
    pub(crate) nonce_prefix: [u8; 32],
    /// A = aB
    #[zeroize(skip)]
    pub(crate) public: VerifyingKey,
}

impl Key {
    #[inline(never)]
    pub(crate) fn new(secret: &ExpandedSecretKey, public: &VerifyingKey) -> Result<Box<Self>, KeyMismatch> {
        if EdwardsPoint::mul_base(&secret.scalar).compress().as_bytes() != public.as_bytes() {
            return Err(KeyMismatch);
        }
        Ok(Self::derived(secret, *public))
    }

    #[inline(never)]
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Box<Self> {
        let secret = ExpandedSecretKey::from(seed);
        let public = VerifyingKey::from(&secret);
        Self::derived(&secret, public)
    }

    fn derived(secret: &ExpandedSecretKey, public: VerifyingKey) -> Box<Self> {
        let empty = Self { scalar: Scalar::ZERO, secret: Secret::default(), nonce_prefix: [0; 32], public };
        let mut key = Box::new(empty);
        key.scalar = secret.scalar;
        key.secret = Secret::new(&secret.scalar);
        key.nonce_prefix = secret.hash_prefix;
        key
    }
}
