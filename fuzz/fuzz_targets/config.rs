//! Configuration files: any TOML is taken or refused with one printable line.
//!
//! Run it with `cargo +nightly fuzz run config -- -max_len=4096 -only_ascii=0`. Nothing is opened or bound: reading
//! a configuration has no effect outside its own value.
#![no_main]

use jeton::config::{Config, RawConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut raw = RawConfig::default();
    let read = raw.read_toml(text, "fuzz.toml").and_then(|()| Config::from_raw(&raw));
    if let Err(error) = read {
        assert!(!error.to_string().is_empty());
    }
});
