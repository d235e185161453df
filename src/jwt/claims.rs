//! The claims of an access token (RFC 9068 §2.2), split by how often they change.
//!
//! `iss sub client_id aud scope` are constant for a client: they stand first and are kept in base64url, padded
//! with spaces (JSON allows them) to a multiple of three bytes. `iat` and `exp` follow in the same way, and usually
//! change once a second; so only its `jti` has to be encoded for a token.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::oauth::response::push_decimal;
use crate::oauth::{Audience, ClientId, IssuerUrl, Scope};

/// Three names and two instants of 20 digits.
const MAX_INSTANTS_BYTES: usize = 63;
/// The end of the claims.
const CLOSE: &[u8] = br#""}"#;
/// The 22 characters of a `jti`, and the end.
const ID_BYTES: usize = 22 + CLOSE.len();

/// Room for everything of the constant claims but their values.
const FRAME_BYTES: usize = 64;

/// `jti`: 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub [u8; 16]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// What differs from token to token.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// `jti`.
    pub id: TokenId,
}

/// The constant claims of a client, in base64url and ready to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPrefix<'a>(Cow<'a, [u8]>);

impl ClaimPrefix<'_> {
    /// The claims as they are copied: to be kept, and lent again.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// What was [encoded](Self::encoded) before.
    #[must_use]
    pub const fn lent(encoded: &[u8]) -> ClaimPrefix<'_> {
        ClaimPrefix(Cow::Borrowed(encoded))
    }

    /// Encodes the claims that stay. None of the values needs JSON escaping: their grammars leave out quotes,
    /// backslashes and control characters.
    #[must_use]
    pub fn encode<'m>(
        issuer: &IssuerUrl,
        client: &ClientId,
        audience: impl Iterator<Item = &'m Audience> + Clone,
        scope: &Scope,
    ) -> ClaimPrefix<'static> {
        let (iss, sub, scope) = (issuer.as_str(), client.as_str(), scope.as_str());
        let audience_bytes: usize = audience.clone().map(|member| member.as_str().len() + 3).sum();
        let mut claims = String::with_capacity(FRAME_BYTES + iss.len() + 2 * sub.len() + audience_bytes + scope.len());
        for part in [r#"{"iss":""#, iss, r#"","sub":""#, sub, r#"","client_id":""#, sub, r#"","aud":"#] {
            claims.push_str(part);
        }
        push_audience(&mut claims, audience);
        claims.push(',');
        if !scope.is_empty() {
            for part in [r#""scope":""#, scope, r#"","#] {
                claims.push_str(part);
            }
        }
        while !claims.len().is_multiple_of(3) {
            claims.push(' ');
        }
        ClaimPrefix(URL_SAFE_NO_PAD.encode(claims).into_bytes().into())
    }

    /// Bytes of a whole payload with this prefix, at the most.
    #[must_use]
    pub fn max_payload_bytes(&self) -> usize {
        self.0.len() + encoded_len(MAX_INSTANTS_BYTES) + encoded_len(ID_BYTES)
    }

    /// Appends the whole payload in base64url.
    pub fn push_payload(&self, stamp: &Stamp, instants: &Instants, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        instants.push(stamp, out);
        let mut id = [0; ID_BYTES];
        let (text, end) = id.split_at_mut(ID_BYTES - CLOSE.len());
        // Sixteen bytes are 22 characters, so it fits.
        let written = URL_SAFE_NO_PAD.encode_slice(stamp.id.0, text);
        debug_assert_eq!(written, Ok(text.len()), "the whole of the room");
        end.copy_from_slice(CLOSE);
        push_base64url(&id, out);
    }
}

/// The claims that say when, in base64url: a worker encodes them once for all tokens in a row that have the same.
#[derive(Debug, Default)]
pub struct Instants(RefCell<Encoded>);

#[derive(Debug, Default)]
struct Encoded {
    of: Option<(UnixTime, UnixTime)>,
    /// Room that is used again.
    text: Vec<u8>,
    base64url: Vec<u8>,
}

impl Instants {
    /// Appends `iat`, `exp` and the name of `jti`, after spaces that make whole groups of three bytes.
    fn push(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        let mut encoded = self.0.borrow_mut();
        let of = Some((stamp.issued_at, stamp.expires_at));
        if encoded.of != of {
            encoded.encode(stamp);
            encoded.of = of;
        }
        out.extend_from_slice(&encoded.base64url);
    }
}

