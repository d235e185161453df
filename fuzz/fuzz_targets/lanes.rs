//! Signatures in vector lanes: whatever the key, the messages and their number, the bytes are those of ed25519-dalek.
//!
//! Run it with `cargo +nightly fuzz run lanes -- -max_len=4096`. The first 32 bytes of the input are the seed, the next
//! one says into how many messages the rest is cut: at places that its own bytes choose, so lengths differ and some are
//! zero.
#![no_main]

use ed25519_dalek::{Signer as _, SigningKey};
use ed25519_lanes::{Signature, Signer, VerifyAfterSign};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((seed, [count, rest @ ..])) = input.split_first_chunk::<32>() else { return };
    let mut messages = Vec::new();
    let mut left = rest;
    for at in 0..usize::from(*count) {
        let wanted = rest.get(at).map_or(0, |byte| usize::from(*byte) * 3);
        let (message, after) = left.split_at(wanted.min(left.len()));
        messages.push(message);
        left = after;
    }
    let dalek = SigningKey::from_bytes(seed);
    let signer = Signer::from_seed(seed).verify_after_sign(VerifyAfterSign::All);
    let mut signatures = vec![Signature::from_bytes(&[0; 64]); messages.len()];
    signer.sign_batch(&messages, &mut signatures).expect("sound signatures");
    for (message, signature) in messages.iter().zip(&signatures) {
        assert_eq!(*signature, dalek.sign(message));
        assert_eq!(signer.sign(message).as_ref(), Ok(signature));
    }
});
