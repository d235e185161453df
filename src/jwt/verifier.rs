//! Our own tokens, checked by the keys that are published now.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::TokenId;
use super::public_key::PublicKey;
use super::verify::{AccessToken, Expected, verify};
use crate::clock::UnixTime;
use crate::keys::KeySet;

/// A token of ours whose signature, issuer and times are right.
#[derive(Debug)]
pub struct Verified {
    /// What it says.
    pub claims: AccessToken,
    /// Its `jti`.
    pub id: TokenId,
}

/// The keys as a verifier needs them, and the document that they were read from.
#[derive(Debug, Default)]
struct Published {
    document: Option<Arc<[u8]>>,
    keys: Vec<PublicKey>,
}

/// Verifies the tokens of one issuer.
#[derive(Debug)]
pub struct TokenVerifier {
    keys: Arc<ArcSwap<KeySet>>,
    published: ArcSwap<Published>,
    issuer: Box<str>,
    leeway: Duration,
}

impl TokenVerifier {
    /// Verifies tokens of `issuer`; `leeway` is how far the clocks of its nodes may differ.
    #[must_use]
    pub fn new(keys: Arc<ArcSwap<KeySet>>, issuer: &str, leeway: Duration) -> Self {
        Self { keys, published: ArcSwap::default(), issuer: issuer.into(), leeway }
    }

    /// `None` for anything else than a token of ours that has not expired.
    #[must_use]
    pub fn verify(&self, token: &str, now: UnixTime) -> Option<Verified> {
        // The leeway is for `iat`, since another node's clock may be ahead; a token ends by ours, on the second.
        let expected = Expected { issuer: &self.issuer, audience: None, now, leeway: self.leeway };
        let claims = verify(token, &self.published().keys, &expected).ok().filter(|claims| now < claims.exp)?;
        let id = URL_SAFE_NO_PAD.decode(&claims.jti).ok()?;
        Some(Verified { id: TokenId(id.try_into().ok()?), claims })
    }

    fn published(&self) -> Guard<Arc<Published>> {
        let (keys, held) = (self.keys.load(), self.published.load());
        if held.document.as_ref().is_some_and(|document| Arc::ptr_eq(document, keys.document())) {
            return held;
        }
        // A document of our own that could not be read back would verify nothing, which is the safe side.
        let read = PublicKey::from_jwks(keys.document()).unwrap_or_default();
        self.published.store(Arc::new(Published { document: Some(Arc::clone(keys.document())), keys: read }));
        self.published.load()
    }
}
