//! The use case: what is a token worth now (RFC 7662).
//!
//! Local for a signed token: the signature by the published keys, the revocations and the token's client by what is in
//! memory. No round trip to a store, which only an opaque token needs, and no answer that outlives a change: when the
//! memory is older than is promised, there is none.
//!
//! A caller sees its own tokens, and those for the resource servers that it is. Everything else is as inactive as
//! noise, so that nobody learns of tokens that are not theirs (RFC 7662 §4).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::authenticator::{Authenticator, Denial, Occasion};
use crate::clock::UnixTime;
use crate::jwt::{AccessToken, OneOrMany, Verified};
use crate::keys::{KeyError, SigningKey};
use crate::metrics::Verdict;
use crate::oauth::{Client, Scope, TokenReference};
use crate::store::cached::CachedClient;
use crate::store::revoked::RevokedTokens;
use crate::store::tokens::IssuedTokens;

/// The answer of RFC 7662 §2.2; an inactive one says nothing else.
#[derive(Debug, Serialize)]
pub struct Introspection {
    active: bool,
    #[serde(flatten)]
    token: Option<ActiveToken>,
}

#[derive(Debug, Serialize)]
struct ActiveToken {
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    client_id: String,
    token_type: &'static str,
    exp: UnixTime,
    iat: UnixTime,
    sub: String,
    aud: OneOrMany,
    iss: String,
    jti: String,
}

impl Introspection {
    const INACTIVE: Self = Self { active: false, token: None };

    fn of(claims: AccessToken) -> Self {
        let AccessToken { iss, sub, client_id, aud, scope, iat, exp, jti } = claims;
        let token = ActiveToken { scope, client_id, token_type: "Bearer", exp, iat, sub, aud, iss, jti };
        Self { active: true, token: Some(token) }
    }

    /// True for a token that is good.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }
}

/// The thing that looks into tokens.
#[derive(Debug)]
pub struct TokenInspector {
    authenticator: Arc<Authenticator>,
    tokens: Arc<IssuedTokens>,
    revoked: Arc<RevokedTokens>,
}

impl TokenInspector {
    /// Inspects the tokens that `tokens` knows.
    #[must_use]
    pub const fn new(
        authenticator: Arc<Authenticator>,
        tokens: Arc<IssuedTokens>,
        revoked: Arc<RevokedTokens>,
    ) -> Self {
        Self { authenticator, tokens, revoked }
    }

    /// Answers an introspection request; says also who asked.
    ///
    /// # Errors
    /// `invalid_client`, `invalid_request`, a memory that is out of date or a store that does not answer.
    pub async fn introspect(
        &self,
        request: &TokenReference<'_>,
        occasion: &Occasion<'_>,
    ) -> Result<(CachedClient, Introspection), Denial> {
        let caller = self.authenticator.authenticate(request.auth(), occasion).await?;
        let token = request.token()?;
        if !self.revoked.is_current() {
            return Err(Denial::Outdated);
        }
        let found = self.tokens.find(token, occasion.now).await.map_err(|error| Denial::Store(Arc::new(error)))?;
        let answer = match found.filter(|token| may_see(caller.client(), &token.claims)) {
            Some(token) if self.is_good(&token).await? => Introspection::of(token.claims),
            _ => Introspection::INACTIVE,
        };
        occasion.shard.count_verdict(if answer.active { Verdict::Active } else { Verdict::Inactive });
        Ok((caller, answer))
    }

    /// Not revoked, neither by itself nor with all of its client's, and nothing that the client may no longer have.
    async fn is_good(&self, token: &Verified) -> Result<bool, Denial> {
        if self.revoked.contains(&token.id) {
            return Ok(false);
        }
        let clients = self.authenticator.clients();
        let id = &token.claims.client_id;
        if let Some(good) = clients.with_known(id, |known| self.upholds(known.client(), &token.claims)) {
            return Ok(good);
        }
        let found = clients.load(id).await.map_err(Denial::Store)?;
        Ok(found.is_some_and(|known| self.upholds(known.client(), &token.claims)))
    }

    /// Whether the client still is and may what the token says. A second counts as revoked whole: `iat` knows no finer
    /// time, and the token of that second may be the one that was meant.
    fn upholds(&self, client: &Client, claims: &AccessToken) -> bool {
        let revoked = client.tokens_revoked_at.is_some_and(|until| claims.iat <= until);
        let scope = if claims.scope.is_empty() { Ok(Scope::default()) } else { Scope::parse(&claims.scope) };
        let default = &self.authenticator.clients().defaults().audience;
        let held = client.audience_or(default);
        let is_held = |audience: &str| held.iter().any(|held| held.as_str() == audience);
        client.enabled
            && !revoked
            && claims.aud.iter().all(is_held)
            && scope.is_ok_and(|scope| scope.is_subset_of(&client.scope))
    }
}

/// Its own tokens, and those for a resource server that it is.
fn may_see(caller: &Client, claims: &AccessToken) -> bool {
    claims.client_id == caller.id.as_str() || caller.serves.iter().any(|served| claims.aud.contains(served.as_str()))
}

/// Signs an answer for `audience` (RFC 9701 §5), so that it can be kept as evidence. It has a `typ` of its own, so that
/// it is never taken for a token, and holds the answer as one claim.
///
/// # Errors
/// When the key fails.
pub fn sign(
    answer: &Introspection,
    (issuer, audience): (&str, &str),
    now: UnixTime,
    key: &SigningKey,
) -> Result<String, KeyError> {
    let header = serde_json::json!({"alg": key.algorithm(), "typ": "token-introspection+jwt", "kid": key.kid()});
    let claims = serde_json::json!({"iss": issuer, "aud": audience, "iat": now, "token_introspection": answer});
    let mut jws = URL_SAFE_NO_PAD.encode(header.to_string());
    jws.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut jws);
    let signature = key.sign(jws.as_bytes())?;
    jws.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
    Ok(jws)
}
