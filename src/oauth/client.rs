//! A registered client (RFC 6749 §2): who it is, what it may ask for, and the two questions a token request
//! puts to it: authenticate (who) and authorize (what).
//!
//! Leaves hashing to `secret`, storage to `store`. Invariants: ids are made by the server from
//! `[A-Za-z0-9_-]` (so none can be taken for a user's `sub`, RFC 9700 §4.15) and compared byte for byte.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use compact_str::{CompactString, format_compact};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::algorithm::Algorithm;
use super::audience::{Audience, MAX_RESOURCES};
use super::auth_failure::AuthFailure;
use super::client_key::ClientKey;
use super::error::{ErrorCode, OAuthError};
use super::grant::Grant;
use super::opaque::TokenFormat;
use super::request::TokenRequest;
use super::scope::Scope;
use super::secret::SecretHash;
use crate::clock::UnixTime;

/// The longest client id that a request may carry, in bytes.
pub const MAX_CLIENT_ID_BYTES: usize = 128;
/// The most secrets that one client holds at a time.
pub const MAX_SECRETS: usize = 16;

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedId;

impl fmt::Display for MalformedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 1 to 128 characters from A-Z a-z 0-9 _ - . ~")
    }
}

impl std::error::Error for MalformedId {}

/// The identifier of a client. One that the server made needs no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(CompactString);

impl ClientId {
    /// # Errors
    /// When the text is empty, too long or not from the unreserved characters of RFC 3986.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        let sound = (1..=MAX_CLIENT_ID_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'~'));
        if sound { Ok(Self(text.into())) } else { Err(MalformedId) }
    }

    /// The id that encodes these 128 random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(format_compact!("c_{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// True for what [`ClientId::from_random`] could have made.
    #[must_use]
    pub fn is_generated(text: &str) -> bool {
        text.strip_prefix("c_").is_some_and(|bits| {
            bits.len() == 22 && bits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        })
    }

    /// The id as on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lets maps keyed by id be asked with the text of a request.
impl std::borrow::Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ClientId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ClientId {
    type Error = MalformedId;

    fn try_from(text: String) -> Result<Self, MalformedId> {
        Self::parse(&text)
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0.into()
    }
}

/// The name of one secret among those of a client; not a secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretId(CompactString);

