//! What is promised of the uses of secrets.

use super::*;

fn used(client: &str, byte: u8, day: u32) -> SecretUse {
    SecretUse { client: id(client), secret: SecretId::from_random([byte; 6]), day: UnixDay(day) }
}

/// The last uses that are known of a client, in the order of their secrets.
async fn uses(store: &dyn Store, client: &str) -> Vec<SecretUse> {
    let mut known = store.list_secret_uses(&id(client)).await.unwrap().last;
    known.sort_by(|left, right| left.secret.cmp(&right.secret));
    known
}

pub async fn the_latest_use_of_a_secret_stays(f: &Fixture) {
    let store = &f.store;
    for name in ["c_a", "c_b"] {
        store.put_client(client(name)).await.unwrap();
    }
    assert!(uses(&**store, "c_a").await.is_empty());
    store.put_secret_uses(vec![used("c_a", 1, 20), used("c_a", 2, 7), used("c_b", 1, 5)]).await.unwrap();
    store.put_secret_uses(vec![used("c_a", 1, 19), used("c_a", 2, 8), used("c_a", 1, 20)]).await.unwrap();
    store.put_secret_uses(Vec::new()).await.unwrap();
    let other = f.again();
    assert_eq!(uses(&*other, "c_a").await, [used("c_a", 1, 20), used("c_a", 2, 8)]);
    assert_eq!(uses(&*other, "c_b").await, [used("c_b", 1, 5)]);
    assert!(uses(&*other, "c_none").await.is_empty());
}

pub async fn a_use_is_no_change_of_the_client(f: &Fixture) {
    let store = &f.store;
    store.put_client(client("c_a")).await.unwrap();
    let (before, end) = (store.find_client("c_a").await.unwrap(), end_of_feed(&**store).await);
    store.put_secret_uses(vec![used("c_a", 1, 20)]).await.unwrap();
    assert_eq!(store.find_client("c_a").await.unwrap(), before);
    let changes = store.changes_since(Some(end)).await.unwrap();
    assert!(changes.entries.is_empty() && changes.cursor == end);
    assert!(store.put_client(before.unwrap()).await.is_ok(), "a write that was made from before it is no conflict");
}

pub async fn uses_go_with_their_secret(f: &Fixture) {
    let store = &f.store;
    let mut held = client("c_a");
    held.revision = store.put_client(held.clone()).await.unwrap();
    store.put_secret_uses(vec![used("c_a", 1, 20), used("c_a", 2, 20)]).await.unwrap();
    held.secrets.remove(0);
    held.revision = store.put_client(held.clone()).await.unwrap();
    assert_eq!(uses(&**store, "c_a").await, [used("c_a", 2, 20)], "the other secret's stay");
    store.put_secret_uses(vec![used("c_a", 1, 21), used("c_a", 9, 21), used("c_none", 1, 21)]).await.unwrap();
    assert_eq!(uses(&**store, "c_a").await, [used("c_a", 2, 20)], "of what is not there nothing is noted");
    assert!(uses(&**store, "c_none").await.is_empty());
    store.remove_client(&id("c_a"), held.revision).await.unwrap();
    store.put_secret_uses(vec![used("c_a", 2, 22)]).await.unwrap();
    assert!(uses(&**store, "c_a").await.is_empty());
    store.put_client(client("c_a")).await.unwrap();
    assert!(uses(&**store, "c_a").await.is_empty(), "nor do they come back with the id");
}
