//! What stands between a token that somebody presents and what is known of it: a signed one is verified by the
//! published keys, an opaque one is looked up. Also where opaque ones are made.
//!
//! Invariant: an opaque token is in the store before it is handed out, and only as a keyed digest.

use std::sync::Arc;

use super::cached::TokenDefaults;
use super::{Pending, Store, StoreError, TokenRecord};
use crate::clock::UnixTime;
use crate::jwt::{AccessToken, OneOrMany, Stamp, TokenVerifier, Verified};
use crate::oauth::{Grant, OpaqueToken, SecretHasher};

/// The tokens of one issuer, of either kind.
#[derive(Debug)]
pub struct IssuedTokens {
    verifier: TokenVerifier,
    store: Arc<dyn Store>,
    hasher: SecretHasher,
    defaults: TokenDefaults,
}

impl IssuedTokens {
    /// Signed tokens as `verifier` recognises them, opaque ones as `store` keeps them.
    #[must_use]
    pub fn new(verifier: TokenVerifier, store: Arc<dyn Store>, hasher: SecretHasher, defaults: TokenDefaults) -> Self {
        Self { verifier, store, hasher, defaults }
    }

    /// What is to be kept of an opaque token for this grant.
    #[must_use]
    pub fn record(&self, token: &OpaqueToken, grant: &Grant<'_>, stamp: &Stamp) -> TokenRecord {
        let audience = match &grant.audience {
            Some(audience) => audience.iter().map(|audience| (*audience).clone()).collect(),
            None if grant.client.audience.is_empty() => vec![self.defaults.audience.clone()],
            None => grant.client.audience.clone(),
        };
        TokenRecord {
            digest: self.hasher.hash(token.expose()),
            id: stamp.id,
            client: grant.client.id.clone(),
            scope: grant.scope().clone(),
            audience,
            issued_at: stamp.issued_at,
            expires_at: stamp.expires_at,
        }
    }

    /// Keeps an opaque token; only then may it be handed out.
    ///
    /// # Errors
    /// When the store did not acknowledge it.
    pub fn keep(&self, token: TokenRecord) -> Pending<'_, ()> {
        self.store.put_token(token)
    }

    /// What a token says; `None` for anything else than a token of ours that has not expired. Only what has the form
    /// of an opaque one costs a question to the store.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, token: &str, now: UnixTime) -> Result<Option<Verified>, StoreError> {
        if !OpaqueToken::is_well_formed(token) {
            return Ok(self.verifier.verify(token, now));
        }
        let found = self.store.find_token(self.hasher.hash(token)).await?;
        Ok(found.filter(|token| now < token.expires_at).map(|token| self.said_of(token)))
    }

    fn said_of(&self, token: TokenRecord) -> Verified {
        let TokenRecord { id, client, scope, audience, issued_at, expires_at, .. } = token;
        let mut audience: Vec<String> = audience.into_iter().map(String::from).collect();
        let aud = if audience.len() == 1 { audience.pop().map(OneOrMany::One) } else { None };
        let claims = AccessToken {
            iss: self.defaults.issuer.to_string(),
            sub: client.to_string(),
            client_id: client.into(),
            aud: aud.unwrap_or(OneOrMany::Many(audience)),
            scope: scope.as_str().to_owned(),
            iat: issued_at,
            exp: expires_at,
            jti: id.to_string(),
        };
        Verified { claims, id }
    }
}
