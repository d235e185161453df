//! Scope: a set of tokens, written with single spaces (RFC 6749 §3.3).
//!
//! Invariants: a [`Scope`] holds each token once, in a stable order; its text needs no JSON escaping, since the
//! grammar of RFC 6749 appendix A.4 leaves out quotes and backslashes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest scope that a request may carry, in bytes; anything longer is refused before it is split.
pub const MAX_SCOPE_BYTES: usize = 4096;
/// The longest single scope token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 128;
/// The most tokens in one scope.
pub const MAX_TOKENS: usize = 128;

/// Why a text is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError {
    /// A character outside `%x21 / %x23-5B / %x5D-7E`, or spaces that do not stand singly between tokens.
    Malformed,
    /// Beyond [`MAX_SCOPE_BYTES`], [`MAX_TOKEN_BYTES`] or [`MAX_TOKENS`].
    TooLong,
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "a scope is a list of tokens separated by single spaces, without quotes, backslashes or control characters"
            }
            Self::TooLong => "a scope has at most 128 tokens of at most 128 characters",
        })
    }
}

impl std::error::Error for ScopeError {}

/// One member of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopeToken(Box<str>);

impl ScopeToken {
    /// # Errors
    /// When the text is empty, too long or holds a character outside `%x21 / %x23-5B / %x5D-7E`.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        Self::check(text).map(|()| Self(text.into()))
    }

    fn check(text: &str) -> Result<(), ScopeError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(ScopeError::TooLong);
        }
        if text.is_empty() || !text.bytes().all(is_scope_byte) {
            return Err(ScopeError::Malformed);
        }
        Ok(())
    }

    /// The token as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

/// A set of scope tokens in a stable order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    text: Box<str>,
}

impl Scope {
    /// Reads a scope; a token that is written twice counts once. The empty text is the empty scope.
    ///
    /// # Errors
    /// When the text is outside the grammar or beyond a limit.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        if text.is_empty() {
            return Ok(Self::default());
        }
        // As long as the text that it is read from, unless a token is repeated: no token is a text of its own.
        let (mut scope, mut members) = (String::with_capacity(text.len()), 0);
        for part in text.split(' ') {
            ScopeToken::check(part)?;
            if scope.split(' ').any(|held| held == part) {
                continue;
            }
            members += 1;
            if members > MAX_TOKENS {
                return Err(ScopeError::TooLong);
            }
            if !scope.is_empty() {
                scope.push(' ');
            }
            scope.push_str(part);
        }
        Ok(Self { text: scope.into() })
    }

    /// The tokens joined by single spaces, as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when the set has no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The members in their order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ').filter(|token| !token.is_empty())
    }

    /// True when every member of `self` is one of `other`, compared exactly.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.tokens().all(|token| other.tokens().any(|held| held == token))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.text.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn t187_a_token_written_twice_counts_once() {
        assert_eq!(Scope::parse("b a b").unwrap().as_str(), "b a");
    }

    #[test]
    fn t189_refuses_what_the_grammar_leaves_out() {
        for text in [" a", "a ", "a  b", "a\tb", "a\nb", "a\"b", "a\\b", "ä", "a\u{0}"] {
            assert_eq!(Scope::parse(text), Err(ScopeError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn t190_refuses_too_many_and_too_long_tokens() {
        let many = (0..=MAX_TOKENS).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        for text in [many, "x".repeat(MAX_TOKEN_BYTES + 1), "x ".repeat(MAX_SCOPE_BYTES)] {
            assert_eq!(Scope::parse(&text), Err(ScopeError::TooLong));
        }
    }

    #[test]
    fn t188_members_are_compared_exactly() {
        let held = Scope::parse("read write:all").unwrap();
        for text in ["READ", "rea", "write", "write:", "*", ".*", "read:all"] {
            assert!(!Scope::parse(text).unwrap().is_subset_of(&held), "{text}");
        }
        assert!(Scope::parse("write:all read").unwrap().is_subset_of(&held));
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in ".*") {
            let _ = Scope::parse(&text);
        }

        #[test]
        fn parse_of_encode_is_the_same(tokens in proptest::collection::vec("[!#-\\[\\]-~]{1,20}", 0..20)) {
            let scope = Scope::parse(&tokens.join(" ")).unwrap();
            let mut seen = std::collections::HashSet::new();
            let members: Vec<&str> = tokens.iter().map(String::as_str).filter(|token| seen.insert(*token)).collect();
            prop_assert_eq!(scope.tokens().collect::<Vec<_>>(), members);
            prop_assert_eq!(Scope::parse(scope.as_str()).unwrap(), scope);
        }
    }
}
