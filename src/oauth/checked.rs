//! Texts that the server makes for others to keep: a prefix that tells what it is, 256 random bits and a checksum,
//! all from `[A-Za-z0-9_-]`.
//!
//! So they mean the same with and without form-encoding (RFC 6749 §2.3.1), scanners find leaked ones, and slips are
//! told from wrong ones without asking anybody. The checksum is no signature: anyone can compute it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// 256 bits in base64url.
const RANDOM_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(&'static str);

/// Begins every client secret.
pub const CLIENT_SECRET: Prefix = Prefix("jtn_");
/// Begins every opaque access token.
pub const OPAQUE_TOKEN: Prefix = Prefix("jto_");

/// Why a text is none that the server makes. Says nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It begins otherwise.
    Prefix(&'static str),
    /// It has this many characters instead of that many.
    Length(usize, usize),
    /// It has the right form, but a character is not the one that was made.
    Checksum,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "it does not begin with {prefix}"),
            Self::Length(found, right) => write!(f, "it has {found} characters instead of {right}"),
            Self::Checksum => f.write_str("its checksum is wrong, so it was changed or mistyped"),
        }
    }
}

impl std::error::Error for Malformed {}

impl Prefix {
    /// Length of every text with this prefix.
    #[must_use]
    pub const fn text_chars(self) -> usize {
        self.0.len() + RANDOM_CHARS + CHECKSUM_CHARS
    }

    /// The text that encodes these random bits.
    #[must_use]
    pub fn encode(self, bits: [u8; 32]) -> Zeroizing<String> {
        let bits = Zeroizing::new(bits);
        let mut text = Zeroizing::new(String::with_capacity(self.text_chars()));
        text.push_str(self.0);
        URL_SAFE_NO_PAD.encode_string(bits.as_slice(), &mut text);
        let checksum = checksum(&text);
        text.push_str(&checksum);
        text
    }

    /// Whether the text has this prefix and the form and checksum of ours.
    ///
    /// # Errors
    /// The first of them that is wrong.
    pub fn check(self, text: &str) -> Result<(), Malformed> {
        if !text.starts_with(self.0) {
            return Err(Malformed::Prefix(self.0));
        }
        let chars = text.chars().count();
        if chars != self.text_chars() {
            return Err(Malformed::Length(chars, self.text_chars()));
        }
        let parts = text.split_at_checked(self.0.len() + RANDOM_CHARS);
        let sound = parts.is_some_and(|(body, sum)| sum == checksum(body));
        if sound { Ok(()) } else { Err(Malformed::Checksum) }
    }
}

fn checksum(body: &str) -> String {
    let mut sum = URL_SAFE_NO_PAD.encode(Sha256::digest(body.as_bytes()));
    sum.truncate(CHECKSUM_CHARS);
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn says_what_is_wrong_and_nothing_of_the_text() {
        let good = CLIENT_SECRET.encode([7; 32]);
        assert_eq!(CLIENT_SECRET.check(&good), Ok(()));
        let wide = format!("jtn_{}", "\u{e4}".repeat(49));
        for (text, malformed) in [
            ("", Malformed::Prefix("jtn_")),
            ("hunter2", Malformed::Prefix("jtn_")),
            (&good[1..], Malformed::Prefix("jtn_")),
            ("jtn_", Malformed::Length(4, 53)),
            (&good[..52], Malformed::Length(52, 53)),
            (&good.replacen("Bw", "Bx", 1), Malformed::Checksum),
            (&good.to_uppercase().replacen("JTN_", "jtn_", 1), Malformed::Checksum),
            (&wide, Malformed::Checksum),
        ] {
            assert_eq!(CLIENT_SECRET.check(text), Err(malformed), "{text}");
            assert!(text.len() < 5 || !malformed.to_string().contains(text));
        }
    }

    proptest! {
        #[test]
        fn check_never_panics(text in ".*", tail in ".{0,60}") {
            let _ = CLIENT_SECRET.check(&text);
            let _ = CLIENT_SECRET.check(&format!("jtn_{tail}"));
        }

        #[test]
        fn one_prefix_is_never_taken_for_another(bits: [u8; 32]) {
            let other = OPAQUE_TOKEN.encode(bits);
            prop_assert_eq!(CLIENT_SECRET.check(&other), Err(Malformed::Prefix("jtn_")));
            prop_assert_eq!(CLIENT_SECRET.check(&other.replacen("jto_", "jtn_", 1)), Err(Malformed::Checksum));
        }
    }
}
