//! What the change feed promises: everything in order, or that it cannot.

use super::*;

pub async fn every_write_is_in_the_feed_in_order(f: &Fixture) {
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

pub async fn the_feed_begins_at_its_end_and_misses_nothing(f: &Fixture) {
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

pub async fn the_feed_is_complete_or_says_so(f: &Fixture) {
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

pub async fn a_cursor_from_the_future_is_a_gap(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    let end = end_of_feed(&*f.store).await;
    let changes = f.store.changes_since(Some(Cursor(end.0 + 5))).await.unwrap();
    assert_eq!((changes.cursor, changes.entries.len(), changes.gap), (end, 0, true), "an older store took its place");
}
