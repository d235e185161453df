//! `application/x-www-form-urlencoded`, read strictly (RFC 6749 appendix B).
//!
//! Unlike browsers' decoders it refuses what it cannot read exactly: broken percent escapes, bytes that are not
//! UTF-8, too many parameters. Values that need no decoding are borrowed from the body.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The most parameters in one body.
pub const MAX_PARAMETERS: usize = 64;

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// `%` without two hexadecimal digits behind it.
    BadEscape,
    /// What the escapes stand for is not UTF-8.
    NotUtf8,
    /// Beyond [`MAX_PARAMETERS`].
    TooMany,
}

/// The name and value pairs of a body, in order. Empty pairs (`a=1&&b=2`) are skipped.
pub fn pairs(body: &[u8]) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), FormError>> {
    let parts = body.split(|&byte| byte == b'&').enumerate();
    parts.filter(|(position, part)| !part.is_empty() || *position >= MAX_PARAMETERS).map(|(position, part)| {
        if position >= MAX_PARAMETERS {
            return Err(FormError::TooMany);
        }
        let (name, value) = match part.iter().position(|&byte| byte == b'=') {
            Some(at) => (part.get(..at).unwrap_or_default(), part.get(at + 1..).unwrap_or_default()),
            None => (part, [].as_slice()),
        };
        Ok((decode(name)?, decode(value)?))
    })
}

/// Decodes one name or value: `+` is a space, `%XX` a byte.
///
/// # Errors
/// When an escape is broken or the bytes are not UTF-8.
pub fn decode(text: &[u8]) -> Result<Cow<'_, str>, FormError> {
    if !has_any(text, |byte| matches!(byte, b'%' | b'+')) {
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| FormError::NotUtf8);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next())? << 4 | hex(rest.next())?,
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| FormError::NotUtf8)
}

/// True when a byte of `text` is of the kind. Looks at all of them without a branch, sixteen at a time.
pub(super) fn has_any(text: &[u8], is_of_kind: impl Fn(u8) -> bool) -> bool {
    text.iter().fold(false, |found, byte| found | is_of_kind(*byte))
}

fn hex(digit: Option<&u8>) -> Result<u8, FormError> {
    match digit {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(FormError::BadEscape),
    }
}

/// Writes `text` so that [`decode`] gives it back.
pub fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte.into()),
            b' ' => out.push('+'),
            // Writing to a String cannot fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Result<Vec<(String, String)>, FormError> {
        pairs(body.as_bytes()).map(|pair| pair.map(|(n, v)| (n.into_owned(), v.into_owned()))).collect()
    }

    #[test]
    fn reads_the_example_of_appendix_b() {
        assert_eq!(decode(b"+%25%26%2B%C2%A3%E2%82%AC").unwrap(), " %&+£€");
        let mut text = String::new();
        encode(" %&+£€", &mut text);
        assert_eq!(text, "+%25%26%2B%C2%A3%E2%82%AC");
    }

    #[test]
    fn t036_refuses_broken_escapes() {
        for text in ["%", "%a", "%zz", "%u0041", "a%", "%-1", "% 1"] {
            assert_eq!(decode(text.as_bytes()), Err(FormError::BadEscape), "{text}");
        }
    }

    #[test]
    fn t037_refuses_what_is_not_utf_8() {
        for text in ["%ff", "%c0%80", "%ed%a0%80", "%f8%88%80%80%80", "%e2%82"] {
            assert_eq!(decode(text.as_bytes()), Err(FormError::NotUtf8), "{text}");
        }
        assert_eq!(decode(b"\xff"), Err(FormError::NotUtf8));
    }

    #[test]
    fn t039_plus_is_a_space_and_an_escaped_plus_is_a_plus() {
        assert_eq!(decode(b"a+b%2Bc").unwrap(), "a b+c");
    }

    #[test]
    fn t047_only_the_ampersand_separates() {
        assert_eq!(read("a=1;b=2&c[]=3").unwrap(), [("a".into(), "1;b=2".into()), ("c[]".into(), "3".into())]);
    }

    #[test]
    fn t049_refuses_too_many_parameters_without_reading_them_all() {
        assert_eq!(read(&"&".repeat(1_000_000)), Err(FormError::TooMany));
        assert_eq!(read(&"a=b&".repeat(MAX_PARAMETERS + 1)), Err(FormError::TooMany));
        assert_eq!(read(&vec!["a=b"; MAX_PARAMETERS].join("&")).unwrap().len(), MAX_PARAMETERS);
    }

    proptest! {
        #[test]
        fn parse_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = pairs(&body).collect::<Result<Vec<_>, _>>();
        }

        #[test]
        fn parse_of_encode_is_the_same(fields in proptest::collection::vec((".+", ".*"), 0..10)) {
            let mut body = String::new();
            for (name, value) in &fields {
                if !body.is_empty() { body.push('&'); }
                encode(name, &mut body);
                body.push('=');
                encode(value, &mut body);
            }
            prop_assert_eq!(read(&body).unwrap(), fields);
        }
    }
}
