//! A store that could not be opened at the start: opened when it is asked for and there.
//!
//! Until then every operation fails with why it could not be opened; it is tried once a second at the most, beside
//! the runtime. Once it is open, this is nothing but the way to it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::assertions::UsedAssertion;
use super::{
    Changes, Cursor, KeyRecords, News, Pending, Revocation, Revocations, SecretUse, SecretUses, Store, StoreError,
    StoreReport, TokenPosition, TokenRecord,
};
use crate::clock::{UnixDay, UnixTime};
use crate::oauth::{Client, ClientId, SecretHash};

/// The least time between two tries.
const AGAIN: Duration = Duration::from_secs(1);

type Open = dyn Fn() -> Result<Arc<dyn Store>, StoreError> + Send + Sync;

/// The way to a store that is not open yet.
pub struct LateStore {
    backend: &'static str,
    open: Arc<Open>,
    store: OnceLock<Arc<dyn Store>>,
    failed: Mutex<(Instant, StoreError)>,
}

impl LateStore {
    /// A store of this backend, which just could not be opened, for this reason.
    #[must_use]
    pub fn new(
        backend: &'static str,
        open: impl Fn() -> Result<Arc<dyn Store>, StoreError> + Send + Sync + 'static,
        error: StoreError,
    ) -> Self {
        let failed = Mutex::new((Instant::now(), error));
        Self { backend, open: Arc::new(open), store: OnceLock::new(), failed }
    }

    async fn opened(&self) -> Result<Arc<dyn Store>, StoreError> {
        if let Some(store) = self.store.get() {
            return Ok(Arc::clone(store));
        }
        // Whoever comes second waits for the first one's try.
        let mut failed = self.failed.lock().await;
        if let Some(store) = self.store.get() {
            return Ok(Arc::clone(store));
        }
        if failed.0.elapsed() < AGAIN {
            return Err(failed.1.clone());
        }
        let open = Arc::clone(&self.open);
        let opened = tokio::task::spawn_blocking(move || open()).await;
        match opened.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()))) {
            Ok(store) => Ok(Arc::clone(self.store.get_or_init(|| store))),
            Err(error) => {
                *failed = (Instant::now(), error.clone());
                Err(error)
            }
        }
    }
}

impl fmt::Debug for LateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.store.get().is_some();
        f.debug_struct("LateStore").field("backend", &self.backend).field("is_open", &is_open).finish_non_exhaustive()
    }
}

/// Passes each operation on to the store once it is open.
macro_rules! pass_on {
    ($(fn $name:ident<$l:lifetime>($($argument:ident: $kind:ty),*) -> $found:ty;)*) => {
        $(fn $name<$l>(&$l self, $($argument: $kind),*) -> Pending<$l, $found> {
            Box::pin(async move {
                let store = self.opened().await?;
                store.$name($($argument),*).await
            })
        })*
    };
}

impl Store for LateStore {
    fn backend(&self) -> &'static str {
        self.backend
    }

    /// Waits for ever until it is open; whoever waits looks now and then, which opens it.
    fn changed(&self) -> Pending<'_, ()> {
        self.store
            .get()
            .map_or_else(|| -> Pending<'_, ()> { Box::pin(std::future::pending()) }, |store| store.changed())
    }

    fn tells_changes(&self) -> bool {
        self.store.get().is_some_and(|store| store.tells_changes())
    }

    pass_on! {
        fn find_client<'a>(id: &'a str) -> Option<Client>;
        fn list_clients<'a>(after: Option<&'a ClientId>, limit: usize) -> Vec<Client>;
        fn list_recent_clients<'a>(skip: usize, limit: usize) -> Vec<Client>;
        fn put_client<'a>(client: Client) -> u64;
        fn copy_client<'a>(client: Client, over: u64) -> ();
        fn remove_client<'a>(id: &'a ClientId, revision: u64) -> ();
        fn find_keys<'a>() -> Option<KeyRecords>;
        fn put_keys<'a>(records: KeyRecords) -> u64;
        fn changes_since<'a>(cursor: Option<Cursor>) -> Changes;
        fn news_since<'a>(cursor: Option<Cursor>, revocations: Cursor, limit: usize) -> News;
        fn put_revocation<'a>(revocation: Revocation) -> ();
        fn revocations_since<'a>(cursor: Cursor, limit: usize) -> Revocations;
        fn purge_revocations<'a>(before: UnixTime, limit: usize) -> usize;
        fn put_token<'a>(token: TokenRecord) -> ();
        fn find_token<'a>(digest: SecretHash) -> Option<TokenRecord>;
        fn list_tokens<'a>(after: Option<TokenPosition>, limit: usize) -> Vec<TokenRecord>;
        fn purge_tokens<'a>(before: UnixTime, limit: usize) -> usize;
        fn put_assertion<'a>(used: UsedAssertion) -> ();
        fn list_assertions<'a>(after: Option<UsedAssertion>, limit: usize) -> Vec<UsedAssertion>;
        fn purge_assertions<'a>(before: UnixTime, limit: usize) -> usize;
        fn put_secret_uses<'a>(uses: Vec<SecretUse>) -> ();
        fn list_secret_uses<'a>(id: &'a ClientId) -> SecretUses;
        fn put_secret_uses_since<'a>(day: UnixDay) -> ();
        fn find_note<'a>(name: &'a str) -> Option<String>;
        fn put_note<'a>(name: &'a str, held: Option<&'a str>, text: Option<&'a str>) -> ();
        fn take_turn<'a>(chore: &'a str, period: Duration) -> bool;
        fn check<'a>() -> StoreReport;
        fn backup<'a>(path: &'a Path) -> ();
    }
}
