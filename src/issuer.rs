//! The use case: a token request becomes a token.
//!
//! [`TokenIssuer::issue`] is the whole grant: load, authenticate, authorize, sign. Leaves bytes to `http`, rules
//! to `oauth`, storage to `store`. Time and randomness are arguments.
//!
//! A client in memory is served without any I/O. Every failed authentication is confirmed by the store before it
//! is answered, so that what was changed a moment ago counts, and so that an unknown client, a wrong secret and a
//! disabled client take the same way and the same time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::UnixTime;
use crate::jwt::{self, ClaimPrefix, Stamp, TokenId, Unsigned};
use crate::keys::{KeySet, SigningKey};
use crate::metrics::{CacheResult, Shard};
use crate::oauth::{Client, ClientAuth, ErrorCode, Grant, OAuthError, Presented, SecretHasher};
use crate::oauth::{TokenRequest, TokenResponse};
use crate::store::StoreError;
use crate::store::cache::{CachedClient, ClientCache};

/// How long tokens live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// For a client without one of its own.
    pub default: Duration,
    /// For any client.
    pub longest: Duration,
}

/// Why there is no token.
#[derive(Debug)]
pub enum IssueError {
    /// The client did not ask properly.
    Refused(OAuthError),
    /// The store did not answer.
    Store(Arc<StoreError>),
    /// No key may sign now.
    NoSigningKey,
}

impl From<OAuthError> for IssueError {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error)
    }
}

/// The thing that issues: clients, keys and rules together.
#[derive(Debug)]
pub struct TokenIssuer {
    clients: ClientCache,
    keys: ArcSwap<KeySet>,
    hasher: SecretHasher,
    lifetimes: Lifetimes,
}

/// What a request comes with besides itself: time, randomness and the worker that serves it.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// Read once, at the edge.
    pub now: UnixTime,
    /// 128 fresh random bits.
    pub token_id: TokenId,
    /// False for a source that used up its failures: it is served from memory only.
    pub may_ask_store: bool,
    /// Where the worker counts.
    pub shard: &'a Shard,
}

/// What is constant while one request is answered.
struct Moment<'a> {
    occasion: Occasion<'a>,
    key: &'a SigningKey,
}

/// An answer that only lacks its signature.
struct Draft {
    response: TokenResponse,
    token: Unsigned,
}

impl TokenIssuer {
    /// An issuer for the clients behind `clients` with the signing keys of `keys`.
    #[must_use]
    pub fn new(clients: ClientCache, keys: KeySet, hasher: SecretHasher, lifetimes: Lifetimes) -> Self {
        Self { clients, keys: ArcSwap::from_pointee(keys), hasher, lifetimes }
    }

    /// The clients in memory.
    #[must_use]
    pub const fn clients(&self) -> &ClientCache {
        &self.clients
    }

    /// The signing keys as of now.
    #[must_use]
    pub const fn keys(&self) -> &ArcSwap<KeySet> {
        &self.keys
    }

    /// Answers a token request.
    ///
    /// # Errors
    /// The refusal of RFC 6749 §5.2, or what on our side is in the way.
    pub async fn issue(&self, request: &TokenRequest<'_>, occasion: Occasion<'_>) -> Result<TokenResponse, IssueError> {
        let keys = self.keys.load();
        let key = keys.active(occasion.now).ok_or(IssueError::NoSigningKey)?;
        let moment = Moment { occasion, key };
        let known = self.admit_known(request, &moment);
        occasion.shard.count_client(if known.is_some() { CacheResult::Hit } else { CacheResult::Miss });
        let mut draft = match known {
            Some(decided) => decided?,
            // Boxed, since few take this way and all would keep room for it.
            None if occasion.may_ask_store => Box::pin(self.admit_confirmed(request, &moment)).await?,
            None => return Err(OAuthError::SLOW_DOWN.into()),
        };
        jwt::sign(draft.response.body_mut(), &draft.token, key).await;
        Ok(draft.response)
    }

