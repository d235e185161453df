//! The use case: a token is cut off before its time (RFC 7009). Durable before it is acknowledged, and acts on its own
//! node at once; the follower of `app` carries it to the others.

use std::sync::Arc;

use crate::audit::{Event, Kind};
use crate::authenticator::{Authenticator, Denial, Occasion};
use crate::metrics::Verdict;
use crate::oauth::{ErrorCode, OAuthError, TokenReference};
use crate::store::revoked::RevokedTokens;
use crate::store::tokens::IssuedTokens;
use crate::store::{Revocation, Store};

/// The thing that revokes.
#[derive(Debug)]
pub struct TokenRevoker {
    authenticator: Arc<Authenticator>,
    tokens: Arc<IssuedTokens>,
    revoked: Arc<RevokedTokens>,
    store: Arc<dyn Store>,
}

impl TokenRevoker {
    /// Revokes in `store`, and in `revoked` beside it, what `tokens` knows.
    #[must_use]
    pub fn new(
        authenticator: Arc<Authenticator>,
        tokens: Arc<IssuedTokens>,
        revoked: Arc<RevokedTokens>,
        store: Arc<dyn Store>,
    ) -> Self {
        Self { authenticator, tokens, revoked, store }
    }

    /// Revokes the caller's token. What is no valid token of ours is as good as revoked (RFC 7009 §2.2), so a forged
    /// one with somebody else's `jti` does nothing.
    ///
    /// # Errors
    /// `invalid_client`, `invalid_request`, `unauthorized_client` for another client's token, or a store that did not
    /// acknowledge: then the token may still be good.
    pub async fn revoke(&self, request: &TokenReference<'_>, occasion: &Occasion<'_>) -> Result<(), Denial> {
        let caller = self.authenticator.authenticate(request.auth(), occasion).await?;
        let failed = |error| Denial::Store(Arc::new(error));
        let found = self.tokens.find(request.token()?, occasion.now).await.map_err(failed)?;
        let Some(token) = found else {
            occasion.shard.count_verdict(Verdict::Unknown);
            return Ok(());
        };
        if token.claims.client_id != caller.client().id.as_str() {
            return Err(OAuthError::new(ErrorCode::UnauthorizedClient, "the token belongs to another client").into());
        }
        let revocation = Revocation { token: token.id, expires_at: token.claims.exp };
        self.store.put_revocation(revocation).await.map_err(failed)?;
        self.revoked.insert(&[revocation]);
        occasion.shard.count_verdict(Verdict::Revoked);
        let (client, actor) = (token.claims.client_id.as_str(), format!("client:{}", caller.client().id));
        let event = Event { actor: Some(&actor), client: Some(client), ..Event::new(Kind::TokenRevoked, "ok") };
        let client_kid = occasion.client_key.get().map(|kid| &**kid);
        occasion.trail.record(&Event { jti: Some(&token.claims.jti), client_kid, ..event });
        Ok(())
    }
}
