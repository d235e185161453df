//! The use cases behind the commands: clients, their secrets and keys, and the signing keys.
//!
//! Works on any store, beside a running server or without one. Every write names the revision that it was made
//! from and is repeated on what is there by then when someone else came first, so no change is lost.

mod client_keys;
mod error;
mod keys;
mod lead;
mod restore;
pub mod roster;
mod secrets;

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Event, Journal, Kind};
use crate::clock::UnixTime;
use crate::keys::MasterKey;
use crate::oauth::audience::MAX_RESOURCES;
use crate::oauth::client::MAX_SECRETS;
use crate::oauth::{
    Algorithm, Audience, Client, ClientId, ClientSecret, Scope, Secret, SecretId, Secrets, TokenFormat,
};
use crate::store::transfer::Objection;
use crate::store::{Store, StoreError};

pub use error::AdminError;
pub use keys::{Ring, Unlocked, fresh_key, rotate_keys, unlock, unlock_or_make};
pub use lead::note_lead;
pub use restore::{settle_backup, told_of_backup};
pub use secrets::{SecretState, Verdict, list_secrets};

/// How often a write is repeated when others keep coming first.
const ATTEMPTS: usize = 16;
/// The most that a token says of audience and scope: it has to fit into a header and into what verifiers look at.
const MAX_CLAIM_BYTES: usize = 6000;
/// The longest name of a client.
const MAX_NAME_BYTES: usize = 200;

/// What a client is registered with, or changed to; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ClientChange {
    /// What people call it.
    pub name: Option<String>,
    /// Everything it may ask for.
    pub scope: Option<Scope>,
    /// What it gets when it asks for nothing; the empty scope means all.
    pub default_scope: Option<Scope>,
    /// The resource servers of its tokens.
    pub audience: Option<Vec<Audience>>,
    /// The resource servers that it is.
    pub serves: Option<Vec<Audience>>,
    /// Lifetime of its tokens.
    pub lifetime: Option<Duration>,
    /// Whether it gets tokens at all.
    pub may_request_tokens: Option<bool>,
    /// What its tokens are signed with: a ring that there is, from [`Admin::begin_ring`].
    pub ring: Option<Ring>,
    /// What its tokens look like.
    pub format: Option<TokenFormat>,
    /// Whether its assertions may be meant for the token endpoint.
    pub accepts_endpoint_audience: Option<bool>,
}

impl ClientChange {
    /// True when it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { name, scope, default_scope, audience, serves, lifetime, .. } = self;
        let Self { may_request_tokens, ring, format, accepts_endpoint_audience, .. } = self;
        name.is_none()
            && scope.is_none()
            && default_scope.is_none()
            && audience.is_none()
            && serves.is_none()
            && lifetime.is_none()
            && may_request_tokens.is_none()
            && ring.is_none()
            && format.is_none()
            && accepts_endpoint_audience.is_none()
    }
}

/// A secret that was just made: shown once.
#[derive(Debug)]
pub struct NewSecret {
    /// Its name.
    pub id: SecretId,
    /// Itself.
    pub secret: Secret,
}

/// The administrator's hands: a store, its master key and the time.
#[derive(Debug)]
pub struct Admin {
    store: Arc<dyn Store>,
    master: MasterKey,
    now: UnixTime,
    journal: Option<Journal>,
    store_is_new: bool,
}

