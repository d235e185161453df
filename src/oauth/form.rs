//! `application/x-www-form-urlencoded`, read strictly (RFC 6749 appendix B).
//!
//! Unlike browsers' decoders it refuses what it cannot read exactly: broken percent escapes, bytes that are not
//! UTF-8, too many parameters. Values that need no decoding are borrowed from the body.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::iter::from_fn;

use memchr::memchr;

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
    parts(body).map(|part| pair(part?))
}

/// What stands between the ampersands, in order and as it was sent, where something stands.
pub(super) fn parts(body: &[u8]) -> impl Iterator<Item = Result<&[u8], FormError>> {
    let (mut rest, mut room) = (Some(body), MAX_PARAMETERS);
    let each = from_fn(move || {
        let whole = rest?;
        let (part, others) = match memchr(b'&', whole) {
            Some(at) => (whole.get(..at)?, whole.get(at + 1..)),
            None => (whole, None),
        };
        rest = others;
        let is_within = room > 0;
        room = room.saturating_sub(1);
        Some(is_within.then_some(part).ok_or(FormError::TooMany))
    });
    each.filter(|part| !part.is_ok_and(<[u8]>::is_empty))
}

/// The name and value of a part.
///
/// # Errors
/// As [`decode`].
pub(super) fn pair(part: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), FormError> {
    let (name, value) = match memchr(b'=', part) {
        Some(at) => (part.get(..at).unwrap_or_default(), part.get(at + 1..).unwrap_or_default()),
        None => (part, [].as_slice()),
    };
    Ok((decode(name)?, decode(value)?))
}

/// Decodes one name or value: `+` is a space, `%XX` a byte.
///
/// # Errors
/// When an escape is broken or the bytes are not UTF-8.
pub fn decode(text: &[u8]) -> Result<Cow<'_, str>, FormError> {
    if is_plain(text) {
        return str::from_utf8(text).map(Cow::Borrowed).map_err(|_| FormError::NotUtf8);
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

/// True when a text stands for itself: there is nothing to decode.
fn is_plain(text: &[u8]) -> bool {
    !has_any(text, |byte| matches!(byte, b'%' | b'+'))
}

/// True when a text is of spaces and visible ASCII characters only.
pub(super) fn is_visible(text: &[u8]) -> bool {
    !has_any(text, |byte| !matches!(byte, b' '..=b'~'))
}

/// A text that stands for itself and [`is_visible`].
pub(super) fn simple(text: &[u8]) -> Option<&str> {
    let is_simple = !has_any(text, |byte| !matches!(byte, b' '..=b'~') | matches!(byte, b'%' | b'+'));
    str::from_utf8(text).ok().filter(|_| is_simple)
}

/// True when a byte of `text` is of the kind. Looks at all of them, sixteen at a time; at some of the last sixteen twice,
/// which is less than to look at what is left one by one.
fn has_any(text: &[u8], is_of_kind: impl Fn(u8) -> bool + Copy) -> bool {
    match text.last_chunk::<16>() {
        Some(last) => any_of(text.as_chunks::<16>().0.as_flattened(), is_of_kind) | any_of(last, is_of_kind),
        None => any_of(text, is_of_kind),
    }
}

/// Without a branch. Kept whole: taken into its callers, a loop of known length becomes one byte after the other.
#[inline(never)]
fn any_of(text: &[u8], is_of_kind: impl Fn(u8) -> bool) -> bool {
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
