//! The contract that every store keeps: each clause of the prose of `jeton::store` is a test, run on each backend.

mod assertions;
mod copies;
mod failover;
mod feed;
mod reads;
mod revocations;
mod secret_uses;
mod tokens;
mod writes;

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jeton::clock::{UnixDay, UnixTime};
use jeton::jwt::TokenId;
use jeton::keys::{KeyRecord, MasterKey, RecordSeal, SigningKey};
use jeton::metrics::Metrics;
use jeton::oauth::client_key::{ClientKey, PublicJwk};
use jeton::oauth::{Algorithm, Audience, Client, ClientId, ClientSecret, Scope, SecretId, TokenFormat};
use jeton::store::assertions::UsedAssertion;
use jeton::store::memory::MemoryStore;
use jeton::store::observed::ObservedStore;
use jeton::store::{
    BACKUP_NOTE, Change, Cursor, KeyRecords, OpenMode, RedisOptions, Revocation, SecretUse, Store, StoreError,
    StoreOptions, StoreUrl, TokenPosition, TokenRecord,
};
use tempfile::TempDir;

use crate::support::cluster::Cluster;
use crate::support::redis::Redis;

use assertions::*;
use copies::*;
use feed::*;
use reads::*;
use revocations::*;
use secret_uses::*;
use tokens::*;
use writes::*;

/// A new store of one backend, and the way to a second handle on the same data.
struct Fixture {
    folder: TempDir,
    store: Arc<dyn Store>,
    url: StoreUrl,
    options: StoreOptions,
    /// What others may not use meanwhile.
    _held: Option<Box<dyn Any>>,
}

impl Fixture {
    fn memory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, url) = (Arc::new(MemoryStore::default()), StoreUrl::Memory);
        Self { folder, store, url, options: options(), _held: None }
    }

    fn observed() -> Self {
        let fixture = Self::memory();
        let metrics = Metrics::new(1, "memory").unwrap();
        let damaged = Arc::new(AtomicBool::new(false));
        let store = Arc::new(ObservedStore::new(fixture.store, metrics.store().clone(), damaged));
        Self { store, ..fixture }
    }

    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("a.db"));
        Self { store: url.open(OpenMode::CreateIfMissing).unwrap(), folder, url, options: options(), _held: None }
    }

    /// A store of its own in a server that all share.
    fn redis() -> Self {
        static SHARED: LazyLock<Redis> = LazyLock::new(Redis::start);
        static STORES: AtomicU32 = AtomicU32::new(0);
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        Self::remote(&format!("{}?prefix=contract-{number}", SHARED.url()), options(), None)
    }

    /// Alone on a cluster, which many share one after the other.
    fn redis_cluster() -> Self {
        let cluster = Cluster::shared();
        Self::remote(&cluster.url(), options(), Some(Box::new(cluster)))
    }

    fn remote(url: &str, options: StoreOptions, held: Option<Box<dyn Any>>) -> Self {
        let url = StoreUrl::parse(url).unwrap();
        let store = url.open_with(OpenMode::CreateIfMissing, &options).unwrap();
        // It is made by its first request, not by opening it.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(store.find_keys()).unwrap().is_none());
        Self { folder: tempfile::tempdir().unwrap(), store, url, options, _held: held }
    }

    /// Another handle, as another process has it; a store in memory has only itself.
    fn again(&self) -> Arc<dyn Store> {
        if self.url == StoreUrl::Memory {
            Arc::clone(&self.store)
        } else {
            self.url.open_with(OpenMode::MustExist, &self.options).unwrap()
        }
    }
}

/// With more patience than servers have: some clauses write hundreds of clients at once.
fn options() -> StoreOptions {
    let redis = RedisOptions { deadline: Duration::from_secs(10), ..RedisOptions::default() };
    StoreOptions { redis, seal: Some(RecordSeal::new(&MasterKey::from_random([1; 32]))) }
}

fn run(fixture: &Fixture, clause: impl AsyncFnOnce(&Fixture)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let within = async { tokio::time::timeout(Duration::from_mins(1), clause(fixture)).await };
    runtime.block_on(within).expect("the store answers");
}

/// Every clause on every backend.
macro_rules! contract {
    ($($clause:ident)*) => {
        contract! { @ memory $($clause)* }
        contract! { @ observed $($clause)* }
        contract! { @ sqlite $($clause)* }
        contract! { @ redis $($clause)* }
        contract! { @ redis_cluster $($clause)* }

        /// By name, for runs of another kind.
        const CLAUSES: &[failover::Clause] = &[$((stringify!($clause), |fixture| run(fixture, $clause))),*];
    };
    (@ $backend:ident $($clause:ident)*) => {
        mod $backend {
            $(#[test]
            fn $clause() {
                super::run(&super::Fixture::$backend(), super::$clause);
            })*
        }
    };
}

