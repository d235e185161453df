//! The use case: a token request becomes a token.
//!
//! [`TokenIssuer::issue`] is the whole grant: load and authenticate (`authenticator`), authorize, sign. Leaves bytes
//! to `http`, rules to `oauth`, storage to `store`. Time and randomness are arguments.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::audit::{Event, Kind};
use crate::authenticator::{Authenticator, Denial, Occasion};
use crate::jwt::{self, ClaimPrefix, Line, LineFull, Stamp, TokenId, Turn, Unsigned};
use crate::keys::{KeySet, SigningKey};
use crate::oauth::{Algorithm, Grant, OAuthError, TokenRequest, TokenResponse};
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
    line: Line,
}

/// What is constant while one request is answered.
struct Moment<'a> {
    occasion: &'a Occasion<'a>,
    token_id: TokenId,
    keys: &'a KeySet,
}

/// An answer that only lacks its signature.
struct Draft<'a> {
    response: TokenResponse,
    token: Unsigned,
    key: &'a Arc<SigningKey>,
    turn: Option<Turn>,
}

impl TokenIssuer {
    /// An issuer for the clients of `authenticator` with the signing keys of `keys`; slow signatures stand in `line`.
    #[must_use]
    pub const fn new(
        authenticator: Arc<Authenticator>,
        keys: Arc<ArcSwap<KeySet>>,
        lifetimes: Lifetimes,
        line: Line,
    ) -> Self {
        Self { authenticator, keys, lifetimes, line }
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
        let moment = Moment { occasion, token_id, keys: &keys };
        let admit = |known: &Arc<CachedClient>| self.admit(known, request, &moment);
        let Draft { mut response, token, key, turn } =
            match self.authenticator.recognise(request.auth(), occasion, admit) {
                Some(decided) => decided?,
                // Boxed, since few take this way and all would keep room for it.
                None => admit(&Box::pin(self.authenticator.confirm(request.auth(), occasion)).await?)?,
            };
        let signing = jwt::sign(response.body_mut(), token, key, turn);
        // Before it is awaited, so that no request keeps what it is counted with until then.
        moment.occasion.shard.count_signature(key.algorithm());
        signing.await.map_err(Denial::CannotSign)?;
        Ok(response)
    }

    /// What an authenticated client gets, written out but for the signature.
    fn admit<'a>(
        &self,
        known: &CachedClient,
        request: &TokenRequest<'_>,
        moment: &Moment<'a>,
    ) -> Result<Draft<'a>, Denial> {
        let grant = known.client.authorize(request, &self.authenticator.clients().defaults().audience)?;
        if grant.is_default() {
            return self.draft(&grant, &known.claims, moment);
        }
        let claims = self.narrowed_claims(&grant);
        self.draft(&grant, &claims, moment)
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

    fn draft<'a>(&self, grant: &Grant<'_>, claims: &ClaimPrefix, moment: &Moment<'a>) -> Result<Draft<'a>, Denial> {
        let (now, token_id) = (moment.occasion.now, moment.token_id);
        let key = moment.key(grant.client.alg)?;
        // First of all, so that what is written down as issued is not refused for want of a turn.
        let turn = self.line.turn(grant.client.alg).map_err(|LineFull| OAuthError::TEMPORARILY_UNAVAILABLE)?;
        let lifetime = grant.client.lifetime(self.lifetimes.default).min(self.lifetimes.longest);
        let stamp = Stamp { issued_at: now, expires_at: now.plus(lifetime), id: token_id };
        let scope = grant.scope().as_str();
        let mut response = TokenResponse::begin(jwt::sign::max_token_bytes(claims, key), scope.len());
        let token = jwt::push_unsigned(claims, &stamp, key, response.body_mut());
        response.finish(lifetime.as_secs(), scope);
        note_issued(grant, &stamp, key.kid().as_str(), moment);
        Ok(Draft { response, token, key, turn })
    }
}

impl<'a> Moment<'a> {
    /// The key that signs by this algorithm now; a first one that every verifier has to learn of says when it will.
    fn key(&self, algorithm: Algorithm) -> Result<&'a Arc<SigningKey>, Denial> {
        let now = self.occasion.now;
        let waits = || match self.keys.active_from(algorithm, now) {
            Some(from) => Denial::KeyWaits(from.since(now)),
            None => Denial::NoSigningKey,
        };
        self.keys.active(algorithm, now).ok_or_else(waits)
    }
}

/// What the log and the audit log say of a token: its names, never itself.
fn note_issued(grant: &Grant<'_>, stamp: &Stamp, kid: &str, moment: &Moment<'_>) {
    let (client, scope) = (grant.client.id.as_str(), grant.scope().as_str());
    tracing::debug!(client, scope, kid, jti = %stamp.id, "token issued");
    let trail = moment.occasion.trail;
    if trail.wants(Kind::TokenIssued) {
        let jti = stamp.id.to_string();
        let names = Event { client: Some(client), scope: Some(scope), ..Event::new(Kind::TokenIssued, "ok") };
        trail.record(&Event { jti: Some(&jti), kid: Some(kid), ..names });
    }
}
