//! The use case: a token request becomes a token.
//!
//! [`TokenIssuer::issue`] is the whole grant: load and authenticate (`authenticator`), authorize, sign; a client that
//! has opaque tokens gets one that is in the store by then instead of a signed one. Leaves bytes to `http`, rules to
//! `oauth`, storage to `store`. Time and randomness are arguments.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::Level;

use crate::audit::{Event, Kind};
use crate::authenticator::{Authenticator, Denial, Occasion};
use crate::jwt::{self, ClaimPrefix, Line, LineFull, Signing, Stamp, TokenId};
use crate::keys::{KeySet, SigningKey};
use crate::metrics::{Shed, Stage};
use crate::oauth::{
    Algorithm, ClientId, Closing, Grant, OAuthError, OpaqueToken, Scope, TokenFormat, TokenRequest, TokenResponse,
};
use crate::store::TokenRecord;
use crate::store::cached::Known;
use crate::store::tokens::IssuedTokens;

/// The thing that issues: clients, keys and rules together.
#[derive(Debug)]
pub struct TokenIssuer {
    authenticator: Arc<Authenticator>,
    keys: Arc<ArcSwap<KeySet>>,
    tokens: Arc<IssuedTokens>,
    line: Line,
}

/// What is constant while one request is answered.
struct Moment<'a> {
    occasion: &'a Occasion<'a>,
    random: Random,
}

/// Fills with fresh random bytes: 128 bits for the name of each token, 256 more for an opaque one.
pub type Random = fn(&mut [u8]);

/// An answer that only lacks what makes its token good.
enum Draft<'a> {
    /// The signature; and what is to be written down of it then, where it is.
    Unsigned(Signing<'a>, Option<Box<Names>>),
    /// A record in the store. Boxed, since few take this way and all would keep room for it.
    Unkept(TokenResponse, Box<TokenRecord>),
}

impl TokenIssuer {
    /// An issuer for the clients of `authenticator`: it signs with the keys of `keys`, where slow signatures stand in
    /// `line`, or keeps opaque tokens in `tokens`.
    #[must_use]
    pub const fn new(
        authenticator: Arc<Authenticator>,
        keys: Arc<ArcSwap<KeySet>>,
        tokens: Arc<IssuedTokens>,
        line: Line,
    ) -> Self {
        Self { authenticator, keys, tokens, line }
    }

    /// Slow signatures that wait or are being made, and how many may.
    #[must_use]
    pub fn line_length(&self) -> (usize, usize) {
        self.line.length()
    }

    /// Answers a token request.
    ///
    /// # Errors
    /// The refusal of RFC 6749 §5.2, or what on our side is in the way.
    pub async fn issue(
        &self,
        request: &TokenRequest<'_>,
        random: Random,
        occasion: &Occasion<'_>,
    ) -> Result<TokenResponse, Denial> {
        let moment = Moment { occasion, random };
        let admit = |known: Known<'_>| self.admit(known, request, &moment);
        let draft = match self.authenticator.recognise(request.auth(), occasion, admit) {
            Some(decided) => decided?,
            // Boxed, since few take this way and all would keep room for it.
            None => admit(Box::pin(self.authenticator.confirm(request.auth(), occasion)).await?.known())?,
        };
        let response = match draft {
            Draft::Unsigned(signing, names) => {
                let signed = signing.await.map_err(Denial::CannotSign)?;
                // Only now: without its signature it was none.
                names.inspect(|names| names.note(occasion));
                TokenResponse::signed(signed)
            }
            Draft::Unkept(response, record) => {
                Box::pin(self.keep(record, occasion)).await?;
                response
            }
        };
        occasion.laps.end(Stage::Sign);
        Ok(response)
    }

    /// An opaque token is good, and may be handed out, once the store has it.
    async fn keep(&self, record: Box<TokenRecord>, occasion: &Occasion<'_>) -> Result<(), Denial> {
        let kept = self.tokens.keep((*record).clone()).await;
        kept.map_err(|error| Denial::Store(Arc::new(error)))?;
        let TokenRecord { client, scope, id, .. } = *record;
        Names::of((&client, &scope), id, None, occasion).inspect(|names| names.note(occasion));
        Ok(())
    }

