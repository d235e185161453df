//! The contract that every store keeps: each clause of the prose of `jeton::store` is a test, run on each backend.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jeton::clock::UnixTime;
use jeton::jwt::TokenId;
use jeton::keys::{KeyRecord, MasterKey, SigningKey};
use jeton::metrics::Metrics;
use jeton::oauth::{Audience, Client, ClientId, ClientSecret, Scope, SecretId};
use jeton::store::memory::MemoryStore;
use jeton::store::observed::ObservedStore;
use jeton::store::{Change, Cursor, KeyRecords, OpenMode, Revocation, Store, StoreError, StoreUrl};
use tempfile::TempDir;

/// A new store of one backend, and the way to a second handle on the same data.
struct Fixture {
    folder: TempDir,
    store: Arc<dyn Store>,
    url: StoreUrl,
}

impl Fixture {
    fn memory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, store: Arc::new(MemoryStore::default()), url: StoreUrl::Memory }
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
        Self { store: url.open(OpenMode::CreateIfMissing).unwrap(), folder, url }
    }

    /// Another handle, as another process has it; a store in memory has only itself.
    fn again(&self) -> Arc<dyn Store> {
        if self.url == StoreUrl::Memory { Arc::clone(&self.store) } else { self.url.open(OpenMode::MustExist).unwrap() }
    }
}

fn run(fixture: &Fixture, clause: impl AsyncFnOnce(&Fixture)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let within = async { tokio::time::timeout(Duration::from_secs(60), clause(fixture)).await };
    runtime.block_on(within).expect("the store answers");
}