    /// Decides from memory; `None` when the client is not there or does not authenticate by what is there.
    fn admit_known(&self, request: &TokenRequest<'_>, moment: &Moment<'_>) -> Option<Result<Draft, OAuthError>> {
        let presented = sole(request.auth())?;
        let hash = self.hasher.hash(&presented.secret);
        let decided = self.clients.with_known(&presented.id, |known| {
            Client::authenticate(Some(&known.client), &hash, moment.occasion.now)
                .then(|| self.admit(known, request, moment))
        });
        decided.flatten()
    }

    /// Decides by what the store says now. Two readings of Basic that both authenticate are none.
    async fn admit_confirmed(&self, request: &TokenRequest<'_>, moment: &Moment<'_>) -> Result<Draft, IssueError> {
        let mut accepted: Option<Arc<CachedClient>> = None;
        let mut count = 0;
        for presented in request.auth().readings() {
            let hash = self.hasher.hash(&presented.secret);
            let found = self.clients.load(&presented.id).await.map_err(IssueError::Store)?;
            if Client::authenticate(found.as_ref().map(|known| &known.client), &hash, moment.occasion.now) {
                accepted = found;
                count += 1;
            }
        }
        let accepted = accepted.filter(|_| count == 1).ok_or(OAuthError::INVALID_CLIENT)?;
        Ok(self.admit(&accepted, request, moment)?)
    }

    /// What an authenticated client gets, written out but for the signature.
    fn admit(
        &self,
        known: &CachedClient,
        request: &TokenRequest<'_>,
        moment: &Moment<'_>,
    ) -> Result<Draft, OAuthError> {
        let grant = known.client.authorize(request)?;
        if grant.is_default() {
            return Ok(self.draft(&grant, &known.claims, moment));
        }
        let claims = self.narrowed_claims(&grant);
        Ok(self.draft(&grant, &claims, moment))
    }

    fn narrowed_claims(&self, grant: &Grant<'_>) -> ClaimPrefix {
        let defaults = self.clients.defaults();
        let (issuer, id, scope) = (&defaults.issuer, &grant.client.id, grant.scope());
        match &grant.audience {
            Some(audience) => ClaimPrefix::encode(issuer, id, audience.iter().copied(), scope),
            None if grant.client.audience.is_empty() => {
                ClaimPrefix::encode(issuer, id, std::iter::once(&defaults.audience), scope)
            }
            None => ClaimPrefix::encode(issuer, id, grant.client.audience.iter(), scope),
        }
    }

    fn draft(&self, grant: &Grant<'_>, claims: &ClaimPrefix, moment: &Moment<'_>) -> Draft {
        let lifetime = grant.client.lifetime(self.lifetimes.default).min(self.lifetimes.longest);
        let Occasion { now, token_id, .. } = moment.occasion;
        let stamp = Stamp { issued_at: now, expires_at: now.plus(lifetime), id: token_id };
        let scope = grant.scope().as_str();
        let mut response = TokenResponse::begin(jwt::sign::max_token_bytes(claims, moment.key), scope.len());
        let token = jwt::push_unsigned(claims, &stamp, moment.key, response.body_mut());
        response.finish(lifetime.as_secs(), scope);
        tracing::debug!(client = %grant.client.id, scope, kid = %moment.key.kid(), jti = %token_id, "token issued");
        Draft { response, token }
    }
}

/// The one pair that was presented; `None` when there are none, or two readings that differ.
fn sole<'r, 'a>(auth: &'r ClientAuth<'a>) -> Option<&'r Presented<'a>> {
    let mut readings = auth.readings();
    readings.next().filter(|_| readings.next().is_none())
}

impl IssueError {
    /// What the client is told.
    #[must_use]
    pub const fn public(&self) -> OAuthError {
        match self {
            Self::Refused(error) => *error,
            Self::Store(_) | Self::NoSigningKey => OAuthError::TEMPORARILY_UNAVAILABLE,
        }
    }

    /// True when the caller failed to authenticate.
    #[must_use]
    pub fn is_failed_authentication(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == ErrorCode::InvalidClient)
    }
}