impl SecretId {
    /// The id that encodes these 48 random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 6]) -> Self {
        Self(format_compact!("s_{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// The id as printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id as stored; whatever is no secret's names none.
impl From<String> for SecretId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One of the secrets by which a client may authenticate; several live side by side during a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// Names the secret in commands and lists.
    pub id: SecretId,
    /// What is kept of it.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: UnixTime,
    /// From this instant on it no longer authenticates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
}

impl ClientSecret {
    /// Whether it authenticates at this instant.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// The secrets of a client: nearly always one, which lies within the client then.
pub type Secrets = SmallVec<[ClientSecret; 1]>;

/// A registered client, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Made by the server; `client_id` and `sub` of every token.
    pub id: ClientId,
    /// What people call it.
    pub name: Box<str>,
    /// A disabled client cannot authenticate.
    pub enabled: bool,
    /// False for a client that only introspects: it authenticates, but gets no tokens.
    pub may_request_tokens: bool,
    /// Everything the client may ask for.
    pub scope: Scope,
    /// What it gets when it asks for nothing; all of `scope` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<Scope>,
    /// The resource servers its tokens may be for; the server's default audience when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<Audience>,
    /// The resource servers that it is: it may introspect the tokens that are for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<Audience>,
    /// Its tokens issued up to this second are revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_revoked_at: Option<UnixTime>,
    /// Lifetime of its tokens in seconds; the server's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u32>,
    /// What its tokens are signed with.
    #[serde(default, skip_serializing_if = "Algorithm::is_default")]
    pub alg: Algorithm,
    /// What its tokens look like.
    #[serde(default, skip_serializing_if = "TokenFormat::is_default")]
    pub format: TokenFormat,
    /// Its live and expired secrets.
    #[serde(default, skip_serializing_if = "SmallVec::is_empty")]
    pub secrets: Secrets,
    /// Its live and expired public keys; a client may have these, secrets, or both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ClientKey>,
    /// Whether its assertions may be meant for the token endpoint instead of the issuer: for clients that cannot do it
    /// otherwise, since another server could use such an assertion here (CVE-2025-27370).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_endpoint_audience: bool,
    /// When it was registered.
    pub created_at: UnixTime,
    /// Counts the writes; a write names the revision it was made from.
    #[serde(default)]
    pub revision: u64,
}

impl Client {
    /// The position of the live secret of `client` whose digest is `presented`, if the client may come in by it.
    /// Takes the same steps for a client that does not exist, so that the answer's time tells nothing.
    #[must_use]
    pub fn authenticate(client: Option<&Self>, presented: &SecretHash, now: UnixTime) -> Option<usize> {
        let mut accepted = SecretHash::DECOY.matches(presented).then_some(0);
        for (position, secret) in client.into_iter().flat_map(|client| &client.secrets).enumerate() {
            if secret.hash.matches(presented) && secret.is_live(now) {
                accepted = Some(position);
            }
        }
        accepted.filter(|_| client.is_some_and(|client| client.enabled))
    }

    /// Why [`Client::authenticate`] lets nobody in. Nobody but the operator's figures learns it.
    #[must_use]
    pub fn why_refused(client: Option<&Self>, presented: &SecretHash, now: UnixTime) -> AuthFailure {
        let Some(client) = client else { return AuthFailure::UnknownClient };
        let had = |secret: &ClientSecret| secret.hash.matches(presented) && !secret.is_live(now);
        match client {
            _ if !client.enabled => AuthFailure::DisabledClient,
            _ if client.secrets.iter().any(had) => AuthFailure::ExpiredSecret,
            _ => AuthFailure::WrongSecret,
        }
    }

    /// What the client gets for this request: grant type, scope and target, checked in this order.
    ///
    /// # Errors
    /// `invalid_request` or `unsupported_grant_type`, `unauthorized_client`, `invalid_scope`, `invalid_target`.
    pub fn authorize<'a>(
        &'a self,
        request: &TokenRequest<'_>,
        default_audience: &'a Audience,
    ) -> Result<Grant<'a>, OAuthError> {
        request.check_grant_type()?;
        if !self.may_request_tokens {
            return Err(OAuthError::new(ErrorCode::UnauthorizedClient, "this client may not request tokens"));
        }
        Ok(Grant {
            client: self,
            scope: self.narrow_scope(request)?,
            audience: self.narrow_audience(request, default_audience)?,
        })
    }

    /// The resource servers of its tokens: its own, or the server's default.
    #[must_use]
    pub fn audience_or<'a>(&'a self, default: &'a Audience) -> &'a [Audience] {
        if self.audience.is_empty() { std::slice::from_ref(default) } else { &self.audience }
    }

    /// The scope that is granted when none is asked for (RFC 6749 §3.3).
    #[must_use]
    pub fn granted_by_default(&self) -> &Scope {
        self.default_scope.as_ref().unwrap_or(&self.scope)
    }

    /// `None` when the default scope is granted as it is.
    fn narrow_scope(&self, request: &TokenRequest<'_>) -> Result<Option<Scope>, OAuthError> {
        let Some(asked) = request.scope() else { return Ok(None) };
        if asked == self.granted_by_default().as_str() {
            return Ok(None);
        }
        let refused = OAuthError::new(ErrorCode::InvalidScope, "scope is malformed or not allowed for this client");
        let asked = Scope::parse(asked).map_err(|_| refused)?;
        if asked.is_subset_of(&self.scope) { Ok(Some(asked)) } else { Err(refused) }
    }

    /// `None` when the token is for the client's whole audience.
    fn narrow_audience<'a>(
        &'a self,
        request: &TokenRequest<'_>,
        default: &'a Audience,
    ) -> Result<Option<Vec<&'a Audience>>, OAuthError> {
        let asked = request.resources();
        if asked.is_empty() {
            return Ok(None);
        }
        let refused = OAuthError::new(ErrorCode::InvalidTarget, "resource is malformed or not allowed for this client");
        if asked.len() > MAX_RESOURCES {
            return Err(refused);
        }
        let mut granted = Vec::with_capacity(asked.len());
        for resource in asked {
            let held =
                self.audience_or(default).iter().find(|held| held.as_str() == resource.as_ref()).ok_or(refused)?;
            if !granted.contains(&held) {
                granted.push(held);
            }
        }
        Ok(Some(granted))
    }
}
