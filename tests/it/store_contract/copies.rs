//! What is promised of what comes from another store, and of notes.

use super::*;

pub async fn a_copy_keeps_its_revision(f: &Fixture) {
    let begin = end_of_feed(&*f.store).await;
    let far = Client { revision: u64::from(u32::MAX) + 5, ..client("c_a") };
    f.store.copy_client(far.clone(), 0).await.unwrap();
    let other = f.again();
    assert_eq!(other.find_client("c_a").await.unwrap().as_ref(), Some(&far));
    assert_eq!(other.list_clients(None, 10).await.unwrap(), std::slice::from_ref(&far));
    let changes = other.changes_since(Some(begin)).await.unwrap();
    assert_eq!(changes.entries, [Change::Client(far.id.clone())], "it stands in the feed like any write");
    assert_eq!(other.put_client(far.clone()).await.unwrap(), far.revision + 1, "and is changed like any other");
}

pub async fn a_copy_names_the_revision_that_it_replaces(f: &Fixture) {
    let copy = |revision, lifetime| Client { revision, lifetime_seconds: Some(lifetime), ..client("c_a") };
    assert!(is_conflict(&f.store.copy_client(copy(7, 1), 3).await), "there is none to be replaced");
    f.store.copy_client(copy(7, 1), 0).await.unwrap();
    assert!(is_conflict(&f.store.copy_client(copy(9, 2), 0).await), "there is one already");
    assert!(is_conflict(&f.store.copy_client(copy(9, 2), 6).await), "another one");
    assert_eq!(f.store.find_client("c_a").await.unwrap(), Some(copy(7, 1)));
    for (made, over) in [(copy(12, 3), 7), (copy(12, 4), 12), (copy(2, 5), 12)] {
        f.store.copy_client(made.clone(), over).await.unwrap();
        assert_eq!(f.store.find_client("c_a").await.unwrap(), Some(made), "later, at the same revision, or earlier");
    }
    let use_of = |byte| SecretUse { client: id("c_a"), secret: SecretId::from_random([byte; 6]), day: UnixDay(20) };
    f.store.put_secret_uses(vec![use_of(1), use_of(2)]).await.unwrap();
    let mut fewer = copy(3, 6);
    fewer.secrets.remove(0);
    f.store.copy_client(fewer, 2).await.unwrap();
    assert_eq!(f.store.list_secret_uses(&id("c_a")).await.unwrap().last, [use_of(2)], "uses go with their secret");
}

pub async fn the_uses_of_secrets_are_known_from_the_earliest_day_on(f: &Fixture) {
    let since = async || f.again().list_secret_uses(&id("c_a")).await.unwrap().since;
    f.store.put_client(client("c_a")).await.unwrap();
    let first = since().await;
    f.store.put_secret_uses_since(UnixDay(first.0 + 1)).await.unwrap();
    assert_eq!(since().await, first, "what is known is not forgotten");
    let earlier = UnixDay(first.0.saturating_sub(40));
    f.store.put_secret_uses_since(earlier).await.unwrap();
    assert_eq!(since().await, earlier);
}

pub async fn a_note_is_compared_and_set(f: &Fixture) {
    let (store, other, end) = (&f.store, f.again(), end_of_feed(&*f.store).await);
    let said = async |name| other.find_note(name).await.unwrap();
    assert_eq!(said("copy").await, None);
    assert!(is_conflict(&store.put_note("copy", Some("a"), Some("b")).await), "it says nothing yet");
    store.put_note("copy", None, None).await.unwrap();
    let text = "{\"quoted\": \"\u{1f511}\n\"}";
    store.put_note("copy", None, Some(text)).await.unwrap();
    assert_eq!(said("copy").await.as_deref(), Some(text));
    assert_eq!(said("id").await, None, "each name has its own");
    for held in [None, Some("b"), Some("")] {
        assert!(is_conflict(&store.put_note("copy", held, Some("c")).await));
        assert!(is_conflict(&store.put_note("copy", held, None).await));
    }
    store.put_note("copy", Some(text), Some("")).await.unwrap();
    assert_eq!(said("copy").await.as_deref(), Some(""), "an empty text is one");
    store.put_note("copy", Some(""), None).await.unwrap();
    assert_eq!(said("copy").await, None);
    assert_eq!(end_of_feed(&*other).await, end, "a note is no change");
}
