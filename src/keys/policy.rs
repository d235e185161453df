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

/// How bad it is to sign in this way.
#[must_use]
pub const fn gravity(path: Path) -> u8 {
    match path {
        Path::Lanes => 0,
        Path::Portable(Why::SwitchedOff | Why::Unsupported) => 1,
        Path::Portable(Why::SelfTestFailed | Why::FaultFound) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_computes_wrongly_is_worse_than_whatever_else_there_is() {
        assert_eq!(PATHS.map(|(_, path)| gravity(path)), [0, 1, 1, 2, 2]);
        let worst = PATHS.into_iter().rev().map(|(_, path)| path).max_by_key(|path| gravity(*path));
        assert_eq!(worst.map(gravity), Some(2), "in whatever order they come");
    }
}