impl Admin {
    /// Works on an unlocked store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, master: MasterKey, now: UnixTime) -> Self {
        Self { store, master, now, journal: None, store_is_new: false }
    }

    /// Works on a store that this process made a moment ago, so that nobody holds any of its keys.
    #[must_use]
    pub fn on_new_store(self) -> Self {
        Self { store_is_new: true, ..self }
    }

    /// Writes down in `journal` whatever it does.
    #[must_use]
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal: Some(journal), ..self }
    }

    fn note(&self, event: &Event<'_>) -> Result<(), AdminError> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.record(event)).map_err(AdminError::Journal)
    }

    fn note_client(&self, kind: Kind, id: &ClientId) -> Result<(), AdminError> {
        self.note(&Event { client: Some(id.as_str()), ..Event::new(kind, "ok") })
    }

    fn note_secret(&self, kind: Kind, id: &ClientId, secret: &str) -> Result<(), AdminError> {
        self.note(&Event { client: Some(id.as_str()), secret_id: Some(secret), ..Event::new(kind, "ok") })
    }

    /// Registers a client with its first secret.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_client(&self, change: ClientChange) -> Result<(Client, NewSecret), AdminError> {
        self.check_changeable().await?;
        let mut client = self.new_client(&change)?;
        let secret = self.push_secret(&mut client, None)?;
        client.revision = self.store.put_client(client.clone()).await?;
        self.note_client(Kind::ClientAdded, &client.id)?;
        self.note_secret(Kind::SecretAdded, &client.id, secret.id.as_str())?;
        Ok((client, secret))
    }

    /// A client that can do what `change` says, and nothing to prove it by.
    fn new_client(&self, change: &ClientChange) -> Result<Client, AdminError> {
        let mut client = blank(ClientId::from_random(rand::random()), self.now);
        apply(change, &mut client)?;
        Ok(client)
    }

    /// Changes what a client may.
    ///
    /// # Errors
    /// When there is no such client, the change does not fit together or the store fails.
    pub async fn set_client(&self, id: &ClientId, change: &ClientChange) -> Result<Client, AdminError> {
        let (client, ()) = self.update(id, |client| apply(change, client)).await?;
        self.note_client(Kind::ClientChanged, id)?;
        Ok(client)
    }

    /// Lets a client authenticate, or not.
    ///
    /// # Errors
    /// When there is no such client or the store fails.
    pub async fn set_enabled(&self, id: &ClientId, enabled: bool) -> Result<Client, AdminError> {
        let set = |client: &mut Client| {
            client.enabled = enabled;
            Ok(())
        };
        let (client, ()) = self.update(id, set).await?;
        self.note_client(if enabled { Kind::ClientEnabled } else { Kind::ClientDisabled }, id)?;
        Ok(client)
    }

    /// Revokes every token that the client holds, also those of this very second; those that it gets in what is left
    /// of the second count as revoked, too.
    ///
    /// # Errors
    /// When there is no such client or the store fails.
    pub async fn revoke_tokens(&self, id: &ClientId) -> Result<Client, AdminError> {
        let now = self.now;
        let revoke = |client: &mut Client| {
            client.tokens_revoked_at = client.tokens_revoked_at.max(Some(now));
            Ok(())
        };
        let (client, ()) = self.update(id, revoke).await?;
        self.note_client(Kind::ClientTokensRevoked, id)?;
        Ok(client)
    }

    /// Removes a client for good.
    ///
    /// # Errors
    /// When there is no such client or the store fails.
    pub async fn remove_client(&self, id: &ClientId) -> Result<(), AdminError> {
        self.check_changeable().await?;
        for _ in 0..ATTEMPTS {
            let client = self.find_client(id).await?;
            match self.store.remove_client(id, client.revision).await {
                Err(StoreError::Conflict) => {}
                outcome => {
                    outcome?;
                    return self.note_client(Kind::ClientRemoved, id);
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The client of this id.
    ///
    /// # Errors
    /// When there is none or the store fails.
    pub async fn find_client(&self, id: &ClientId) -> Result<Client, AdminError> {
        find_client(&*self.store, id).await
    }

    /// Gives a client one more secret; the others go on.
    ///
    /// # Errors
    /// When there is no such client, it has too many secrets or the store fails.
    pub async fn add_secret(
        &self,
        id: &ClientId,
        lifetime: Option<Duration>,
    ) -> Result<(Client, NewSecret), AdminError> {
        let (client, secret) = self.update(id, |client| self.push_secret(client, lifetime)).await?;
        self.note_secret(Kind::SecretAdded, id, secret.id.as_str())?;
        Ok((client, secret))
    }

    /// Takes a secret away from a client.
    ///
    /// # Errors
    /// When there is no such client or secret, or the store fails.
    pub async fn remove_secret(&self, id: &ClientId, secret: &str) -> Result<Client, AdminError> {
        let remove = |client: &mut Client| {
            let before = client.secrets.len();
            client.secrets.retain(|held| held.id.as_str() != secret);
            if client.secrets.len() == before { Err(AdminError::UnknownSecret) } else { Ok(()) }
        };
        let (client, ()) = self.update(id, remove).await?;
        self.note_secret(Kind::SecretRemoved, id, secret)?;
        Ok(client)
    }

    /// The secrets of a client, and which of them are of no use any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_secrets(&self, client: &Client) -> Result<Vec<SecretState>, AdminError> {
        list_secrets(&*self.store, client, self.now).await
    }

    fn push_secret(&self, client: &mut Client, lifetime: Option<Duration>) -> Result<NewSecret, AdminError> {
        if client.secrets.len() >= MAX_SECRETS {
            return Err(AdminError::TooManySecrets);
        }
        let (id, secret) = (SecretId::from_random(rand::random()), Secret::from_random(rand::random()));
        client.secrets.push(ClientSecret {
            id: id.clone(),
            hash: self.master.secret_hasher().hash(secret.expose()),
            created_at: self.now,
            expires_at: lifetime.map(|lifetime| self.now.plus(lifetime)),
        });
        Ok(NewSecret { id, secret })
    }

    async fn check_changeable(&self) -> Result<(), AdminError> {
        check_changeable(&*self.store).await
    }

    async fn update<T>(
        &self,
        id: &ClientId,
        mut change: impl FnMut(&mut Client) -> Result<T, AdminError>,
    ) -> Result<(Client, T), AdminError> {
        self.check_changeable().await?;
        for _ in 0..ATTEMPTS {
            let mut client = self.find_client(id).await?;
            let made = change(&mut client)?;
            match self.store.put_client(client.clone()).await {
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
                Ok(revision) => return Ok((Client { revision, ..client }, made)),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

/// Clients and keys are changed in one store at a time: what was changed in a copy would be undone by its source.
async fn check_changeable(store: &dyn Store) -> Result<(), AdminError> {
    Objection::find(store).await?.map_or(Ok(()), |objection| Err(AdminError::Moving(objection)))
}

/// The client of this id.
///
/// # Errors
/// When there is none or the store fails.
pub async fn find_client(store: &dyn Store, id: &ClientId) -> Result<Client, AdminError> {
    store.find_client(id.as_str()).await?.ok_or(AdminError::UnknownClient)
}

/// Whether people can read it in a table, a log line and a dashboard.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// A client that may ask for nothing yet and has nothing to prove itself by.
fn blank(id: ClientId, created_at: UnixTime) -> Client {
    Client {
        id,
        name: "".into(),
        enabled: true,
        may_request_tokens: true,
        scope: Scope::default(),
        default_scope: None,
        audience: Vec::new(),
        serves: Vec::new(),
        tokens_revoked_at: None,
        lifetime_seconds: None,
        alg: Algorithm::default(),
        format: TokenFormat::default(),
        secrets: Secrets::new(),
        keys: Vec::new(),
        accepts_endpoint_audience: false,
        created_at,
        revision: 0,
    }
}

fn apply(change: &ClientChange, client: &mut Client) -> Result<(), AdminError> {
    if let Some(name) = &change.name {
        if !is_name(name) {
            return Err(AdminError::Refused("a name has 1 to 200 bytes and no control characters"));
        }
        client.name = name.as_str().into();
    }
    if let Some(scope) = &change.scope {
        client.scope = scope.clone();
    }
    if let Some(scope) = &change.default_scope {
        client.default_scope = Some(scope.clone()).filter(|scope| !scope.is_empty());
    }
    if let Some(audience) = &change.audience {
        client.audience.clone_from(audience);
    }
    if let Some(serves) = &change.serves {
        client.serves.clone_from(serves);
    }
    if let Some(lifetime) = change.lifetime {
        let seconds = u32::try_from(lifetime.as_secs()).ok().filter(|seconds| *seconds > 0);
        client.lifetime_seconds =
            Some(seconds.ok_or(AdminError::Refused("a lifetime is at least 1s and at most 365d"))?);
    }
    if let Some(format) = change.format {
        client.format = format;
    }
    if let Some(accepts) = change.accepts_endpoint_audience {
        client.accepts_endpoint_audience = accepts;
    }
    if let Some(may) = change.may_request_tokens {
        client.may_request_tokens = may;
    }
    if let Some(ring) = change.ring {
        client.alg = ring.algorithm();
    }
    let claims = |list: &[Audience]| list.iter().map(|audience| audience.as_str().len()).sum::<usize>();
    if client.audience.len().max(client.serves.len()) > MAX_RESOURCES
        || claims(&client.audience) + client.scope.as_str().len() > MAX_CLAIM_BYTES
    {
        return Err(AdminError::Refused("a token would be too large: at most 16 audiences, 6000 bytes with the scope"));
    }
    if !client.granted_by_default().is_subset_of(&client.scope) {
        return Err(AdminError::Refused("the default scope must be part of the scope"));
    }
    Ok(())
}