contract! {
    a_client_is_found_as_it_was_written
    a_write_names_the_revision_it_was_made_from
    revision_zero_means_must_not_exist_yet
    a_conflict_changes_nothing
    a_removal_is_compared_too
    the_same_write_twice_is_done_once
    the_keys_are_compared_and_set
    every_write_is_in_the_feed_in_order
    the_feed_begins_at_its_end_and_misses_nothing
    the_feed_is_complete_or_says_so
    a_cursor_from_the_future_is_a_gap
    reads_of_any_handle_see_what_was_acknowledged
    ids_are_compared_byte_for_byte
    a_list_has_every_client_once_in_byte_order
    of_many_creators_one_wins
    concurrent_writers_lose_no_update
    a_write_whose_asker_left_is_whole_or_not_there
    a_revocation_is_noted_once
    revocations_are_read_in_order_by_any_handle
    expired_revocations_go_a_few_at_a_time
    the_latest_use_of_a_secret_stays
    a_use_is_no_change_of_the_client
    uses_go_with_their_secret
    an_opaque_token_is_found_by_its_digest_as_it_was_written
    expired_tokens_go_a_few_at_a_time
    an_opaque_token_is_kept_once
    a_list_has_every_token_once_in_the_order_of_their_ends
    t129_an_assertion_is_used_once_by_whatever_handle
    t130_of_many_who_use_an_assertion_at_a_time_one_does
    used_assertions_go_a_few_at_a_time
    a_list_has_every_used_assertion_once_in_the_order_of_their_ends
    a_copy_keeps_its_revision
    a_copy_names_the_revision_that_it_replaces
    the_uses_of_secrets_are_known_from_the_earliest_day_on
    a_note_is_compared_and_set
    a_report_counts_what_is_there
    what_was_acknowledged_survives_reopening
    a_backup_is_the_store_as_of_then
}

fn id(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

/// A client with something in every field.
fn client(name: &str) -> Client {
    let hasher = MasterKey::from_random([1; 32]).secret_hasher();
    let secret = |byte: u8, expires_at| ClientSecret {
        id: SecretId::from_random([byte; 6]),
        hash: hasher.hash(&format!("{name} {byte}")),
        created_at: UnixTime::from_seconds(7),
        expires_at,
    };
    Client {
        id: id(name),
        name: "Prüfung \u{1f511} \"quoted\"\n".into(),
        enabled: false,
        may_request_tokens: true,
        scope: Scope::parse("read write").unwrap(),
        default_scope: Some(Scope::parse("read").unwrap()),
        audience: vec![Audience::parse("https://api.example.com").unwrap()],
        serves: vec![Audience::parse("https://served.example.com").unwrap()],
        tokens_revoked_at: Some(UnixTime::from_seconds(6)),
        lifetime_seconds: Some(77),
        alg: Algorithm::Es256,
        format: TokenFormat::Opaque,
        secrets: vec![secret(1, None), secret(2, Some(UnixTime::from_seconds(u64::from(u32::MAX) + 1)))].into(),
        keys: vec![ClientKey {
            kid: "k".into(),
            alg: Algorithm::EdDsa,
            jwk: PublicJwk {
                kty: "OKP".into(),
                crv: Some("Ed25519".into()),
                x: Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into()),
                y: None,
                n: None,
                e: None,
            },
            created_at: UnixTime::from_seconds(7),
            expires_at: Some(UnixTime::from_seconds(8)),
        }],
        accepts_endpoint_audience: true,
        created_at: UnixTime::from_seconds(5),
        revision: 0,
    }
}

fn key(seed: u8) -> KeyRecord {
    let at = UnixTime::from_seconds(u64::from(seed));
    SigningKey::seal(&[seed; 32], &MasterKey::from_random([1; 32]), [seed; 12], (at, at)).unwrap()
}

fn key_records(revision: u64, seeds: &[u8]) -> KeyRecords {
    let check = MasterKey::from_random([1; 32]).check();
    KeyRecords { check, keys: seeds.iter().map(|seed| key(*seed)).collect(), revision }
}

fn revocation(number: u8, end: u64) -> Revocation {
    Revocation { token: TokenId([number; 16]), expires_at: UnixTime::from_seconds(end) }
}

fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}

async fn end_of_feed(store: &dyn Store) -> Cursor {
    store.changes_since(None).await.unwrap().cursor
}
