//! Ed25519 signatures (RFC 8032) by the batch.
//!
//! A [`Signer`] holds one key and makes the same bytes as every other Ed25519 implementation, only faster where there
//! are several messages to sign.
//!
//! ```
//! use ed25519_lanes::{Signature, Signer};
//!
//! let signer = Signer::from_seed(&[7; 32]);
//! let messages: [&[u8]; 2] = [b"one", b"two"];
//! let mut signatures = [Signature::from_bytes(&[0; 64]); 2];
//! signer.sign_batch(&messages, &mut signatures)?;
//! assert_eq!(signatures[1], signer.sign(b"two")?);
//! # Ok::<(), ed25519_lanes::SignError>(())
//! ```

mod check;
mod digits;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod emulated;
mod encode;
mod engine;
mod field;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod inversion;
mod key;
mod lanes;
mod message;
#[cfg(test)]
mod model;
mod point;
mod policy;
mod portable;
mod radix;
mod scalar;
mod sha512;
mod sign;
mod signer;
mod table;

pub use ed25519_dalek::hazmat::ExpandedSecretKey;
pub use ed25519_dalek::{Signature, VerifyingKey};

pub use key::KeyMismatch;
pub use policy::{Acceleration, Path, Policy, VerifyAfterSign, Why};
pub use signer::{SignError, Signer};
