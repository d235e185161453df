//! The use case: a token request becomes a token.
//!
//! [`TokenIssuer::issue`] is the whole grant: load and authenticate (`authenticator`), authorize, sign. Leaves bytes
//! to `http`, rules to `oauth`, storage to `store`. Time and randomness are arguments.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::audit::{Event, Kind};
use crate::authenticator::{Authenticator, Denial, Occasion};
use crate::jwt::{self, ClaimPrefix, Stamp, TokenId, Unsigned};
use crate::keys::{KeySet, SigningKey};
use crate::oauth::{Grant, OAuthError, TokenRequest, TokenResponse};
use crate::store::cache::CachedClient;

/// How long tokens live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// For a client without one of its own.
    pub default: Duration,
    /// For any client.
    pub longest: Duration,
}

/// The thing that issues: clients, keys and rules together.
#[derive(Debug)]
pub struct TokenIssuer {
    authenticator: Arc<Authenticator>,
    keys: Arc<ArcSwap<KeySet>>,
    lifetimes: Lifetimes,
}

/// What is constant while one request is answered.
struct Moment<'a> {
    occasion: &'a Occasion<'a>,
    token_id: TokenId,
    key: &'a SigningKey,
}

/// An answer that only lacks its signature.
struct Draft {
    response: TokenResponse,
    token: Unsigned,
}

impl TokenIssuer {
    /// An issuer for the clients of `authenticator` with the signing keys of `keys`.
    #[must_use]
    pub const fn new(authenticator: Arc<Authenticator>, keys: Arc<ArcSwap<KeySet>>, lifetimes: Lifetimes) -> Self {
        Self { authenticator, keys, lifetimes }
    }

    /// Answers a token request. `token_id` is 128 fresh random bits.
    ///
    /// # Errors
    /// The refusal of RFC 6749 §5.2, or what on our side is in the way.
    pub async fn issue(
        &self,
        request: &TokenRequest<'_>,
        token_id: TokenId,
        occasion: &Occasion<'_>,
    ) -> Result<TokenResponse, Denial> {
        let keys = self.keys.load();
        let key = keys.active(occasion.now).ok_or(Denial::NoSigningKey)?;
        let moment = Moment { occasion, token_id, key };
        let admit = |known: &Arc<CachedClient>| self.admit(known, request, &moment);
        let mut draft = match self.authenticator.recognise(request.auth(), occasion, admit) {
            Some(decided) => decided?,
            // Boxed, since few take this way and all would keep room for it.
            None => admit(&Box::pin(self.authenticator.confirm(request.auth(), occasion)).await?)?,
        };
        jwt::sign(draft.response.body_mut(), &draft.token, key).await;
        Ok(draft.response)
    }

    /// What an authenticated client gets, written out but for the signature.
    fn admit(
        &self,
        known: &CachedClient,
        request: &TokenRequest<'_>,
        moment: &Moment<'_>,
    ) -> Result<Draft, OAuthError> {
        let grant = known.client.authorize(request, &self.authenticator.clients().defaults().audience)?;
        if grant.is_default() {
            return Ok(self.draft(&grant, &known.claims, moment));
        }
        let claims = self.narrowed_claims(&grant);
        Ok(self.draft(&grant, &claims, moment))
    }

    fn narrowed_claims(&self, grant: &Grant<'_>) -> ClaimPrefix {
        let defaults = self.authenticator.clients().defaults();
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
        let (now, token_id) = (moment.occasion.now, moment.token_id);
        let stamp = Stamp { issued_at: now, expires_at: now.plus(lifetime), id: token_id };
        let scope = grant.scope().as_str();
        let mut response = TokenResponse::begin(jwt::sign::max_token_bytes(claims, moment.key), scope.len());
        let token = jwt::push_unsigned(claims, &stamp, moment.key, response.body_mut());
        response.finish(lifetime.as_secs(), scope);
        note_issued(grant, &stamp, moment);
        Draft { response, token }
    }
}

/// What the log and the audit log say of a token: its names, never itself.
fn note_issued(grant: &Grant<'_>, stamp: &Stamp, moment: &Moment<'_>) {
    let (client, scope, kid) = (grant.client.id.as_str(), grant.scope().as_str(), moment.key.kid().as_str());
    tracing::debug!(client, scope, kid, jti = %stamp.id, "token issued");
    let trail = moment.occasion.trail;
    if trail.wants(Kind::TokenIssued) {
        let jti = stamp.id.to_string();
        let names = Event { client: Some(client), scope: Some(scope), ..Event::new(Kind::TokenIssued, "ok") };
        trail.record(&Event { jti: Some(&jti), kid: Some(kid), ..names });
    }
}
