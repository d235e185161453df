//! Scopes: what is read is written as it reads, holds each token once and is its own subset.
//!
//! Run it with `cargo +nightly fuzz run scope -- -max_len=8192`. The limits of a scope (4096 bytes, 128 tokens)
//! are within that length, so that both sides of them are met.
#![no_main]

use jeton::oauth::Scope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(scope) = Scope::parse(text) else { return };
    assert_eq!(Scope::parse(scope.as_str()).as_ref(), Ok(&scope));
    assert!(scope.is_subset_of(&scope));
    let tokens: Vec<&str> = scope.tokens().collect();
    assert!(tokens.iter().enumerate().all(|(at, token)| !tokens[..at].contains(token)));
    assert!(scope.as_str().bytes().all(|byte| matches!(byte, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E)));
});
