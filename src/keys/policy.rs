//! How Ed25519 keys sign: what the operator decides, and what came of it. Leaves both to `ed25519_lanes`, whose words
//! these are.

pub use ed25519_lanes::{Acceleration, Path, Policy as SigningPolicy, VerifyAfterSign, Why};

/// Every way to sign, with the name that metrics have for it.
pub const PATHS: [(&str, Path); 5] = [
    ("lanes", Path::Lanes),
    ("switched_off", Path::Portable(Why::SwitchedOff)),
    ("unsupported", Path::Portable(Why::Unsupported)),
    ("self_test_failed", Path::Portable(Why::SelfTestFailed)),
    ("fault_found", Path::Portable(Why::FaultFound)),
];
