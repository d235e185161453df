//! The text of secrets and ids: no text panics their checks, and only what the server itself makes is well-formed.
//!
//! Run it with `cargo +nightly fuzz run secret -- -max_len=256`. The checksum is not a signature: a fuzzer may
//! well find another well-formed text, but only one of the right length and alphabet.
#![no_main]

use jeton::oauth::ClientId;
use jeton::oauth::secret::{SECRET_CHARS, Secret, SecretHash, SecretHasher};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if Secret::is_well_formed(text) {
        assert_eq!(text.len(), SECRET_CHARS);
    }
    if let Ok(hash) = SecretHash::try_from(text.to_owned()) {
        assert_eq!(String::from(hash), text, "there is one way to write a hash");
    }
    if let Ok(id) = ClientId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
    let hasher = SecretHasher::new(&[1; 32]);
    assert!(hasher.hash(text).matches(&hasher.hash(text)));
});
