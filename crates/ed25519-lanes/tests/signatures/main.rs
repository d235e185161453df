//! Signatures by every path are those of RFC 8032, of ed25519-dalek and of aws-lc-rs, byte for byte.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends where it fails, and tells how much it compared"
)]

mod known;
mod random;
