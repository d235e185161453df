//! A store that does only so many operations and fails from then on, as one whose machine goes down.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use jeton::clock::{UnixDay, UnixTime};
use jeton::oauth::{Client, ClientId, SecretHash};
use jeton::store::assertions::UsedAssertion;
use jeton::store::memory::MemoryStore;
use jeton::store::{
    Changes, Cursor, KeyRecords, Pending, Revocation, Revocations, SecretUse, SecretUses, Store, StoreError,
    StoreReport, TokenPosition, TokenRecord,
};

/// What is left of a store's life.
#[derive(Debug, Default)]
pub struct Failing {
    pub store: MemoryStore,
    left: AtomicUsize,
}

impl Failing {
    /// It does `operations` more.
    pub fn allow(&self, operations: usize) {
        self.left.store(operations, Ordering::Relaxed);
    }

    /// How many it could still do.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    fn unless_spent<'a, T: Send + 'a>(&self, does: impl FnOnce() -> Pending<'a, T>) -> Pending<'a, T> {
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => does(),
            Err(_) => Box::pin(std::future::ready(Err(StoreError::Io("unplugged".to_owned())))),
        }
    }
}

/// Passes each operation on, as long as there are any left.
macro_rules! pass_on {
    ($(fn $name:ident<$l:lifetime>($($argument:ident: $kind:ty),*) -> $found:ty;)*) => {
        $(fn $name<$l>(&$l self, $($argument: $kind),*) -> Pending<$l, $found> {
            self.unless_spent(|| self.store.$name($($argument),*))
        })*
    };
}

impl Store for Failing {
    fn backend(&self) -> &'static str {
        "failing"
    }

    pass_on! {
        fn find_client<'a>(id: &'a str) -> Option<Client>;
        fn list_clients<'a>(after: Option<&'a ClientId>, limit: usize) -> Vec<Client>;
        fn put_client<'a>(client: Client) -> u64;
        fn copy_client<'a>(client: Client, over: u64) -> ();
        fn remove_client<'a>(id: &'a ClientId, revision: u64) -> ();
        fn find_keys<'a>() -> Option<KeyRecords>;
        fn put_keys<'a>(records: KeyRecords) -> u64;
        fn changes_since<'a>(cursor: Option<Cursor>) -> Changes;
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
        fn check<'a>() -> StoreReport;
        fn backup<'a>(path: &'a Path) -> ();
    }
}
