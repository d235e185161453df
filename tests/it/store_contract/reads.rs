//! What a read promises: every acknowledged write, byte for byte, in any handle, and after reopening.

use super::*;

pub async fn reads_of_any_handle_see_what_was_acknowledged(f: &Fixture) {
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

pub async fn ids_are_compared_byte_for_byte(f: &Fixture) {
    f.store.put_client(client("c_Abc")).await.unwrap();
    for other in ["c_abc", "C_Abc", "c_Abc ", " c_Abc", "c_Ab", "c_Abcd", "c_Abc\0", "", "%", "c_Ab_", "c_Äbc"] {
        assert_eq!(f.store.find_client(other).await.unwrap(), None, "{other:?}");
    }
    f.store.put_client(client("c_abc")).await.unwrap();
    let found = f.store.find_client("c_abc").await.unwrap().unwrap();
    f.store.remove_client(&found.id, found.revision).await.unwrap();
    assert!(f.store.find_client("c_Abc").await.unwrap().is_some());
}

pub async fn a_list_has_every_client_once_in_byte_order(f: &Fixture) {
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

pub async fn a_report_counts_what_is_there(f: &Fixture) {
    for name in ["c_a", "c_b", "c_c"] {
        f.store.put_client(client(name)).await.unwrap();
    }
    f.store.put_keys(key_records(0, &[1, 2])).await.unwrap();
    for number in 1..=4 {
        f.store.put_revocation(revocation(number, 100)).await.unwrap();
    }
    for number in 1..=5 {
        f.store.put_token(token(number, 100)).await.unwrap();
    }
    for number in 1..=6 {
        f.store.put_assertion(used(number, 100)).await.unwrap();
    }
    let report = f.store.check().await.unwrap();
    assert_eq!((report.backend, report.clients, report.keys), (f.store.backend(), 3, 2));
    assert_eq!((report.revocations, report.tokens, report.assertions), (4, 5, 6));
    assert!(report.problems.is_empty() && !report.version.is_empty() && report.schema > 0, "{report:?}");
}

pub async fn what_was_acknowledged_survives_reopening(f: &Fixture) {
    let revision = f.store.put_client(client("c_a")).await.unwrap();
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
    let end = end_of_feed(&*f.store).await;
    let other = f.again();
    assert_eq!(other.find_client("c_a").await.unwrap(), Some(Client { revision, ..client("c_a") }));
    assert_eq!(other.find_keys().await.unwrap().unwrap().keys, [key(1)]);
    assert_eq!(end_of_feed(&*other).await, end, "a cursor is good for any handle");
}

pub async fn a_backup_is_the_store_as_of_then(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
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
    assert_eq!(restored.find_keys().await.unwrap().unwrap().keys, [key(1)]);
    assert!(restored.find_note(BACKUP_NOTE).await.unwrap().is_some(), "it says of itself what it is");
    assert!(restored.check().await.unwrap().problems.is_empty());
    drop(restored);
    assert_eq!(std::fs::read_dir(f.folder.path()).unwrap().count(), if f.url.backend() == "sqlite" { 4 } else { 1 });
}
