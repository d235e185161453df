//! Who a token is for, and who issued it: `aud` (RFC 9068 §3, RFC 8707) and `iss` (RFC 8414 §2).
//!
//! Both are identifiers that are compared byte for byte; nothing here resolves or normalises a URL.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest resource indicator, in bytes.
pub const MAX_RESOURCE_BYTES: usize = 2048;
/// The most resources that one request may name.
pub const MAX_RESOURCES: usize = 16;

/// Why a text is no identifier of a resource or issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// Not an absolute URI without a fragment (RFC 8707 §2).
    NotAbsolute,
    /// Beyond [`MAX_RESOURCE_BYTES`].
    TooLong,
    /// Not `http(s)://host[:port][/path]` without query, fragment and user information.
    NotAnIssuer,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "an audience is an absolute URI without a fragment, such as https://api.example.com",
            Self::TooLong => "an audience has at most 2048 characters",
            Self::NotAnIssuer => {
                "an issuer is https://host[:port][/path] without a query, a fragment or a slash at its end (http for loopback only)"
            }
        })
    }
}

impl std::error::Error for UriError {}

/// One resource server, as named in `aud` and in the `resource` parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Audience(Box<str>);

impl Audience {
    /// # Errors
    /// When the text is no absolute URI, has a fragment or is too long.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_RESOURCE_BYTES {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::NotAbsolute)?;
        let scheme_is_sound = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !scheme_is_sound || rest.is_empty() || !rest.bytes().all(is_uri_byte) {
            return Err(UriError::NotAbsolute);
        }
        Ok(Self(text.into()))
    }

    /// The identifier as registered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The characters of RFC 3986 less `#`; quotes and backslashes are outside, so no JSON escaping is needed.
const fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'$' | b'%'..=b'/' | b':' | b';' | b'=' | b'?' | b'@' | b'[' | b']' | b'_' | b'~')
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Audience {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Audience {
    type Error = UriError;

    fn try_from(text: String) -> Result<Self, UriError> {
        Self::parse(&text)
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> Self {
        audience.0.into()
    }
}

/// The `iss` identifier: `https://host[:port][/path]`, or plain http on a loopback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrl {
    text: Box<str>,
    path_at: usize,
}

impl IssuerUrl {
    /// # Errors
    /// When the URL has a query, a fragment, user information or a trailing slash, or is plain http away from loopback.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once("://").ok_or(UriError::NotAnIssuer)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let host = host_of(authority);
        let scheme_is_sound = scheme == "https" || (scheme == "http" && is_loopback(host));
        let sound = scheme_is_sound
            && !host.is_empty()
            && rest.bytes().all(is_uri_byte)
            && !rest.contains(['?', '@', '\'', '%'])
            && !rest.contains("//")
            && !rest.ends_with('/');
        if !sound || text.len() > MAX_RESOURCE_BYTES {
            return Err(UriError::NotAnIssuer);
        }
        Ok(Self { text: text.into(), path_at: text.len() - rest.len() + authority.len() })
    }

    /// The identifier, byte for byte as in `iss`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path with its leading slash, or the empty text.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }

    /// Scheme and authority, without the path.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.path_at).unwrap_or_default()
    }
}

fn host_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for IssuerUrl {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t155_an_audience_is_absolute_and_has_no_fragment() {
        for text in ["https://api.example.com", "urn:example:api", "https://a/b?c=d"] {
            assert!(Audience::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "api",
            "/api",
            "//api",
            ":x",
            "1a:b",
            "https:",
            "https://a/#f",
            "https://a b",
            "https://ä",
            "a:\"",
            "a:\\",
        ] {
            assert_eq!(Audience::parse(text), Err(UriError::NotAbsolute), "{text}");
        }
    }

    #[test]
    fn m02_an_issuer_is_https_or_loopback_without_query_and_fragment() {
        for text in [
            "https://a.example",
            "https://a:8443/tenant/one",
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:80",
        ] {
            assert!(IssuerUrl::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "a",
            "http://a.example",
            "https://",
            "https://a/",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "ftp://a",
            "https://a//b",
        ] {
            assert_eq!(IssuerUrl::parse(text), Err(UriError::NotAnIssuer), "{text}");
        }
        let issuer = IssuerUrl::parse("https://a:8443/tenant/one").unwrap();
        assert_eq!((issuer.origin(), issuer.path()), ("https://a:8443", "/tenant/one"));
    }
}
