//! What a caller decides of a signer, and what it is told.

use std::num::NonZeroU32;

/// All that a caller decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether the vector instructions of the processor are used where it has them.
    pub acceleration: Acceleration,
    /// Whether signatures are verified before they leave.
    pub verify: VerifyAfterSign,
}

/// Whether the vector instructions of the processor are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceleration {
    /// Where the processor has them and the self-test finds them sound.
    #[default]
    Detect,
    /// Never: for tests of the portable path, and for whoever distrusts the other.
    Off,
}

/// Whether signatures are verified before they leave.
///
/// A fault in the processor or its memory while a signature is made can give the private key away to whoever sees the
/// signature and has, or may guess, a sound one of the same message. A signature that does not verify never leaves. To
/// verify costs eight times what it takes to sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyAfterSign {
    /// No: the self-test when the key is read is all.
    #[default]
    Off,
    /// One call in so many, chosen by the signatures themselves, which are as good as random.
    Sampled(NonZeroU32),
    /// All of them.
    All,
}

/// By which code a signer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// In the lanes of AVX-512 IFMA.
    Lanes,
    /// By ed25519-dalek or aws-lc-rs.
    Portable(Why),
}

/// Why the portable path is taken. The last two deserve a loud line in the log: the machine computes wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By [`Acceleration::Off`].
    SwitchedOff,
    /// The processor has no AVX-512 IFMA.
    Unsupported,
    /// The fast path did not make the signatures that it must, when it was set up or when a key was read.
    SelfTestFailed,
    /// A signature of the fast path did not verify: of this key or of another.
    FaultFound,
}
