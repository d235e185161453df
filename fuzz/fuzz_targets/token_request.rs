//! Token requests: a form body, with and without a Basic header, never panics, and what is accepted is within the
//! rules that later stages rely on.
//!
//! Run it with `cargo +nightly fuzz run token_request -- -max_len=4096`. The input up to its first line feed is the
//! `Authorization` header, the rest the body; without a line feed all of it is the body.
#![no_main]

use jeton::oauth::TokenRequest;
use jeton::oauth::client_auth::BasicText;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (header, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (Some(&input[..at]), &input[at + 1..]),
        None => (None, input),
    };
    let Ok(basic) = BasicText::decode(header.into_iter()) else { return };
    let Ok(request) = TokenRequest::parse(body, basic.as_ref()) else { return };
    assert!(request.auth().readings().count() <= 2);
    assert!(request.scope() != Some("") && request.resources().iter().all(|resource| !resource.is_empty()));
    let _ = request.check_grant_type();
});
