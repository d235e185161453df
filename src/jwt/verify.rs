//! What a resource server does with an access token: RFC 9068 §4, RFC 7515 §5.2, RFC 8725.
//!
//! Strict by design: the key says by which algorithm it verifies and the header must agree, `typ` must be `at+jwt`,
//! base64url must be canonical. Nothing in a token's header is ever used as the source of a key.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::public_key::PublicKey;
use crate::clock::UnixTime;
use crate::oauth::Algorithm;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// Not three canonical base64url segments of JSON objects.
    Malformed,
    /// A header other than `typ` `at+jwt` with the algorithm of its key, or with `crit`.
    WrongHeader,
    /// `kid` names no published key.
    UnknownKey,
    /// The signature does not match.
    BadSignature,
    /// Another issuer.
    WrongIssuer,
    /// For another resource server.
    WrongAudience,
    /// At or after `exp`.
    Expired,
    /// `iat` lies in the future by more than the leeway.
    NotYetValid,
    /// A published key that cannot be used.
    UnusableKey,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a signed JWT",
            Self::WrongHeader => "not an access token: its header must say typ at+jwt and the algorithm of its key",
            Self::UnknownKey => "signed by a key that the issuer does not publish",
            Self::BadSignature => "the signature does not match",
            Self::WrongIssuer => "issued by another issuer",
            Self::WrongAudience => "meant for another audience",
            Self::Expired => "expired",
            Self::NotYetValid => "issued in the future",
            Self::UnusableKey => "the key set cannot be used",
        })
    }
}

impl std::error::Error for VerifyError {}

/// What the verifier insists on.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `iss`, byte for byte.
    pub issuer: &'a str,
    /// The verifier's own identifier; must be in `aud`. `None` for tools that only show a token.
    pub audience: Option<&'a str>,
    /// Now, at the verifier.
    pub now: UnixTime,
    /// How far the clocks may differ.
    pub leeway: Duration,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// The claims of a verified access token.
#[derive(Clone, Debug, Deserialize)]
pub struct AccessToken {
    /// The issuer.
    pub iss: String,
    /// The client, as the subject.
    pub sub: String,
    /// The client.
    pub client_id: String,
    /// The resource servers it is for.
    pub aud: OneOrMany,
    /// The granted scope.
    #[serde(default)]
    pub scope: String,
    /// When it was issued.
    pub iat: UnixTime,
    /// From when on it is no longer valid.
    pub exp: UnixTime,
    /// Its unique id.
    pub jti: String,
}

/// `aud` of RFC 7519 §4.1.3: a string or an array of strings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// A single audience.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        all.iter().map(String::as_str)
    }

    /// True when `audience` is one of them, compared exactly.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.iter().any(|one| one == audience)
    }
}

/// Checks form, header, signature and claims, in this order.
///
/// # Errors
/// The first check that fails.
pub fn verify(token: &str, keys: &[PublicKey], expected: &Expected<'_>) -> Result<AccessToken, VerifyError> {
    let (signed, header, payload, signature) = split(token)?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| VerifyError::Malformed)?;
    let typ = header.typ.as_deref().unwrap_or_default();
    let is_access_token = typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt");
    let algorithm = Algorithm::of_header(&header.alg).filter(|_| is_access_token && header.crit.is_none());
    let algorithm = algorithm.ok_or(VerifyError::WrongHeader)?;
    let kid = header.kid.as_deref().unwrap_or_default();
    let key = keys.iter().find(|key| *key.kid == *kid).ok_or(VerifyError::UnknownKey)?;
    if key.algorithm() != algorithm {
        return Err(VerifyError::WrongHeader);
    }
    key.verify(signed.as_bytes(), &signature)?;
    let claims: AccessToken = serde_json::from_slice(&payload).map_err(|_| VerifyError::Malformed)?;
    check_claims(&claims, expected)?;
    Ok(claims)
}

fn check_claims(claims: &AccessToken, expected: &Expected<'_>) -> Result<(), VerifyError> {
    if claims.iss != expected.issuer {
        return Err(VerifyError::WrongIssuer);
    }
    if expected.audience.is_some_and(|audience| !claims.aud.contains(audience)) {
        return Err(VerifyError::WrongAudience);
    }
    if expected.now >= claims.exp.plus(expected.leeway) {
        return Err(VerifyError::Expired);
    }
    if claims.iat > expected.now.plus(expected.leeway) {
        return Err(VerifyError::NotYetValid);
    }
    Ok(())
}

/// The signed text and the three decoded segments.
#[allow(clippy::type_complexity, reason = "used once, right above")]
fn split(token: &str) -> Result<(&str, Vec<u8>, Vec<u8>, Vec<u8>), VerifyError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(VerifyError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(VerifyError::Malformed)?;
    Ok((signed, decode(header)?, decode(payload)?, decode(signature)?))
}

/// Canonical base64url: no padding, no stray bits (RFC 4648 §3.5).
pub(super) fn decode(segment: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| VerifyError::Malformed)
}
