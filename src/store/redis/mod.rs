//! The shared store: Redis alone, under Sentinel or as a Cluster, for as many servers as there are.
//!
//! `keys` is the table of all names, `records` the form of the values, `scripts` what is one step of the server;
//! `clients`, `signing_keys`, `feed`, `revocations`, `tokens`, `assertions` and `uses` are the methods of the contract by
//! their subject. `connection` runs them, behind the `breaker`, over a `link`, as a `session`; `sentinel` finds the
//! master, `push` hears of the writes of others, `backoff` spaces tries, `error` says what each failure means, `health`
//! whether a server can be trusted, `check` looks the data over, `url` which one is meant.
//!
//! Invariants: a write and its entry in the feed are one script, done once however often it is sent; "nothing there"
//! is an answer only together with the epoch of the store, so that one that was emptied is missed and not believed;
//! a key of another type, or with a value that cannot be read, is damage.

mod assertions;
mod backoff;
mod breaker;
mod check;
mod clients;
mod connection;
mod error;
mod feed;
mod health;
mod keys;
mod link;
mod push;
mod records;
mod revocations;
mod scripts;
mod sentinel;
mod session;
mod signing_keys;
mod tokens;
mod url;
mod uses;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::connection::Connections;
use self::link::{Maker, Master};
use super::assertions::UsedAssertion;
use super::transfer;
use super::url::OpenMode;
use super::{
    Changes, Cursor, KeyRecords, News, Pending, Revocation, Revocations, SecretUse, SecretUses, Store, StoreError,
    StoreReport, TokenPosition, TokenRecord,
};
use crate::clock::{Clock, UnixDay, UnixTime};
use crate::keys::RecordSeal;
use crate::oauth::{Client, ClientId, SecretHash};

// Generic, so that a simulation of many servers goes by them as well.
pub use backoff::Backoff;
pub use breaker::{Breaker, Live};
pub use url::{FORMS, RedisUrl};

/// What can be set of a connection to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// How long a lookup or a write may take.
    pub deadline: Duration,
    /// The authorities that may vouch for a server, in PEM; those of the machine when not set.
    pub ca_file: Option<PathBuf>,
    /// The password, read anew for each connection.
    pub password_file: Option<PathBuf>,
    /// The password of the sentinels, read in the same way; they are asked without one when not set.
    pub sentinel_password_file: Option<PathBuf>,
    /// How many replicas must have a write before it is acknowledged.
    pub wait_replicas: u32,
    /// Whether a server that may evict is read all the same, by whoever moves away from it.
    pub may_evict: bool,
}

impl Default for RedisOptions {
    fn default() -> Self {
        let deadline = Duration::from_millis(250);
        Self {
            deadline,
            ca_file: None,
            password_file: None,
            sentinel_password_file: None,
            wait_replicas: 0,
            may_evict: false,
        }
    }
}

/// A store in Redis.
#[derive(Debug)]
pub struct RedisStore {
    redis: Connections,
}

impl RedisStore {
    /// Begins to connect; whether there is a server is said by the first request. Records are marked by `seal`.
    ///
    /// # Errors
    /// When the process cannot start its thread.
    pub fn open(url: &RedisUrl, mode: OpenMode, options: &RedisOptions, seal: RecordSeal) -> Result<Self, StoreError> {
        let RedisOptions { deadline, ca_file, password_file, sentinel_password_file, wait_replicas, may_evict } =
            options.clone();
        let (url, response_timeout, master) = (url.clone(), deadline, Master::default());
        let maker = Maker { url, ca_file, password_file, sentinel_password_file, response_timeout, master, may_evict };
        Ok(Self { redis: Connections::start(maker, mode, (seal, wait_replicas))? })
    }
}