impl Encoded {
    fn encode(&mut self, stamp: &Stamp) {
        let Self { text, base64url, .. } = self;
        text.clear();
        text.extend_from_slice(br#""iat":"#);
        push_decimal(text, stamp.issued_at.seconds());
        text.extend_from_slice(br#","exp":"#);
        push_decimal(text, stamp.expires_at.seconds());
        text.extend_from_slice(br#","jti":""#);
        while !text.len().is_multiple_of(3) {
            text.insert(0, b' ');
        }
        base64url.clear();
        push_base64url(text, base64url);
    }
}

/// A single audience is a string, several are an array (RFC 7519 §4.1.3).
fn push_audience<'a>(claims: &mut String, audience: impl Iterator<Item = &'a Audience> + Clone) {
    let several = audience.clone().nth(1).is_some();
    if several {
        claims.push('[');
    }
    for (position, member) in audience.enumerate() {
        if position > 0 {
            claims.push(',');
        }
        claims.push('"');
        claims.push_str(member.as_str());
        claims.push('"');
    }
    if several {
        claims.push(']');
    }
}

/// Room for the base64url of so many bytes.
const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Appends the unpadded base64url of `bytes` without an intermediate string.
pub fn push_base64url(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_len(bytes.len()), 0);
    let written = out.get_mut(start..).and_then(|room| URL_SAFE_NO_PAD.encode_slice(bytes, room).ok());
    out.truncate(start + written.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn payload(audience: &[&str], scope: &str) -> Value {
        let audience: Vec<Audience> = audience.iter().map(|text| Audience::parse(text).unwrap()).collect();
        let prefix = ClaimPrefix::encode(
            &IssuerUrl::parse("https://issuer.example").unwrap(),
            &ClientId::parse("c_1").unwrap(),
            audience.iter(),
            &Scope::parse(scope).unwrap(),
        );
        let (issued_at, expires_at) = (UnixTime::from_seconds(1_000), UnixTime::from_seconds(4_600));
        let mut out = Vec::new();
        prefix.push_payload(&Stamp { issued_at, expires_at, id: TokenId([0; 16]) }, &Instants::default(), &mut out);
        assert!(out.len() <= prefix.max_payload_bytes());
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(out).unwrap()).unwrap()
    }

    #[test]
    fn t211_says_all_that_rfc_9068_asks_for() {
        assert_eq!(
            payload(&["https://api.example"], "read write"),
            json!({"iss": "https://issuer.example", "sub": "c_1", "client_id": "c_1", "aud": "https://api.example",
                   "scope": "read write", "iat": 1000, "exp": 4600, "jti": "AAAAAAAAAAAAAAAAAAAAAA"})
        );
    }

    #[test]
    fn every_length_of_the_constant_claims_is_padded_to_whole_groups() {
        for scope in ["", "a", "ab", "abc", "abcd"] {
            let claims = payload(&["https://a.example", "urn:b"], scope);
            assert_eq!(claims["aud"], json!(["https://a.example", "urn:b"]));
            assert_eq!(claims.get("scope").is_some(), !scope.is_empty());
        }
    }

    #[test]
    fn every_stamp_has_its_own_instants_whatever_was_encoded_before() {
        let (instants, issuer) = (Instants::default(), IssuerUrl::parse("https://issuer.example").unwrap());
        let (client, audience) = (ClientId::parse("c_1").unwrap(), Audience::parse("https://a.example").unwrap());
        let prefix = ClaimPrefix::encode(&issuer, &client, std::iter::once(&audience), &Scope::default());
        for (iat, exp) in [(0, 0), (1, 3601), (1, 3601), (1, 61), (2, 62), (u64::MAX, u64::MAX), (9, 9_999_999_999)] {
            let [issued_at, expires_at] = [iat, exp].map(UnixTime::from_seconds);
            let mut out = Vec::new();
            prefix.push_payload(&Stamp { issued_at, expires_at, id: TokenId([255; 16]) }, &instants, &mut out);
            assert!(out.len() <= prefix.max_payload_bytes());
            let said: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(out).unwrap()).unwrap();
            assert_eq!((&said["iat"], &said["exp"]), (&json!(iat), &json!(exp)));
            assert_eq!(said["jti"], json!("_____________________w"));
        }
    }
}
