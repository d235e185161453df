//! Who is asking: the client authentication that all endpoints share.
//!
//! Owns the clients in memory and the digests of secrets. A client in memory is recognised without any I/O. Every
//! failed authentication is confirmed by the store before it is answered, so that what was changed a moment ago
//! counts, and so that an unknown client, a wrong secret and a disabled client take the same way and the same time.
//! Leaves what clients sign instead to `assertion`.

mod assertion;

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::Trail;
use crate::buffers::Buffers;
use crate::clock::UnixTime;
use crate::jwt::{Desk, Instants, SignQueue};
use crate::keys::KeyError;
use crate::metrics::{AuthMethod, CacheResult, Laps, Shard, Stage};
use crate::oauth::{AuthFailure, Client, ClientAuth, ErrorCode, OAuthError, Presented, SecretHasher};
use crate::store::cache::ClientCache;
use crate::store::cached::{CachedClient, Known};
use crate::store::uses::SecretUses;
use crate::store::{SecretUse, StoreError};

pub use assertion::Assertions;

/// Why a request gets nothing.
#[derive(Debug)]
pub enum Denial {
    /// The client did not ask properly.
    Refused(OAuthError),
    /// Too many failures from its source; seconds to wait.
    Throttled(u32),
    /// The store did not answer.
    Store(Arc<StoreError>),
    /// No key may sign now.
    NoSigningKey,
    /// The first key of the client's algorithm is published, but signs only after this time.
    KeyWaits(Duration),
    /// A key was there, and failed.
    CannotSign(KeyError),
    /// The revocations in memory are older than is promised.
    Outdated,
}

impl From<OAuthError> for Denial {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error)
    }
}

impl Denial {
    /// What the client is told.
    #[must_use]
    pub const fn public(&self) -> OAuthError {
        match self {
            Self::Refused(error) => *error,
            Self::Throttled(_) => OAuthError::SLOW_DOWN,
            Self::CannotSign(_) => OAuthError::SERVER_ERROR,
            Self::Store(_) | Self::NoSigningKey | Self::KeyWaits(_) | Self::Outdated => {
                OAuthError::TEMPORARILY_UNAVAILABLE
            }
        }
    }

    /// True when the caller failed to authenticate.
    #[must_use]
    pub fn is_failed_authentication(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == ErrorCode::InvalidClient)
    }
}

/// What a request comes with besides itself: time, the worker that serves it and what its source may still do.
#[derive(Debug)]
pub struct Occasion<'a> {
    /// Read once, at the edge.
    pub now: UnixTime,
    /// Set for a source that used up its failures: for so many seconds it is served from memory only.
    pub throttled: Option<u32>,
    /// Where the worker counts.
    pub shard: &'a Shard,
    /// Where it signs.
    pub queue: &'a SignQueue,
    /// Where it has the instants of its tokens.
    pub instants: &'a Instants,
    /// Where it finds room for replies.
    pub buffers: &'a Buffers,
    /// What its stages take.
    pub laps: &'a Laps,
    /// Where it writes down what happened.
    pub trail: Trail<'a>,
    /// The name of the client's key, once it came in by one.
    pub client_key: OnceCell<Box<str>>,
}

impl<'a> Occasion<'a> {
    /// What the worker signs with.
    #[must_use]
    pub const fn desk(&self) -> Desk<'a> {
        Desk { queue: self.queue, shard: self.shard }
    }
}

/// The clients and how they prove who they are.
#[derive(Debug)]
pub struct Authenticator {
    clients: ClientCache,
    hasher: SecretHasher,
    uses: SecretUses,
    assertions: Assertions,
}

impl Authenticator {
    /// Recognises the clients behind `clients`.
    #[must_use]
    pub fn new(clients: ClientCache, hasher: SecretHasher, assertions: Assertions) -> Self {
        Self { clients, hasher, uses: SecretUses::default(), assertions }
    }

    /// The clients in memory.
    #[must_use]
    pub const fn clients(&self) -> &ClientCache {
        &self.clients
    }

    /// The uses of secrets that the store does not know of yet.
    #[must_use]
    pub const fn uses(&self) -> &SecretUses {
        &self.uses
    }

