//! How a client proves who it is: Basic, the body or an assertion, never two of them (RFC 6749 §2.3, §2.3.1, RFC 7521
//! §4.2).
//!
//! Leaves the check itself to [`super::Client::authenticate`], and assertions to `assertion`. Invariants: two
//! mechanisms in one request are refused before anything is looked up; a presented secret never prints.
//!
//! Real clients disagree on whether the id and secret are form-encoded before they are put into Basic. Both
//! readings are offered where they differ; the issuer accepts a request only when exactly one authenticates.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use zeroize::{Zeroize as _, Zeroizing};

use super::assertion::{ASSERTION_TYPE, Assertion};
use super::client::MAX_CLIENT_ID_BYTES;
use super::error::OAuthError;
use super::form;
use super::sextets;

/// The longest secret that is hashed, in bytes; a longer one is wrong.
pub const MAX_SECRET_BYTES: usize = 1024;
/// The longest `Authorization` value: both parts fully percent-encoded, in base64.
const MAX_BASIC_BYTES: usize = (MAX_CLIENT_ID_BYTES + MAX_SECRET_BYTES + 1) * 3 * 4 / 3 + 16;

/// An id and a secret, as they were presented.
pub struct Presented<'a> {
    /// The claimed client id; not yet known to be one.
    pub id: Cow<'a, str>,
    /// The claimed secret.
    pub secret: Cow<'a, str>,
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(***)")
    }
}

/// As many characters of base64 as an id and a secret of ours take, and some more.
const USUAL_CHARS: usize = 192;

/// The bytes of a decoded Basic header, wiped when dropped. Lives beside the [`ClientAuth`] that borrows from it.
pub enum BasicText {
    /// Where it stands, and how long it is.
    Usual(Room, usize),
    /// Longer than one of ours.
    Long(Zeroizing<Vec<u8>>),
}

/// Where a usual one stands; aligned, since it is read many bytes at a time.
#[repr(align(16))]
pub struct Room([u8; sextets::room_for(USUAL_CHARS)]);

impl Drop for Room {
    fn drop(&mut self) {
        // As a slice: all at once instead of byte by byte.
        self.0.as_mut_slice().zeroize();
    }
}

impl BasicText {
    /// Decodes the values of the `Authorization` header of one request; `None` when there is no such header.
    ///
    /// # Errors
    /// `invalid_request` for two headers, `invalid_client` for another scheme or anything malformed.
    pub fn decode<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Result<Option<Self>, OAuthError> {
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(OAuthError::invalid_request("more than one Authorization header"));
        }
        let encoded = strip_scheme(value).filter(|encoded| encoded.len() <= MAX_BASIC_BYTES);
        let encoded = encoded.ok_or(OAuthError::INVALID_CLIENT)?;
        if encoded.len() <= USUAL_CHARS {
            let mut room = Room([0; sextets::room_for(USUAL_CHARS)]);
            let length = sextets::decode(encoded, &mut room.0).ok_or(OAuthError::INVALID_CLIENT)?;
            return Ok(Some(Self::Usual(room, length)));
        }
        let mut text = Zeroizing::new(vec![0; sextets::room_for(encoded.len())]);
        let length = sextets::decode(encoded, &mut text).ok_or(OAuthError::INVALID_CLIENT)?;
        text.truncate(length);
        Ok(Some(Self::Long(text)))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Usual(room, length) => room.0.get(..*length).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

/// What follows `Basic` and one or more spaces; the scheme's case does not matter (RFC 9110 §11.1).
fn strip_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_first_chunk::<5>()?;
    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
    (scheme.eq_ignore_ascii_case(b"basic") && spaces > 0).then(|| rest.get(spaces..).unwrap_or_default())
}

