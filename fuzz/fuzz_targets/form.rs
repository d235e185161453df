//! Form bodies: whatever is read can be written again and reads as the same.
//!
//! Run it with `cargo +nightly fuzz run form -- -max_len=4096`; it stops at the first input that breaks the
//! property and leaves it in `artifacts/form`, which `cargo +nightly fuzz run form artifacts/form/NAME` repeats.
#![no_main]

use jeton::oauth::form::{encode, pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(read) = pairs(body).collect::<Result<Vec<_>, _>>() else { return };
    let mut written = String::new();
    for (name, value) in &read {
        if !written.is_empty() {
            written.push('&');
        }
        encode(name, &mut written);
        written.push('=');
        encode(value, &mut written);
    }
    let again = pairs(written.as_bytes()).collect::<Result<Vec<_>, _>>();
    assert_eq!(again.as_deref(), Ok(read.as_slice()));
});
