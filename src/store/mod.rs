//! What survives a restart: clients, signing keys, the feed of their changes, and revocations.
//!
//! [`Store`] is the contract, `memory`, `sqlite` and `redis` keep it, `cache`, `revoked`, `tokens` and `uses` stand
//! between requests and any of them. Leaves the meaning of what is stored to `oauth` and `keys`.
//!
//! # The contract
//! Every backend passes the same suite (`tests/it/store_contract`):
//! - **Nothing acknowledged is lost.** A write that returned `Ok` is there after a crash of the process or machine.
//! - **Compare and set.** A write names the revision it was made from; if another one came first, it changes
//!   nothing and returns [`StoreError::Conflict`]. Revision 0 means "must not exist yet".
//! - **All or nothing.** A write and its entry in the change feed are one transaction.
//! - **The feed is complete.** [`Store::changes_since`] names everything that changed after a cursor, in order, or
//!   says that it no longer can ([`Changes::gap`]), whoever wrote it.
//! - **Reads see acknowledged writes.** After `Ok`, every later read of any process sees the write.
//! - **Once is once.** Of all who say that an assertion was used, wherever they are, one is told `Ok`, until its record
//!   is purged.
//! - **A copy is the same.** What is copied from another store keeps its revision, and copied twice it is there once.
//! - **A use is no change.** When a secret was last used is kept beside its client: writing it down neither counts
//!   as a write of the client nor stands in the feed, and it goes with the secret.
//! - **Never a block.** No method blocks the calling thread; each answers or fails within the backend's deadline.
//! - **Bytes are bytes.** Ids are compared exactly: no case folding, no trimming.

pub mod assertions;
pub mod cache;
pub mod cached;
mod error;
pub mod late;
pub mod memory;
pub mod observed;
mod redis;
pub mod revoked;
pub mod snapshot;
pub mod sqlite;
mod table;
pub mod tokens;
pub mod transfer;
mod unknown;
mod url;
pub mod uses;

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;

pub use error::StoreError;
pub use redis::{Backoff, Breaker, Live, RedisOptions, RedisUrl};
pub use url::{OpenMode, StoreOptions, StoreUrl};

use self::assertions::UsedAssertion;
use crate::clock::{UnixDay, UnixTime};
use crate::jwt::TokenId;
use crate::keys::{KeyRecord, MasterKeyCheck};
use crate::oauth::{Audience, Client, ClientId, Scope, SecretHash, SecretId};

/// What a store method returns: a future that does not borrow the worker's runtime.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// All signing keys of a service and the check value of the master key that protects them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecords {
    /// Recognises the master key.
    pub check: MasterKeyCheck,
    /// Every key that was not purged, in no particular order.
    pub keys: Vec<KeyRecord>,
    /// Counts the writes.
    pub revision: u64,
}

/// The note of a store that is a backup, and was not used since: when it was made.
pub const BACKUP_NOTE: &str = "backup";
/// The note of how long keys wait and stay, by the servers' configuration.
pub const LEAD_NOTE: &str = "lead";

/// A position in the change feed; later positions are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(pub u64);

/// One entry of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A client was registered, altered or removed.
    Client(ClientId),
    /// The signing keys changed.
    Keys,
}

/// A token that is no longer good although it has not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which token.
    pub token: TokenId,
    /// When it would have expired; the record is of no use after that.
    pub expires_at: UnixTime,
}

/// Revocations in the order in which they were acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    /// Where to go on from.
    pub cursor: Cursor,
    /// What was revoked after the cursor that was asked for.
    pub entries: Vec<Revocation>,
}

/// What an opaque token stands for. It says of its client what a signed token would say by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// The digest of the token, by which it is found.
    pub digest: SecretHash,
    /// Its name: what revocations and the audit log call it.
    pub id: TokenId,
    /// Whose it is.
    pub client: ClientId,
    /// What was granted.
    pub scope: Scope,
    /// Whom it is for.
    pub audience: Vec<Audience>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// From when on it is no longer valid; the record is of no use after that.
    pub expires_at: UnixTime,
}

/// A place in the list of opaque tokens: behind the one that ends then and has this digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenPosition {
    /// When it expires.
    pub expires_at: UnixTime,
    /// Its digest.
    pub digest: SecretHash,
}

