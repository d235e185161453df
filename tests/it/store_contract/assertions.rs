//! What is promised of used assertions: each is used once.

use super::*;

/// The assertion that `c_a` calls by this number.
pub fn used(number: u8, end: u64) -> UsedAssertion {
    UsedAssertion::new(&id("c_a"), &number.to_string(), UnixTime::from_seconds(end))
}

pub async fn t129_an_assertion_is_used_once_by_whatever_handle(f: &Fixture) {
    let (other, end) = (f.again(), end_of_feed(&*f.store).await);
    f.store.put_assertion(used(1, u64::from(u32::MAX) + 1)).await.unwrap();
    for store in [&f.store, &other] {
        assert!(is_conflict(&store.put_assertion(used(1, u64::from(u32::MAX) + 1)).await), "T-131 on another node");
        assert!(is_conflict(&store.put_assertion(used(1, 200)).await), "with another end");
    }
    let of_another = UsedAssertion::new(&id("c_b"), "1", UnixTime::from_seconds(200));
    other.put_assertion(of_another).await.unwrap();
    assert!(is_conflict(&f.store.put_assertion(of_another).await));
    other.put_assertion(used(2, 200)).await.unwrap();
    assert_eq!(end_of_feed(&*other).await, end, "a use is no change");
}

pub async fn t130_of_many_who_use_an_assertion_at_a_time_one_does(f: &Fixture) {
    let other = f.again();
    let both = [&f.store, &other];
    let pending: Vec<_> = (0..200).map(|n| both[n % 2].put_assertion(used(1, 200 + n as u64 % 3))).collect();
    let mut done = 0;
    for use_of in pending {
        match use_of.await {
            Ok(()) => done += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
        }
    }
    assert_eq!(done, 1);
    assert_eq!(f.store.list_assertions(None, 10).await.unwrap().len(), 1);
}

pub async fn used_assertions_go_a_few_at_a_time(f: &Fixture) {
    let store = &f.store;
    for number in 1..=5 {
        store.put_assertion(used(number, 100 + u64::from(number))).await.unwrap();
    }
    let limit = UnixTime::from_seconds(104);
    assert_eq!(store.purge_assertions(limit, 2).await.unwrap(), 2);
    assert_eq!(store.purge_assertions(limit, 2).await.unwrap(), 1);
    assert_eq!(store.purge_assertions(limit, 2).await.unwrap(), 0);
    let left = f.again().list_assertions(None, 10).await.unwrap();
    assert_eq!(left, [used(4, 104), used(5, 105)]);
    store.put_assertion(used(1, 300)).await.unwrap();
}

pub async fn a_list_has_every_used_assertion_once_in_the_order_of_their_ends(f: &Fixture) {
    let far = u64::from(u32::MAX) + 7;
    // Several end in the same second: there their digests decide.
    let mut all: Vec<UsedAssertion> =
        (1..=9).map(|number| used(number, [far, 100, 300, 100][usize::from(number) % 4])).collect();
    for used in &all {
        f.store.put_assertion(*used).await.unwrap();
    }
    all.sort();
    let other = f.again();
    for limit in [1, 2, 4, 100] {
        let (mut found, mut after): (Vec<UsedAssertion>, Option<UsedAssertion>) = (Vec::new(), None);
        loop {
            let page = other.list_assertions(after, limit).await.unwrap();
            after = page.last().copied();
            let is_last = page.len() < limit;
            found.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
    assert!(f.store.list_assertions(None, 0).await.unwrap().is_empty());
    let from_101 = UsedAssertion { expires_at: UnixTime::from_seconds(101), digest: [0; 32] };
    let later: Vec<_> = all.iter().filter(|used| **used > from_101).copied().collect();
    assert_eq!(f.store.list_assertions(Some(from_101), 10).await.unwrap(), later, "after a place where there is none");
    f.store.purge_assertions(UnixTime::from_seconds(101), 10).await.unwrap();
    assert_eq!(f.store.list_assertions(Some(all[0]), 10).await.unwrap(), later, "after one that was purged");
}