/// What a client presented.
#[derive(Debug)]
pub enum ClientAuth<'a> {
    /// `client_secret_basic`: the form-decoded reading, the raw reading, or both where they differ.
    Basic {
        /// As RFC 6749 §2.3.1 says: form-decoded after base64.
        decoded: Option<Presented<'a>>,
        /// As many clients do it: straight from base64.
        raw: Option<Presented<'a>>,
    },
    /// `client_secret_post`.
    Post(Presented<'a>),
    /// `private_key_jwt`. Boxed, since few come in by it and all would keep room for it.
    Assertion(Box<Assertion<'a>>),
    /// Nothing that authenticates.
    Missing,
}

impl<'a> ClientAuth<'a> {
    /// Reads Basic in both ways; a reading whose parts no client of ours can have is left out.
    ///
    /// # Errors
    /// `invalid_client` when neither reading is possible.
    pub fn from_basic(text: &'a BasicText) -> Result<Self, OAuthError> {
        let text = text.bytes();
        let colon = memchr(b':', text).ok_or(OAuthError::INVALID_CLIENT)?;
        let (decoded, raw) = if let Some(text) = form::simple(text) {
            // As nearly all are: there is one reading, and its alphabet is right.
            (None, bounded(text.get(..colon), text.get(colon + 1..)))
        } else {
            let (id, secret) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
            (presented(form::decode(id).ok(), form::decode(secret).ok()), presented(utf8(id), utf8(secret)))
        };
        if raw.is_none() && decoded.is_none() {
            return Err(OAuthError::INVALID_CLIENT);
        }
        Ok(Self::Basic { decoded, raw })
    }

    /// Reads `client_id` and `client_secret` of the body.
    ///
    /// # Errors
    /// `invalid_client` when they cannot be those of a client.
    pub fn from_post(id: Cow<'a, str>, secret: Cow<'a, str>) -> Result<Self, OAuthError> {
        presented(Some(id), Some(secret)).map(Self::Post).ok_or(OAuthError::INVALID_CLIENT)
    }

    /// Reads `client_assertion` of the body, and what stands beside it.
    ///
    /// # Errors
    /// `invalid_request` for another kind of assertion or another client's id, `invalid_client` for one that cannot be
    /// that of a client.
    pub fn from_assertion(text: Cow<'a, str>, kind: &str, id: Option<&str>) -> Result<Self, OAuthError> {
        if kind != ASSERTION_TYPE {
            return Err(OAuthError::invalid_request("client_assertion_type must be that of RFC 7523: jwt-bearer"));
        }
        let assertion = Assertion::parse(text).map_err(|_| OAuthError::INVALID_CLIENT)?;
        if id.is_some_and(|id| id != assertion.client().as_str()) {
            return Err(OAuthError::invalid_request("client_id differs from the assertion"));
        }
        Ok(Self::Assertion(Box::new(assertion)))
    }

    /// The id that the caller says it is; not yet known to be one.
    #[must_use]
    pub fn claimed_id(&self) -> &str {
        match self {
            Self::Assertion(assertion) => assertion.client().as_str(),
            secret => secret.readings().next().map(|presented| &*presented.id).unwrap_or_default(),
        }
    }

    /// The one or two pairs to try.
    pub fn readings(&self) -> impl Iterator<Item = &Presented<'a>> {
        let (first, second) = match self {
            Self::Basic { decoded, raw } => (decoded.as_ref(), raw.as_ref()),
            Self::Post(presented) => (Some(presented), None),
            Self::Assertion(_) | Self::Missing => (None, None),
        };
        first.into_iter().chain(second)
    }
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

/// Limits and alphabets of RFC 6749 appendix A.1 and A.2, before anything is hashed or looked up.
fn presented<'a, T: Into<Cow<'a, str>>>(id: Option<T>, secret: Option<T>) -> Option<Presented<'a>> {
    let read = bounded(id, secret)?;
    let sound = form::is_visible(read.id.as_bytes()) && form::is_visible(read.secret.as_bytes());
    sound.then_some(read)
}

