//! How Ed25519 keys sign: what the operator decides, and what came of it. Leaves both to `ed25519_lanes`, whose words
//! these are.

pub use ed25519_lanes::{Acceleration, Path, VerifyAfterSign, Why};

/// What the operator decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigningPolicy {
    /// Whether the vector instructions of the processor are used where it has them.
    pub acceleration: Acceleration,
    /// Whether signatures are verified before they leave.
    pub verify: VerifyAfterSign,
}
