//! Signed tokens and key sets: no input panics the verifier, and none verifies, since nobody here has the private key.
//!
//! Run it with `cargo +nightly fuzz run jws -- -max_len=4096`. The key is the public one of RFC 8037, appendix A.2;
//! the input is tried as a token, as a key set, and as the header and payload (split at a line feed) of a token
//! whose base64url is right.
#![no_main]

use std::time::Duration;

use jeton::clock::UnixTime;
use jeton::jwt::{Expected, PublicKey, verify};
use libfuzzer_sys::fuzz_target;

const PUBLIC_KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

fuzz_target!(|input: &[u8]| {
    let keys = [PublicKey::from_ed25519("k", &PUBLIC_KEY).expect("a point of the curve")];
    let now = UnixTime::from_seconds(1_000);
    let expected = Expected { issuer: "https://a.example", audience: None, now, leeway: Duration::ZERO };
    let _ = PublicKey::from_jwks(input);
    if let Ok(token) = std::str::from_utf8(input) {
        assert!(verify(token, &keys, &expected).is_err());
    }
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (header, payload) = input.split_at(at);
    let token = [header, payload, &[0; 64]].map(base64url).join(".");
    assert!(verify(&token, &keys, &expected).is_err());
});

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        out.extend((0..=group.len()).map(|at| char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize])));
    }
    out
}
