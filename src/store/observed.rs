//! A store whose operations are counted and timed, and whose damage is noticed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::assertions::UsedAssertion;
use super::{
    Changes, Cursor, KeyRecords, News, Pending, Revocation, Revocations, SecretUse, SecretUses, Store, StoreError,
    StoreReport, TokenPosition, TokenRecord,
};
use crate::clock::{UnixDay, UnixTime};
use crate::metrics::StoreMetrics;
use crate::oauth::{Client, ClientId, SecretHash};

/// Wraps any backend; changes nothing but the figures.
#[derive(Debug)]
pub struct ObservedStore {
    inner: Arc<dyn Store>,
    metrics: StoreMetrics,
    damaged: Arc<AtomicBool>,
}

impl ObservedStore {
    /// Counts the operations of `inner`, and sets `damaged` when one finds that it is.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: StoreMetrics, damaged: Arc<AtomicBool>) -> Self {
        metrics.declare_errors(&StoreError::KINDS);
        Self { inner, metrics, damaged }
    }

    fn observe<'a, T: Send + 'a>(&'a self, operation: &'static str, pending: Pending<'a, T>) -> Pending<'a, T> {
        Box::pin(async move {
            let (started, _under_way) = (Instant::now(), self.metrics.begin());
            let result = pending.await;
            self.metrics.observe(operation, started.elapsed(), result.as_ref().err().map(StoreError::kind));
            if let Err(StoreError::Corrupt(_)) = result {
                self.damaged.store(true, Ordering::Relaxed);
            }
            result
        })
    }
}

impl Store for ObservedStore {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    fn find_client<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Client>> {
        self.observe("find_client", self.inner.find_client(id))
    }

    fn list_clients<'a>(&'a self, after: Option<&'a ClientId>, limit: usize) -> Pending<'a, Vec<Client>> {
        self.observe("list_clients", self.inner.list_clients(after, limit))
    }

    fn put_client(&self, client: Client) -> Pending<'_, u64> {
        self.observe("put_client", self.inner.put_client(client))
    }

    fn copy_client(&self, client: Client, over: u64) -> Pending<'_, ()> {
        self.observe("copy_client", self.inner.copy_client(client, over))
    }

    fn remove_client<'a>(&'a self, id: &'a ClientId, revision: u64) -> Pending<'a, ()> {
        self.observe("remove_client", self.inner.remove_client(id, revision))
    }

    fn find_keys(&self) -> Pending<'_, Option<KeyRecords>> {
        self.observe("find_keys", self.inner.find_keys())
    }

    fn put_keys(&self, records: KeyRecords) -> Pending<'_, u64> {
        self.observe("put_keys", self.inner.put_keys(records))
    }

    fn changes_since(&self, cursor: Option<Cursor>) -> Pending<'_, Changes> {
        self.observe("changes_since", self.inner.changes_since(cursor))
    }

    fn news_since(&self, cursor: Option<Cursor>, revocations: Cursor, limit: usize) -> Pending<'_, News> {
        self.observe("news_since", self.inner.news_since(cursor, revocations, limit))
    }

    fn changed(&self) -> Pending<'_, ()> {
        self.inner.changed()
    }

    fn tells_changes(&self) -> bool {
        self.inner.tells_changes()
    }

    fn put_revocation(&self, revocation: Revocation) -> Pending<'_, ()> {
        self.observe("put_revocation", self.inner.put_revocation(revocation))
    }

    fn revocations_since(&self, cursor: Cursor, limit: usize) -> Pending<'_, Revocations> {
        self.observe("revocations_since", self.inner.revocations_since(cursor, limit))
    }

    fn purge_revocations(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        self.observe("purge_revocations", self.inner.purge_revocations(before, limit))
    }

    fn put_token(&self, token: TokenRecord) -> Pending<'_, ()> {
        self.observe("put_token", self.inner.put_token(token))
    }

    fn find_token(&self, digest: SecretHash) -> Pending<'_, Option<TokenRecord>> {
        self.observe("find_token", self.inner.find_token(digest))
    }

    fn list_tokens(&self, after: Option<TokenPosition>, limit: usize) -> Pending<'_, Vec<TokenRecord>> {
        self.observe("list_tokens", self.inner.list_tokens(after, limit))
    }

    fn purge_tokens(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        self.observe("purge_tokens", self.inner.purge_tokens(before, limit))
    }

    fn list_recent_clients(&self, skip: usize, limit: usize) -> Pending<'_, Vec<Client>> {
        self.observe("list_recent_clients", self.inner.list_recent_clients(skip, limit))
    }

    fn take_turn<'a>(&'a self, chore: &'a str, period: Duration) -> Pending<'a, bool> {
        self.observe("take_turn", self.inner.take_turn(chore, period))
    }

    fn put_assertion(&self, used: UsedAssertion) -> Pending<'_, ()> {
        self.observe("put_assertion", self.inner.put_assertion(used))
    }

    fn list_assertions(&self, after: Option<UsedAssertion>, limit: usize) -> Pending<'_, Vec<UsedAssertion>> {
        self.observe("list_assertions", self.inner.list_assertions(after, limit))
    }

    fn purge_assertions(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        self.observe("purge_assertions", self.inner.purge_assertions(before, limit))
    }

    fn put_secret_uses(&self, uses: Vec<SecretUse>) -> Pending<'_, ()> {
        self.observe("put_secret_uses", self.inner.put_secret_uses(uses))
    }

    fn list_secret_uses<'a>(&'a self, id: &'a ClientId) -> Pending<'a, SecretUses> {
        self.observe("list_secret_uses", self.inner.list_secret_uses(id))
    }

    fn put_secret_uses_since(&self, day: UnixDay) -> Pending<'_, ()> {
        self.observe("put_secret_uses_since", self.inner.put_secret_uses_since(day))
    }

    fn find_note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        self.observe("find_note", self.inner.find_note(name))
    }

    fn put_note<'a>(&'a self, name: &'a str, held: Option<&'a str>, text: Option<&'a str>) -> Pending<'a, ()> {
        self.observe("put_note", self.inner.put_note(name, held, text))
    }

    fn check(&self) -> Pending<'_, StoreReport> {
        self.observe("check", self.inner.check())
    }

    fn backup<'a>(&'a self, path: &'a Path) -> Pending<'a, ()> {
        self.observe("backup", self.inner.backup(path))
    }
}