impl Store for RedisStore {
    fn backend(&self) -> &'static str {
        "redis"
    }

    fn find_client<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Client>> {
        clients::find(&self.redis, id)
    }

    fn list_clients<'a>(&'a self, after: Option<&'a ClientId>, limit: usize) -> Pending<'a, Vec<Client>> {
        clients::list(&self.redis, after, limit)
    }

    fn list_recent_clients(&self, skip: usize, limit: usize) -> Pending<'_, Vec<Client>> {
        clients::list_recent(&self.redis, skip, limit)
    }

    fn put_client(&self, client: Client) -> Pending<'_, u64> {
        let over = client.revision;
        clients::put(&self.redis, client, over, over + 1)
    }

    fn copy_client(&self, client: Client, over: u64) -> Pending<'_, ()> {
        let revision = client.revision;
        let copied = clients::put(&self.redis, client, over, revision);
        Box::pin(async move { copied.await.map(|_| ()) })
    }

    fn remove_client<'a>(&'a self, id: &'a ClientId, revision: u64) -> Pending<'a, ()> {
        clients::remove(&self.redis, id, revision)
    }

    fn find_keys(&self) -> Pending<'_, Option<KeyRecords>> {
        signing_keys::find(&self.redis)
    }

    fn put_keys(&self, records: KeyRecords) -> Pending<'_, u64> {
        signing_keys::put(&self.redis, records)
    }

    fn changes_since(&self, cursor: Option<Cursor>) -> Pending<'_, Changes> {
        feed::changes_since(&self.redis, cursor)
    }

    fn news_since(&self, cursor: Option<Cursor>, revocations: Cursor, limit: usize) -> Pending<'_, News> {
        feed::news_since(&self.redis, cursor, (revocations, limit))
    }

    fn changed(&self) -> Pending<'_, ()> {
        self.redis.called()
    }

    fn tells_changes(&self) -> bool {
        self.redis.tells_changes()
    }

    fn put_revocation(&self, revocation: Revocation) -> Pending<'_, ()> {
        revocations::put(&self.redis, revocation)
    }

    fn revocations_since(&self, cursor: Cursor, limit: usize) -> Pending<'_, Revocations> {
        revocations::since(&self.redis, cursor, limit)
    }

    fn purge_revocations(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        revocations::purge(&self.redis, before, limit)
    }

    fn put_token(&self, token: TokenRecord) -> Pending<'_, ()> {
        tokens::put(&self.redis, token)
    }

    fn find_token(&self, digest: SecretHash) -> Pending<'_, Option<TokenRecord>> {
        tokens::find(&self.redis, digest)
    }

    fn list_tokens(&self, after: Option<TokenPosition>, limit: usize) -> Pending<'_, Vec<TokenRecord>> {
        tokens::list(&self.redis, after, limit)
    }

    fn purge_tokens(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        tokens::purge(&self.redis, before, limit)
    }

    fn put_assertion(&self, used: UsedAssertion) -> Pending<'_, ()> {
        assertions::put(&self.redis, used)
    }

    fn list_assertions(&self, after: Option<UsedAssertion>, limit: usize) -> Pending<'_, Vec<UsedAssertion>> {
        assertions::list(&self.redis, after, limit)
    }

    fn purge_assertions(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        assertions::purge(&self.redis, before, limit)
    }

    fn put_secret_uses(&self, uses: Vec<SecretUse>) -> Pending<'_, ()> {
        uses::put(&self.redis, uses)
    }

    fn list_secret_uses<'a>(&'a self, id: &'a ClientId) -> Pending<'a, SecretUses> {
        uses::list(&self.redis, id)
    }

    fn put_secret_uses_since(&self, day: UnixDay) -> Pending<'_, ()> {
        uses::put_since(&self.redis, day)
    }

    fn find_note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        uses::find_note(&self.redis, name)
    }

    fn put_note<'a>(&'a self, name: &'a str, held: Option<&'a str>, text: Option<&'a str>) -> Pending<'a, ()> {
        uses::put_note(&self.redis, name, held, text)
    }

    fn take_turn<'a>(&'a self, chore: &'a str, period: Duration) -> Pending<'a, bool> {
        uses::take_turn(&self.redis, chore, period)
    }

    fn check(&self) -> Pending<'_, StoreReport> {
        Box::pin(check::report(&self.redis))
    }

    /// It has no file of its own, so all of it is copied to one.
    fn backup<'a>(&'a self, path: &'a Path) -> Pending<'a, ()> {
        let random = [rand::random(), rand::random()];
        Box::pin(transfer::backup(self, path, (random, Clock::System.now())))
    }
}
