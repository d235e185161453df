//! The `Host` rule: no header values panic it, and what it accepts cannot be taken for more than a host and a port.
//!
//! Run it with `cargo +nightly fuzz run host -- -max_len=256`. Each line of the input is one `Host` field of a
//! request, as far as a field value can hold it.
#![no_main]

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Version};
use jeton::http::host::is_acceptable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HOST, value);
        }
    }
    let accepted = is_acceptable(Version::HTTP_11, &headers);
    assert!(!accepted || headers.get_all(HOST).iter().count() == 1);
    if accepted {
        let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        assert!(!host.is_empty() && !host.iter().any(|byte| b" \t/@?#\\<>\"".contains(byte)), "{host:?}");
    }
});