/// Every clause on every backend.
macro_rules! contract {
    ($($clause:ident)*) => {
        contract! { @ memory $($clause)* }
        contract! { @ observed $($clause)* }
        contract! { @ sqlite $($clause)* }
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
        secrets: vec![secret(1, None), secret(2, Some(UnixTime::from_seconds(u64::from(u32::MAX) + 1)))],
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

fn is_conflict<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}

async fn end_of_feed(store: &dyn Store) -> Cursor {
    store.changes_since(None).await.unwrap().cursor
}

async fn a_client_is_found_as_it_was_written(f: &Fixture) {
    let written = client("c_a");
    let revision = f.store.put_client(written.clone()).await.unwrap();
    assert!(revision > 0);
    assert_eq!(f.store.find_client("c_a").await.unwrap(), Some(Client { revision, ..written }));
    assert_eq!(f.store.find_client("c_b").await.unwrap(), None);
}

async fn a_write_names_the_revision_it_was_made_from(f: &Fixture) {
    let first = f.store.put_client(client("c_a")).await.unwrap();
    let changed = Client { revision: first, enabled: true, ..client("c_a") };
    let second = f.store.put_client(changed.clone()).await.unwrap();
    assert!(second > first);
    assert!(is_conflict(f.store.put_client(Client { revision: first, ..client("c_a") }).await), "an old revision");
    assert!(is_conflict(f.store.put_client(Client { revision: second + 1, ..client("c_a") }).await), "a future one");
    assert_eq!(f.store.find_client("c_a").await.unwrap(), Some(Client { revision: second, ..changed }));
}

async fn revision_zero_means_must_not_exist_yet(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    assert!(is_conflict(f.store.put_client(client("c_a")).await));
    assert!(is_conflict(f.store.put_client(Client { revision: 1, ..client("c_b") }).await), "nothing to be made from");
    assert_eq!(f.store.find_client("c_b").await.unwrap(), None);
}

async fn a_conflict_changes_nothing(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
    let (before, end) = (f.store.find_client("c_a").await.unwrap(), end_of_feed(&*f.store).await);
    let wrong = Client { name: "wrong".into(), revision: 9, ..client("c_a") };
    assert!(is_conflict(f.store.put_client(wrong).await));
    assert!(is_conflict(f.store.remove_client(&id("c_a"), 9).await));
    assert!(is_conflict(f.store.put_keys(key_records(9, &[2])).await));
    assert_eq!(f.store.find_client("c_a").await.unwrap(), before);
    assert_eq!(f.store.find_keys().await.unwrap().unwrap().keys, [key(1)]);
    let changes = f.store.changes_since(Some(end)).await.unwrap();
    assert!(changes.entries.is_empty() && !changes.gap && changes.cursor == end);
}

async fn a_removal_is_compared_too(f: &Fixture) {
    let revision = f.store.put_client(client("c_a")).await.unwrap();
    assert!(is_conflict(f.store.remove_client(&id("c_a"), revision + 1).await));
    assert!(is_conflict(f.store.remove_client(&id("c_a"), 0).await));
    assert!(is_conflict(f.store.remove_client(&id("c_b"), 0).await), "an absent client");
    assert!(f.store.find_client("c_a").await.unwrap().is_some());
    f.store.remove_client(&id("c_a"), revision).await.unwrap();
    assert!(f.store.find_client("c_a").await.unwrap().is_none());
    assert!(is_conflict(f.store.remove_client(&id("c_a"), revision).await), "twice");
    assert!(is_conflict(f.store.put_client(Client { revision, ..client("c_a") }).await), "made from what is gone");
    assert!(f.store.put_client(client("c_a")).await.is_ok(), "the id is free again");
}

async fn the_same_write_twice_is_done_once(f: &Fixture) {
    let end = end_of_feed(&*f.store).await;
    let revision = f.store.put_client(client("c_a")).await.unwrap();
    assert!(is_conflict(f.store.put_client(client("c_a")).await));
    let again = Client { revision, ..client("c_a") };
    f.store.put_client(again.clone()).await.unwrap();
    assert!(is_conflict(f.store.put_client(again).await));
    assert_eq!(f.store.changes_since(Some(end)).await.unwrap().entries.len(), 2);
}

async fn the_keys_are_compared_and_set(f: &Fixture) {
    assert_eq!(f.store.find_keys().await.unwrap(), None, "never initialised");
    assert!(is_conflict(f.store.put_keys(key_records(1, &[1])).await), "nothing to be made from");
    let first = f.store.put_keys(key_records(0, &[1])).await.unwrap();
    assert!(is_conflict(f.store.put_keys(key_records(0, &[2])).await), "initialised once");
    let second = f.store.put_keys(key_records(first, &[1, 2])).await.unwrap();
    assert!(is_conflict(f.store.put_keys(key_records(first, &[3])).await));
    assert_eq!(f.store.find_keys().await.unwrap(), Some(key_records(second, &[1, 2])));
}

async fn every_write_is_in_the_feed_in_order(f: &Fixture) {
    let begin = end_of_feed(&*f.store).await;
    let a = f.store.put_client(client("c_a")).await.unwrap();
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
    f.store.put_client(client("c_b")).await.unwrap();
    f.store.put_client(Client { revision: a, ..client("c_a") }).await.unwrap();
    let found = f.store.find_client("c_b").await.unwrap().unwrap();
    f.store.remove_client(&found.id, found.revision).await.unwrap();
    let changes = f.store.changes_since(Some(begin)).await.unwrap();
    let [a, b] = ["c_a", "c_b"].map(|name| Change::Client(id(name)));
    assert_eq!(changes.entries, [a.clone(), Change::Keys, b.clone(), a, b]);
    assert!(!changes.gap && changes.cursor > begin);
    let rest = f.store.changes_since(Some(changes.cursor)).await.unwrap();
    assert_eq!((rest.entries.len(), rest.cursor, rest.gap), (0, changes.cursor, false));
}

async fn the_feed_begins_at_its_end_and_misses_nothing(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    let begin = f.store.changes_since(None).await.unwrap();
    assert!(begin.entries.is_empty() && !begin.gap);
    let mut cursor = begin.cursor;
    for n in 0..20 {
        f.store.put_client(client(&format!("c_{n}"))).await.unwrap();
        let changes = f.store.changes_since(Some(cursor)).await.unwrap();
        assert_eq!(changes.entries, [Change::Client(id(&format!("c_{n}")))]);
        cursor = changes.cursor;
    }
}

async fn the_feed_is_complete_or_says_so(f: &Fixture) {
    let begin = end_of_feed(&*f.store).await;
    let writes = 10_200;
    let mut names: Vec<String> = (0..writes).map(|n| format!("c_{n}")).collect();
    for some in names.chunks(400) {
        let pending: Vec<_> = some.iter().map(|name| f.store.put_client(client(name))).collect();
        for write in pending {
            write.await.unwrap();
        }
    }
    let changes = f.store.changes_since(Some(begin)).await.unwrap();
    if changes.gap {
        assert!(changes.entries.is_empty(), "a gap names nothing");
    } else {
        let mut found: Vec<String> = changes
            .entries
            .into_iter()
            .map(|entry| match entry {
                Change::Client(id) => id.to_string(),
                Change::Keys => panic!("no keys were written"),
            })
            .collect();
        found.sort();
        names.sort();
        assert_eq!(found, names);
    }
    assert_eq!(changes.cursor, end_of_feed(&*f.store).await, "one goes on from the end");
}

async fn a_cursor_from_the_future_is_a_gap(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    let end = end_of_feed(&*f.store).await;
    let changes = f.store.changes_since(Some(Cursor(end.0 + 5))).await.unwrap();
    assert_eq!((changes.cursor, changes.entries.len(), changes.gap), (end, 0, true), "an older store took its place");
}

async fn reads_of_any_handle_see_what_was_acknowledged(f: &Fixture) {
    let other = f.again();
    let mut cursor = end_of_feed(&*other).await;
    let mut held = client("c_a");
    for round in 0..30_u64 {
        held.lifetime_seconds = Some(u32::try_from(round).unwrap());
        let (writer, reader) = if round % 2 == 0 { (&f.store, &other) } else { (&other, &f.store) };
        held.revision = writer.put_client(held.clone()).await.unwrap();
        assert_eq!(reader.find_client("c_a").await.unwrap().as_ref(), Some(&held));
        let changes = reader.changes_since(Some(cursor)).await.unwrap();
        assert_eq!(changes.entries, [Change::Client(held.id.clone())]);
        cursor = changes.cursor;
    }
}

async fn ids_are_compared_byte_for_byte(f: &Fixture) {
    f.store.put_client(client("c_Abc")).await.unwrap();
    for other in ["c_abc", "C_Abc", "c_Abc ", " c_Abc", "c_Ab", "c_Abcd", "c_Abc\0", "", "%", "c_Ab_", "c_Äbc"] {
        assert_eq!(f.store.find_client(other).await.unwrap(), None, "{other:?}");
    }
    f.store.put_client(client("c_abc")).await.unwrap();
    let found = f.store.find_client("c_abc").await.unwrap().unwrap();
    f.store.remove_client(&found.id, found.revision).await.unwrap();
    assert!(f.store.find_client("c_Abc").await.unwrap().is_some());
}

async fn a_list_has_every_client_once_in_byte_order(f: &Fixture) {
    let mut names: Vec<String> = ["c_b", "c_B", "c_-", "c_~", "c_10", "c_9", "c_", "a", "Z"].map(str::to_owned).into();
    for name in &names {
        f.store.put_client(client(name)).await.unwrap();
    }
    names.sort_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
    for limit in [1, 2, 4, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = f.store.list_clients(after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            found.extend(page.into_iter().map(|client| client.id.to_string()));
        }
        assert_eq!(found, names, "in pages of {limit}");
    }
    assert!(f.store.list_clients(None, 0).await.unwrap().is_empty());
    assert_eq!(f.store.list_clients(Some(&id("c_9")), 1).await.unwrap()[0].id, id("c_B"), "after one that is there");
    assert_eq!(f.store.list_clients(Some(&id("c_A")), 1).await.unwrap()[0].id, id("c_B"), "after one that is not");
}

async fn of_many_creators_one_wins(f: &Fixture) {
    let other = f.again();
    let end = end_of_feed(&*f.store).await;
    let pending: Vec<_> = (0..40_u32)
        .map(|n| {
            let store = if n % 2 == 0 { &f.store } else { &other };
            let made = Client { lifetime_seconds: Some(n), ..client("c_a") };
            (n, store.put_client(made), store.put_keys(key_records(0, &[n as u8 + 1])))
        })
        .collect();
    let (mut clients, mut keys) = (Vec::new(), Vec::new());
    for (n, client, records) in pending {
        match client.await {
            Ok(_) => clients.push(n),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
        }
        match records.await {
            Ok(_) => keys.push(n as u8 + 1),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
        }
    }
    assert_eq!((clients.len(), keys.len()), (1, 1));
    assert_eq!(f.store.find_client("c_a").await.unwrap().unwrap().lifetime_seconds, Some(clients[0]));
    assert_eq!(f.store.find_keys().await.unwrap().unwrap().keys, [key(keys[0])]);
    assert_eq!(f.store.changes_since(Some(end)).await.unwrap().entries.len(), 2);
}

async fn concurrent_writers_lose_no_update(f: &Fixture) {
    let (writers, rounds) = (8, 10);
    f.store.put_client(Client { lifetime_seconds: Some(0), ..client("c_a") }).await.unwrap();
    let other = f.again();
    let tasks: Vec<_> = (0..writers)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &f.store } else { &other });
            tokio::spawn(async move {
                let mut done = 0;
                while done < rounds {
                    let mut held = store.find_client("c_a").await.unwrap().unwrap();
                    held.lifetime_seconds = held.lifetime_seconds.map(|count| count + 1);
                    match store.put_client(held).await {
                        Ok(_) => done += 1,
                        Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(f.store.find_client("c_a").await.unwrap().unwrap().lifetime_seconds, Some(writers * rounds));
}

async fn a_write_whose_asker_left_is_whole_or_not_there(f: &Fixture) {
    let begin = end_of_feed(&*f.store).await;
    for n in 0..50 {
        drop(f.store.put_client(client(&format!("c_{n}"))));
    }
    // Writes are done in order, so this one comes after all of them.
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
    let named = f.store.changes_since(Some(begin)).await.unwrap().entries.len() - 1;
    assert_eq!(f.store.list_clients(None, 100).await.unwrap().len(), named, "each has its entry in the feed");
}

async fn a_revocation_is_noted_once(fixture: &Fixture) {
    let store = &fixture.store;
    for end in [100, 100, 200] {
        store.put_revocation(revocation(1, end)).await.unwrap();
    }
    let all = store.revocations_since(Cursor::default(), 10).await.unwrap();
    assert_eq!(all.entries, [revocation(1, 100)]);
    let none = store.revocations_since(all.cursor, 10).await.unwrap();
    assert_eq!((none.entries.len(), none.cursor), (0, all.cursor));
}

async fn revocations_are_read_in_order_by_any_handle(fixture: &Fixture) {
    let (store, other) = (&fixture.store, fixture.again());
    let (mut cursor, mut read) = (Cursor::default(), Vec::new());
    for number in [5, 3, 9, 1] {
        store.put_revocation(revocation(number, 100)).await.unwrap();
    }
    loop {
        let page = other.revocations_since(cursor, 3).await.unwrap();
        cursor = page.cursor;
        read.extend(page.entries.iter().map(|entry| entry.token.0[0]));
        if page.entries.len() < 3 {
            break;
        }
    }
    assert_eq!(read, [5, 3, 9, 1]);
    store.put_revocation(revocation(2, 100)).await.unwrap();
    assert_eq!(other.revocations_since(cursor, 3).await.unwrap().entries, [revocation(2, 100)]);
}

async fn expired_revocations_go_a_few_at_a_time(fixture: &Fixture) {
    let store = &fixture.store;
    for number in 1..=5 {
        store.put_revocation(revocation(number, 100 + u64::from(number))).await.unwrap();
    }
    let before = store.revocations_since(Cursor::default(), 2).await.unwrap().cursor;
    let limit = UnixTime::from_seconds(104);
    assert_eq!(store.purge_revocations(limit, 2).await.unwrap(), 2);
    assert_eq!(store.purge_revocations(limit, 2).await.unwrap(), 1);
    assert_eq!(store.purge_revocations(limit, 2).await.unwrap(), 0, "those that end at 104 and later stay");
    let left = [revocation(4, 104), revocation(5, 105)];
    assert_eq!(store.revocations_since(Cursor::default(), 10).await.unwrap().entries, left);
    assert_eq!(store.revocations_since(before, 10).await.unwrap().entries, left, "a purge leaves no gap");
    store.put_revocation(revocation(6, 200)).await.unwrap();
    assert_eq!(store.revocations_since(before, 10).await.unwrap().entries.len(), 3, "positions are not used again");
}

async fn a_report_counts_what_is_there(f: &Fixture) {
    for name in ["c_a", "c_b", "c_c"] {
        f.store.put_client(client(name)).await.unwrap();
    }
    f.store.put_keys(key_records(0, &[1, 2])).await.unwrap();
    let report = f.store.check().await.unwrap();
    assert_eq!((report.backend, report.clients, report.keys), (f.store.backend(), 3, 2));
    assert!(report.problems.is_empty() && !report.version.is_empty() && report.schema > 0, "{report:?}");
}

async fn what_was_acknowledged_survives_reopening(f: &Fixture) {
    let revision = f.store.put_client(client("c_a")).await.unwrap();
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
    let end = end_of_feed(&*f.store).await;
    let other = f.again();
    assert_eq!(other.find_client("c_a").await.unwrap(), Some(Client { revision, ..client("c_a") }));
    assert_eq!(other.find_keys().await.unwrap().unwrap().keys, [key(1)]);
    assert_eq!(end_of_feed(&*other).await, end, "a cursor is good for any handle");
}

async fn a_backup_is_the_store_as_of_then(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    let copy = f.folder.path().join("copy.db");
    if f.url == StoreUrl::Memory {
        assert!(matches!(f.store.backup(&copy).await, Err(StoreError::Unusable(_))), "said, not pretended");
        assert!(!copy.exists());
        return;
    }
    f.store.backup(&copy).await.unwrap();
    f.store.put_client(client("c_b")).await.unwrap();
    assert!(f.store.backup(&copy).await.is_err(), "a file that is there is never overwritten");
    let restored = StoreUrl::Sqlite(copy).open(OpenMode::MustExist).unwrap();
    assert!(restored.find_client("c_a").await.unwrap().is_some());
    assert!(restored.find_client("c_b").await.unwrap().is_none());
    assert!(restored.check().await.unwrap().problems.is_empty());
}
