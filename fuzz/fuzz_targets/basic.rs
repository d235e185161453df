//! The `Authorization` header: no bytes panic, and no reading of them is beyond the limits of an id and a secret.
//!
//! Run it with `cargo +nightly fuzz run basic -- -max_len=8192`. The input is taken as the whole header value, and
//! then once more as what stands in base64 behind `Basic`, so that the fuzzer need not learn base64.
#![no_main]

use jeton::oauth::client_auth::{BasicText, ClientAuth, MAX_SECRET_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    read(input);
    read(&[b"Basic ", base64(input).as_slice()].concat());
});

fn read(header: &[u8]) {
    let Ok(Some(text)) = BasicText::decode(std::iter::once(header)) else { return };
    let Ok(auth) = ClientAuth::from_basic(&text) else { return };
    assert!((1..=2).contains(&auth.readings().count()));
    for presented in auth.readings() {
        assert!(!presented.id.is_empty() && (1..=MAX_SECRET_BYTES).contains(&presented.secret.len()));
        assert!(presented.id.bytes().chain(presented.secret.bytes()).all(|byte| matches!(byte, 0x20..=0x7E)));
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            out.push(if at <= group.len() { ALPHABET[(bits >> (18 - 6 * at) & 63) as usize] } else { b'=' });
        }
    }
    out
}
