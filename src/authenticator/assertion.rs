//! Who signed this assertion (RFC 7523 §3): the checks in the order of what they cost, and the one use last of all.
//!
//! What it says is checked against time and issuer, then its signature by the keys of the client in memory, then by those
//! that the store has now, as with secrets; only what is good in every other way is used up. Without a client or a key,
//! somebody else's key is tried, so that nothing shows in time. A store that cannot say whether it was used before is no
//! answer: the request fails.

use std::sync::Arc;

use super::{Authenticator, Denial, Occasion};
use crate::clock::UnixTime;
use crate::jwt::client_keys::verify_in_vain;
use crate::metrics::{AuthMethod, CacheResult, Stage};
use crate::oauth::assertion::{AssertionTerms, MeantFor};
use crate::oauth::{Assertion, AuthFailure, OAuthError};
use crate::store::assertions::UsedAssertion;
use crate::store::cached::{CachedClient, Known};
use crate::store::{Store, StoreError};

/// What assertions are measured by, and where their uses are written down.
#[derive(Debug)]
pub struct Assertions {
    /// Whom they must be meant for, and how long they may live.
    pub terms: AssertionTerms,
    /// What knows which were used.
    pub store: Arc<dyn Store>,
}

/// An assertion that is good in itself.
struct Claim<'a> {
    assertion: &'a Assertion<'a>,
    meant_for: MeantFor,
    now: UnixTime,
    /// How many keys may be tried: one for a source that used up its failures, since each costs more than a digest.
    most: usize,
}

/// A client, and which of its keys signed.
type Proved = (CachedClient, usize);

impl Authenticator {
    /// The client that signed the assertion, which is used up by it.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    pub(super) async fn prove(
        &self,
        assertion: &Assertion<'_>,
        occasion: &Occasion<'_>,
    ) -> Result<CachedClient, Denial> {
        let meant_for = assertion.meant_for(&self.assertions.terms, occasion.now);
        let meant_for = meant_for.ok_or_else(|| refuse(AuthFailure::RefusedAssertion, occasion))?;
        let most = if occasion.throttled.is_some() { 1 } else { usize::MAX };
        let claim = Claim { assertion, meant_for, now: occasion.now, most };
        let known = self.clients.with_known(assertion.client().as_str(), |known| {
            claim.judge(Some(known)).ok().map(|position| (CachedClient::of(known), position))
        });
        let known = known.flatten();
        occasion.shard.count_client(if known.is_some() { CacheResult::Hit } else { CacheResult::Miss });
        let (known, position) = match known {
            Some(proved) => proved,
            None => self.confirm_key(&claim, occasion).await?,
        };
        self.use_up(assertion, occasion).await?;
        occasion.shard.count_authenticated(AuthMethod::PrivateKeyJwt);
        if let Some(key) = known.client().keys.get(position) {
            // An error says that it is known already.
            drop(occasion.client_key.set(key.kid.clone()));
        }
        occasion.laps.end(Stage::Authenticate);
        Ok(known)
    }

    /// Decides by the keys that the store has now.
    async fn confirm_key(&self, claim: &Claim<'_>, occasion: &Occasion<'_>) -> Result<Proved, Denial> {
        if let Some(seconds) = occasion.throttled {
            occasion.shard.count_failure(AuthFailure::Throttled);
            return Err(Denial::Throttled(seconds));
        }
        let found = self.clients.load(claim.assertion.client().as_str()).await.map_err(Denial::Store)?;
        occasion.laps.end(Stage::Load);
        let judged = claim.judge(found.as_ref().map(CachedClient::known));
        match judged.map(|position| found.map(|found| (found, position))) {
            Ok(Some(proved)) => Ok(proved),
            Ok(None) => Err(refuse(AuthFailure::UnknownClient, occasion)),
            Err(failure) => Err(refuse(failure, occasion)),
        }
    }

    /// The one use. Only now: neither a forgery nor one that is meant for somebody else takes it away.
    async fn use_up(&self, assertion: &Assertion<'_>, occasion: &Occasion<'_>) -> Result<(), Denial> {
        let used = UsedAssertion::new(assertion.client(), assertion.id(), assertion.expires_at());
        match self.assertions.store.put_assertion(used).await {
            Err(StoreError::Conflict) => Err(refuse(AuthFailure::ReplayedAssertion, occasion)),
            written => written.map_err(|error| Denial::Store(Arc::new(error))),
        }
    }
}

impl Claim<'_> {
    /// The position of the key that signed, if the client may come in by it.
    fn judge(&self, known: Option<Known<'_>>) -> Result<usize, AuthFailure> {
        let (kid, alg) = self.assertion.key();
        let (mut signed, mut tried) = (None, false);
        let keys = known.map_or(&[][..], |known| &known.client().keys);
        let meant = keys.iter().enumerate().filter(|(_, key)| key.is_meant_by(kid, alg));
        for (position, key) in meant.take(self.most) {
            tried = true;
            let is_better = key.is_live(self.now) || signed.is_none();
            if known.is_some_and(|known| known.keys().verifies(position, self.assertion)) && is_better {
                // One key may stand there twice, under a name that has expired and one that has not.
                signed = Some((position, key));
            }
        }
        if !tried {
            verify_in_vain(self.assertion);
        }
        let client = known.ok_or(AuthFailure::UnknownClient)?.client();
        let (position, key) = signed.ok_or(AuthFailure::WrongKey)?;
        match self.meant_for {
            _ if !client.enabled => Err(AuthFailure::DisabledClient),
            _ if !key.is_live(self.now) => Err(AuthFailure::ExpiredKey),
            MeantFor::Endpoint if !client.accepts_endpoint_audience => Err(AuthFailure::RefusedAssertion),
            MeantFor::Issuer | MeantFor::Endpoint => Ok(position),
        }
    }
}

fn refuse(failure: AuthFailure, occasion: &Occasion<'_>) -> Denial {
    occasion.shard.count_failure(failure);
    OAuthError::INVALID_CLIENT.into()
}