    /// What an authenticated client gets, written out but for the signature.
    fn admit<'a>(
        &self,
        known: Known<'_>,
        request: &TokenRequest<'_>,
        moment: &Moment<'a>,
    ) -> Result<Draft<'a>, Denial> {
        let grant = known.client().authorize(request, &self.authenticator.clients().defaults().audience)?;
        moment.occasion.laps.end(Stage::Authorize);
        let lifetime = known.lifetime();
        let written = Closing::Of(lifetime.as_secs(), grant.scope().as_str());
        let closing = if grant.is_default() { known.closing() } else { written };
        if grant.client.format == TokenFormat::Opaque {
            return Ok(self.draft_opaque(&grant, (lifetime, closing), moment));
        }
        let claims = if grant.is_default() { known.claims() } else { self.narrowed_claims(&grant) };
        self.draft((&grant, &claims), (lifetime, closing), moment)
    }

    fn narrowed_claims(&self, grant: &Grant<'_>) -> ClaimPrefix<'static> {
        let defaults = self.authenticator.clients().defaults();
        let (issuer, id, scope) = (&defaults.issuer, &grant.client.id, grant.scope());
        match &grant.audience {
            Some(audience) => ClaimPrefix::encode(issuer, id, audience.iter().copied(), scope),
            None => ClaimPrefix::encode(issuer, id, grant.client.audience_or(&defaults.audience).iter(), scope),
        }
    }

    fn draft<'a>(
        &self,
        (grant, claims): (&Grant<'_>, &ClaimPrefix<'_>),
        (lifetime, closing): (Duration, Closing<'_>),
        moment: &Moment<'a>,
    ) -> Result<Draft<'a>, Denial> {
        // Not held while a signature is waited for: whoever waits shares the key with all who do.
        let keys = self.keys.load();
        let key = moment.key(&keys, grant.client.alg)?;
        // First of all: whoever gets no turn costs nothing more.
        let turn = self.line.turn(grant.client.alg).map_err(|LineFull| {
            moment.occasion.shard.count_shed(Shed::SigningLine);
            OAuthError::TEMPORARILY_UNAVAILABLE
        })?;
        let (stamp, length) = (moment.stamp(lifetime), jwt::sign::max_token_bytes(claims, key));
        let mut response = TokenResponse::begin(moment.occasion.buffers.take(), length, &closing);
        let place = jwt::push_unsigned(claims, (&stamp, moment.occasion.instants), key, response.buffer_mut());
        response.finish(closing);
        let names = Names::of((&grant.client.id, grant.scope()), stamp.id, Some(key), moment.occasion);
        let signing = jwt::sign(place.of(response.into_buffer()), key, turn, moment.occasion.desk());
        Ok(Draft::Unsigned(signing, names))
    }

    fn draft_opaque<'a>(
        &self,
        grant: &Grant<'_>,
        (lifetime, closing): (Duration, Closing<'_>),
        moment: &Moment<'a>,
    ) -> Draft<'a> {
        let (stamp, token) = (moment.stamp(lifetime), OpaqueToken::from_random(draw(moment.random)));
        let record = self.tokens.record(&token, grant, &stamp);
        let mut response = TokenResponse::begin(moment.occasion.buffers.take(), OpaqueToken::BYTES, &closing);
        response.buffer_mut().extend_from_slice(token.expose().as_bytes());
        response.finish(closing);
        Draft::Unkept(response, Box::new(record))
    }
}

impl Moment<'_> {
    /// What tells the next token from all others.
    fn stamp(&self, lifetime: Duration) -> Stamp {
        let issued_at = self.occasion.now;
        Stamp { issued_at, expires_at: issued_at.plus(lifetime), id: TokenId(draw(self.random)) }
    }

    /// The key that signs by this algorithm now; a first one that every verifier has to learn of says when it will.
    fn key<'k>(&self, keys: &'k KeySet, algorithm: Algorithm) -> Result<&'k Arc<SigningKey>, Denial> {
        let now = self.occasion.now;
        let waits = || match keys.active_from(algorithm, now) {
            Some(from) => Denial::KeyWaits(from.since(now)),
            None => Denial::NoSigningKey,
        };
        keys.active(algorithm, now).ok_or_else(waits)
    }
}

fn draw<const BYTES: usize>(random: Random) -> [u8; BYTES] {
    let mut bits = [0; BYTES];
    random(&mut bits);
    bits
}

/// What the log and the audit log say of a token, once it is one: its names, never itself.
struct Names {
    client: ClientId,
    scope: Scope,
    id: TokenId,
    key: Option<Arc<SigningKey>>,
    is_audited: bool,
}

impl Names {
    /// `None` where nobody writes them down. Boxed, since few do and all would keep room for them.
    fn of(
        (client, scope): (&ClientId, &Scope),
        id: TokenId,
        key: Option<&Arc<SigningKey>>,
        occasion: &Occasion<'_>,
    ) -> Option<Box<Self>> {
        let is_audited = occasion.trail.wants(Kind::TokenIssued);
        let is_wanted = is_audited || tracing::enabled!(Level::DEBUG);
        is_wanted
            .then(|| Box::new(Self { client: client.clone(), scope: scope.clone(), id, key: key.cloned(), is_audited }))
    }

    fn note(&self, occasion: &Occasion<'_>) {
        let (client, scope, id) = (self.client.as_str(), self.scope.as_str(), self.id);
        let kid = self.key.as_ref().map(|key| key.kid().as_str());
        tracing::debug!(client, scope, kid, jti = %id, "token issued");
        if self.is_audited {
            let jti = id.to_string();
            let names = Event { client: Some(client), scope: Some(scope), ..Event::new(Kind::TokenIssued, "ok") };
            let client_kid = occasion.client_key.get().map(|kid| &**kid);
            occasion.trail.record(&Event { jti: Some(&jti), kid, client_kid, ..names });
        }
    }
}
