//! Signatures in vector lanes: whatever the key, the messages and their number, the bytes are those of ed25519-dalek.
//!
//! Run it with `cargo +nightly fuzz run lanes -- -max_len=4096 -len_control=0`. The first 32 bytes of the input are the
//! seed, the next one says into how many messages the rest is cut, up to more than two batches: at places that its own
//! bytes choose, so lengths differ and some are zero. A few of them are signed alone as well, and the batch once more
//! by a signer that verifies.
#![no_main]

use ed25519_dalek::{Signer as _, SigningKey};
use ed25519_lanes::{Policy, Signature, Signer, VerifyAfterSign};
use libfuzzer_sys::fuzz_target;

/// Two full batches and a part of a third.
const MOST: usize = 70;
const ALONE: usize = 4;

fuzz_target!(|input: &[u8]| {
    let Some((seed, [count, rest @ ..])) = input.split_first_chunk::<32>() else { return };
    let messages = cut(rest, usize::from(*count) % MOST);
    let dalek = SigningKey::from_bytes(seed);
    let expected: Vec<Signature> = messages.iter().map(|message| dalek.sign(message)).collect();
    for verify in [VerifyAfterSign::Off, VerifyAfterSign::All] {
        let signer = Signer::from_seed_with(seed, Policy { verify, ..Policy::default() });
        let mut signatures = vec![Signature::from_bytes(&[0; 64]); messages.len()];
        signer.sign_batch(&messages, &mut signatures).expect("sound signatures");
        assert_eq!(signatures, expected);
        for (message, signature) in messages.iter().zip(&expected).take(ALONE) {
            assert_eq!(signer.sign(message).as_ref(), Ok(signature));
        }
    }
});

fn cut(rest: &[u8], count: usize) -> Vec<&[u8]> {
    let mut left = rest;
    let lengths = (0..count).map(|at| rest.get(at).map_or(0, |byte| usize::from(*byte) * 3));
    lengths
        .map(|wanted| {
            let (message, after) = left.split_at(wanted.min(left.len()));
            left = after;
            message
        })
        .collect()
}