    /// The client that `auth` proves.
    ///
    /// # Errors
    /// `invalid_client` without telling why, `slow_down`, or a store that does not answer.
    pub async fn authenticate(&self, auth: &ClientAuth<'_>, occasion: &Occasion<'_>) -> Result<CachedClient, Denial> {
        match self.recognise(auth, occasion, CachedClient::of) {
            Some(client) => Ok(client),
            None => self.confirm(auth, occasion).await,
        }
    }

    /// Shows `admit` the client that `auth` proves, if what is in memory tells: no lock, no I/O, no shared counter.
    pub fn recognise<T>(
        &self,
        auth: &ClientAuth<'_>,
        occasion: &Occasion<'_>,
        admit: impl FnOnce(Known<'_>) -> T,
    ) -> Option<T> {
        let recognised = sole(auth).and_then(|presented| {
            // Also of a secret that nobody has: a client that is not in memory is no quicker to be missed.
            let digest = || {
                occasion.laps.end(Stage::Load);
                self.hasher.hash(&presented.secret)
            };
            self.clients.with(&presented.id, digest, |known, hash| {
                let known = known?;
                let position = Client::authenticate(Some(known.client()), &hash, occasion.now)?;
                known.note_use();
                self.mark(known, position, occasion.now);
                occasion.laps.end(Stage::Authenticate);
                count_method(auth, occasion.shard);
                Some(admit(known))
            })
        });
        match recognised {
            Some(_) => occasion.shard.count_client(CacheResult::Hit),
            // Memory was not asked yet.
            None if matches!(auth, ClientAuth::Assertion(_)) => {}
            None => occasion.shard.count_client(CacheResult::Miss),
        }
        recognised
    }

    /// Decides by what the store says now. Two readings of Basic that both authenticate are none.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    pub async fn confirm(&self, auth: &ClientAuth<'_>, occasion: &Occasion<'_>) -> Result<CachedClient, Denial> {
        if let ClientAuth::Assertion(assertion) = auth {
            return Box::pin(self.prove(assertion, occasion)).await;
        }
        if let Some(seconds) = occasion.throttled {
            occasion.shard.count_failure(AuthFailure::Throttled);
            return Err(Denial::Throttled(seconds));
        }
        let mut accepted: Option<(CachedClient, usize)> = None;
        let (mut count, mut failure) = (0, AuthFailure::Malformed);
        for presented in auth.readings() {
            let hash = self.hasher.hash(&presented.secret);
            occasion.laps.end(Stage::Authenticate);
            let found = self.clients.load(&presented.id).await.map_err(Denial::Store)?;
            occasion.laps.end(Stage::Load);
            let position = Client::authenticate(found.as_ref().map(CachedClient::client), &hash, occasion.now);
            if position.is_none() {
                let client = found.as_ref().map(CachedClient::client);
                failure = failure.max(Client::why_refused(client, &hash, occasion.now));
            } else if let Some(proved) = found.zip(position) {
                accepted = Some(proved);
                count += 1;
            }
        }
        let refuse = || {
            occasion.shard.count_failure(if count > 1 { AuthFailure::Ambiguous } else { failure });
            OAuthError::INVALID_CLIENT
        };
        let (known, position) = accepted.filter(|_| count == 1).ok_or_else(refuse)?;
        count_method(auth, occasion.shard);
        self.mark(known.known(), position, occasion.now);
        occasion.laps.end(Stage::Authenticate);
        Ok(known)
    }

    /// Notes that a secret was used. All but the first use of a day read one word and are done.
    fn mark(&self, known: Known<'_>, position: usize, now: UnixTime) {
        let day = now.day();
        if known.marks().mark(position, day)
            && let Some(secret) = known.client().secrets.get(position)
        {
            self.uses.note(SecretUse { client: known.client().id.clone(), secret: secret.id.clone(), day });
        }
    }
}

fn count_method(auth: &ClientAuth<'_>, shard: &Shard) {
    match auth {
        ClientAuth::Basic { .. } => shard.count_authenticated(AuthMethod::Basic),
        ClientAuth::Post(_) => shard.count_authenticated(AuthMethod::Post),
        ClientAuth::Assertion(_) | ClientAuth::Missing => {}
    }
}

/// The one pair that was presented; `None` when there are none, or two readings that differ.
fn sole<'r, 'a>(auth: &'r ClientAuth<'a>) -> Option<&'r Presented<'a>> {
    let mut readings = auth.readings();
    readings.next().filter(|_| readings.next().is_none())
}
