//! What is promised of revocations.

use super::*;

pub async fn a_revocation_is_noted_once(fixture: &Fixture) {
    let store = &fixture.store;
    for end in [100, 100, 200] {
        store.put_revocation(revocation(1, end)).await.unwrap();
    }
    let all = store.revocations_since(Cursor::default(), 10).await.unwrap();
    assert_eq!(all.entries, [revocation(1, 100)]);
    let none = store.revocations_since(all.cursor, 10).await.unwrap();
    assert_eq!((none.entries.len(), none.cursor), (0, all.cursor));
}

pub async fn revocations_are_read_in_order_by_any_handle(fixture: &Fixture) {
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

pub async fn expired_revocations_go_a_few_at_a_time(fixture: &Fixture) {
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