impl TokenRecord {
    /// Where it stands in the list.
    #[must_use]
    pub const fn position(&self) -> TokenPosition {
        TokenPosition { expires_at: self.expires_at, digest: self.digest }
    }
}

/// On which day a secret was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// Whose.
    pub client: ClientId,
    /// Which of its secrets.
    pub secret: SecretId,
    /// When, in UTC.
    pub day: UnixDay,
}

/// What is known of the uses of a client's secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUses {
    /// The first day whose uses were written down: of a secret that is not in `last` nothing is known before it.
    pub since: UnixDay,
    /// The last use of each secret that was used since, in no particular order.
    pub last: Vec<SecretUse>,
}

/// What changed after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Where to go on from.
    pub cursor: Cursor,
    /// What changed, oldest first; empty when `gap` is set.
    pub entries: Vec<Change>,
    /// The feed no longer reaches back to the cursor: treat everything as changed.
    pub gap: bool,
}

/// What happened after two cursors, read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What changed after the one.
    pub changes: Changes,
    /// What was revoked after the other: from the beginning on when there is a gap in the changes, since the store may
    /// be another one than before.
    pub revocations: Revocations,
}

/// What `store check` prints.
#[derive(Clone, Debug, Serialize)]
pub struct StoreReport {
    /// The backend's name.
    pub backend: &'static str,
    /// Version of the database program, such as SQLite's.
    pub version: String,
    /// Version of the layout of the data.
    pub schema: u32,
    /// Registered clients.
    pub clients: u64,
    /// Signing keys, removed ones included.
    pub keys: u64,
    /// Revocations, expired ones that wait for their removal included.
    pub revocations: u64,
    /// Opaque tokens, expired ones that wait for their removal included.
    pub tokens: u64,
    /// Used assertions, expired ones that wait for their removal included.
    pub assertions: u64,
    /// What an acknowledged write survives, and what it does not.
    pub durability: String,
    /// What is wrong; empty when all is well.
    pub problems: Vec<String>,
    /// What should be otherwise, but keeps nobody from serving.
    pub warnings: Vec<String>,
}