/// As `presented`, of what is in the alphabet.
fn bounded<'a, T: Into<Cow<'a, str>>>(id: Option<T>, secret: Option<T>) -> Option<Presented<'a>> {
    let (id, secret) = (id?.into(), secret?.into());
    let sound = (1..=MAX_CLIENT_ID_BYTES).contains(&id.len()) && (1..=MAX_SECRET_BYTES).contains(&secret.len());
    sound.then_some(Presented { id, secret })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    fn readings(header: &[u8]) -> Result<Vec<(String, String)>, OAuthError> {
        let text = BasicText::decode([header].into_iter())?.unwrap();
        let auth = ClientAuth::from_basic(&text)?;
        Ok(auth.readings().map(|p| (p.id.to_string(), p.secret.to_string())).collect())
    }

    #[test]
    fn reads_the_example_of_section_2_3_1() {
        let header = b"Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW";
        assert_eq!(readings(header).unwrap(), [("s6BhdRkqt3".into(), "gX1fBat3bV".into())]);
    }

    #[test]
    fn t061_the_scheme_has_any_case_and_one_or_more_spaces() {
        for scheme in ["bAsIc ", "BASIC   "] {
            let header = format!("{scheme}czZCaGRSa3F0MzpnWDFmQmF0M2JW");
            assert_eq!(readings(header.as_bytes()).unwrap().len(), 1);
        }
    }

    #[test]
    fn t062_offers_both_readings_where_they_differ() {
        assert_eq!(
            readings(&basic("a%3Ab:s+c")).unwrap(),
            [("a:b".into(), "s c".into()), ("a%3Ab".into(), "s+c".into())]
        );
        assert_eq!(readings(&basic("a:b:c")).unwrap(), [("a".into(), "b:c".into())], "split at the first colon");
        assert_eq!(readings(&basic("a:100%")).unwrap(), [("a".into(), "100%".into())], "only the raw reading exists");
    }

    #[test]
    fn t064_t065_t066_t073_t087_refuses_what_no_client_can_have() {
        let long_secret = basic(&format!("a:{}", "s".repeat(MAX_SECRET_BYTES + 1)));
        let long_id = basic(&format!("{}:s", "a".repeat(MAX_CLIENT_ID_BYTES + 1)));
        let headers: [&[u8]; 17] = [
            b"Basic",
            b"Basic ",
            b"Basic !!!!",
            b"Basic YTpi\n",
            b"Basic YTpi=",
            b"Basic YTo_Pz8_",
            b"Basic YQ==",
            b"Bearer YTpi",
            b"",
            b"Negotiate",
            b"BasicYTpi",
            &basic(":s"),
            &basic("a:"),
            &basic("a\u{0}:s"),
            &basic("ä:s"),
            &long_secret,
            &long_id,
        ];
        for header in headers {
            assert_eq!(readings(header), Err(OAuthError::INVALID_CLIENT), "{:?}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn t074_refuses_two_authorization_headers() {
        let (good, bad) = (basic("a:b"), b"Basic x".to_vec());
        for pair in [[&good, &bad], [&bad, &good]] {
            let refusal = BasicText::decode(pair.into_iter().map(Vec::as_slice)).err().unwrap();
            assert_eq!(refusal.code().as_str(), "invalid_request");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = readings(&header);
            let _ = readings(&[b"Basic ", header.as_slice()].concat());
        }

        #[test]
        fn a_simple_text_has_the_reading_that_both_ways_have(text in "[ -~]{0,9}|[a-z0-9:%+ ]{0,40}|.{0,9}") {
            let both = text.split_once(':').map(|(id, secret)| {
                let decoded = presented(form::decode(id.as_bytes()).ok(), form::decode(secret.as_bytes()).ok());
                let raw = presented(Some(id), Some(secret));
                let pairs = decoded.into_iter().chain(raw).map(|p| (p.id.into_owned(), p.secret.into_owned()));
                let mut pairs: Vec<_> = pairs.collect();
                pairs.dedup();
                pairs
            });
            prop_assert_eq!(readings(&basic(&text)).unwrap_or_default(), both.unwrap_or_default());
        }

        #[test]
        fn parse_of_encode_is_the_same(id in "[ -~]{1,40}", secret in "[ -~]{1,40}") {
            let mut text = String::new();
            form::encode(&id, &mut text);
            text.push(':');
            form::encode(&secret, &mut text);
            prop_assert!(readings(&basic(&text)).unwrap().contains(&(id, secret)));
        }
    }
}