/// A place that keeps clients and keys. See the module for the contract.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// The backend's name: the metric label, `memory`, `sqlite` or `redis`.
    fn backend(&self) -> &'static str;

    /// The client of this id, as last acknowledged.
    fn find_client<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Client>>;

    /// Up to `limit` clients whose ids come after `after`, in the order of their bytes.
    fn list_clients<'a>(&'a self, after: Option<&'a ClientId>, limit: usize) -> Pending<'a, Vec<Client>>;

    /// Clients in the order of their last use, the latest first: up to `limit` behind the first `skip`. For whoever begins
    /// and will be asked for them; a guess, in which some may be missing. None where asking for one by one is cheap.
    fn list_recent_clients(&self, skip: usize, limit: usize) -> Pending<'_, Vec<Client>> {
        let _ = (skip, limit);
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Writes a client made from `client.revision`; returns the new revision.
    fn put_client(&self, client: Client) -> Pending<'_, u64>;

    /// Writes a client as another store has it, with the revision that it carries, in place of revision `over`; 0 for
    /// one that is not there.
    fn copy_client(&self, client: Client, over: u64) -> Pending<'_, ()>;

    /// Removes a client, if it still has this revision.
    fn remove_client<'a>(&'a self, id: &'a ClientId, revision: u64) -> Pending<'a, ()>;

    /// The signing keys; `None` in a store that was never initialised.
    fn find_keys(&self) -> Pending<'_, Option<KeyRecords>>;

    /// Writes all signing keys, made from `records.revision`; 0 initialises the store. Returns the new revision.
    fn put_keys(&self, records: KeyRecords) -> Pending<'_, u64>;

    /// What changed after `cursor`; `None` asks only for the feed's end.
    fn changes_since(&self, cursor: Option<Cursor>) -> Pending<'_, Changes>;

    /// Notes that a token is revoked. Once noted, again changes nothing.
    fn put_revocation(&self, revocation: Revocation) -> Pending<'_, ()>;

    /// Up to `limit` revocations after `cursor`, oldest first. Fewer than `limit` are all there are. Those that were
    /// purged are missing, and leave no gap: nobody needs them.
    fn revocations_since(&self, cursor: Cursor, limit: usize) -> Pending<'_, Revocations>;

    /// What changed after `cursor`, and up to `limit` revocations: those after `revocations`, or all of them without a
    /// cursor and after a gap.
    fn news_since(&self, cursor: Option<Cursor>, revocations: Cursor, limit: usize) -> Pending<'_, News> {
        Box::pin(async move {
            let changes = self.changes_since(cursor).await?;
            let is_new = cursor.is_none() || changes.gap;
            let revocations = self.revocations_since(if is_new { Cursor::default() } else { revocations }, limit);
            Ok(News { changes, revocations: revocations.await? })
        })
    }

    /// Waits until there is something new, as far as the backend is told; for ever with one that tells nothing. Never
    /// the only way to learn of it.
    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// Whether [`Store::changed`] can be expected to tell.
    fn tells_changes(&self) -> bool {
        false
    }

    /// Removes up to `limit` revocations whose tokens expired before `before`; returns how many.
    fn purge_revocations(&self, before: UnixTime, limit: usize) -> Pending<'_, usize>;

    /// Keeps an opaque token; no entry in the feed. Its digest is random, so one that is there already is the same and
    /// stays as it is.
    fn put_token(&self, token: TokenRecord) -> Pending<'_, ()>;

    /// The opaque token of this digest, expired or not, until it is purged.
    fn find_token(&self, digest: SecretHash) -> Pending<'_, Option<TokenRecord>>;

    /// Up to `limit` opaque tokens after a place, in the order of [`TokenRecord::position`]. Fewer than `limit` are all
    /// there are.
    fn list_tokens(&self, after: Option<TokenPosition>, limit: usize) -> Pending<'_, Vec<TokenRecord>>;

    /// Removes up to `limit` opaque tokens that expired before `before`; returns how many.
    fn purge_tokens(&self, before: UnixTime, limit: usize) -> Pending<'_, usize>;

    /// Notes that an assertion was used; a conflict when it was before. No entry in the feed.
    fn put_assertion(&self, used: UsedAssertion) -> Pending<'_, ()>;

    /// Up to `limit` used assertions after one, in their order. Fewer than `limit` are all there are.
    fn list_assertions(&self, after: Option<UsedAssertion>, limit: usize) -> Pending<'_, Vec<UsedAssertion>>;

    /// Removes up to `limit` used assertions that expired before `before`; returns how many.
    fn purge_assertions(&self, before: UnixTime, limit: usize) -> Pending<'_, usize>;

    /// Notes when secrets were used. The latest day of a secret stays, in whatever order they come; what its client no
    /// longer has, or never had, is passed over. Does not touch the client: not its revision, not the feed.
    fn put_secret_uses(&self, uses: Vec<SecretUse>) -> Pending<'_, ()>;

    /// When the secrets of a client were last used; nothing for a client that is not there.
    fn list_secret_uses<'a>(&'a self, id: &'a ClientId) -> Pending<'a, SecretUses>;

    /// Lets the uses of secrets count as known from `day` on, when they do so only from a later day: their record was
    /// completed from another store.
    fn put_secret_uses_since(&self, day: UnixDay) -> Pending<'_, ()>;

    /// The note of this name: a short text about the store itself, such as what it is a copy of.
    fn find_note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>>;

    /// Writes a note, or takes it away, if it still says what was `held`. No entry in the feed.
    fn put_note<'a>(&'a self, name: &'a str, held: Option<&'a str>, text: Option<&'a str>) -> Pending<'a, ()>;

    /// Whether it is this process's turn to do what one of all processes on the store does in each `period`. Always, where
    /// there is one; where there are several, one that ends in the midst of it leaves it to the next period.
    fn take_turn<'a>(&'a self, chore: &'a str, period: Duration) -> Pending<'a, bool> {
        let _ = (chore, period);
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Looks the whole store over.
    fn check(&self) -> Pending<'_, StoreReport>;

    /// Writes a consistent copy to `path`, which must not exist yet: an SQLite store, whatever this one is.
    fn backup<'a>(&'a self, path: &'a Path) -> Pending<'a, ()>;
}
