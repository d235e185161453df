//! What a write promises: compare and set, all or nothing, and of many one wins.

use super::*;

pub async fn a_client_is_found_as_it_was_written(f: &Fixture) {
    let written = client("c_a");
    let revision = f.store.put_client(written.clone()).await.unwrap();
    assert!(revision > 0);
    assert_eq!(f.store.find_client("c_a").await.unwrap(), Some(Client { revision, ..written }));
    assert_eq!(f.store.find_client("c_b").await.unwrap(), None);
}

pub async fn a_write_names_the_revision_it_was_made_from(f: &Fixture) {
    let first = f.store.put_client(client("c_a")).await.unwrap();
    let changed = Client { revision: first, enabled: true, ..client("c_a") };
    let second = f.store.put_client(changed.clone()).await.unwrap();
    assert!(second > first);
    assert!(is_conflict(&f.store.put_client(Client { revision: first, ..client("c_a") }).await), "an old revision");
    assert!(is_conflict(&f.store.put_client(Client { revision: second + 1, ..client("c_a") }).await), "a future one");
    assert_eq!(f.store.find_client("c_a").await.unwrap(), Some(Client { revision: second, ..changed }));
}

pub async fn revision_zero_means_must_not_exist_yet(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    assert!(is_conflict(&f.store.put_client(client("c_a")).await));
    assert!(is_conflict(&f.store.put_client(Client { revision: 1, ..client("c_b") }).await), "nothing to be made from");
    assert_eq!(f.store.find_client("c_b").await.unwrap(), None);
}

pub async fn a_conflict_changes_nothing(f: &Fixture) {
    f.store.put_client(client("c_a")).await.unwrap();
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
    let (before, end) = (f.store.find_client("c_a").await.unwrap(), end_of_feed(&*f.store).await);
    let wrong = Client { name: "wrong".into(), revision: 9, ..client("c_a") };
    assert!(is_conflict(&f.store.put_client(wrong).await));
    assert!(is_conflict(&f.store.remove_client(&id("c_a"), 9).await));
    assert!(is_conflict(&f.store.put_keys(key_records(9, &[2])).await));
    assert_eq!(f.store.find_client("c_a").await.unwrap(), before);
    assert_eq!(f.store.find_keys().await.unwrap().unwrap().keys, [key(1)]);
    let changes = f.store.changes_since(Some(end)).await.unwrap();
    assert!(changes.entries.is_empty() && !changes.gap && changes.cursor == end);
}

pub async fn a_removal_is_compared_too(f: &Fixture) {
    let revision = f.store.put_client(client("c_a")).await.unwrap();
    assert!(is_conflict(&f.store.remove_client(&id("c_a"), revision + 1).await));
    assert!(is_conflict(&f.store.remove_client(&id("c_a"), 0).await));
    assert!(is_conflict(&f.store.remove_client(&id("c_b"), 0).await), "an absent client");
    assert!(f.store.find_client("c_a").await.unwrap().is_some());
    f.store.remove_client(&id("c_a"), revision).await.unwrap();
    assert!(f.store.find_client("c_a").await.unwrap().is_none());
    assert!(is_conflict(&f.store.remove_client(&id("c_a"), revision).await), "twice");
    assert!(is_conflict(&f.store.put_client(Client { revision, ..client("c_a") }).await), "made from what is gone");
    assert!(f.store.put_client(client("c_a")).await.is_ok(), "the id is free again");
}

pub async fn the_same_write_twice_is_done_once(f: &Fixture) {
    let end = end_of_feed(&*f.store).await;
    let revision = f.store.put_client(client("c_a")).await.unwrap();
    assert!(is_conflict(&f.store.put_client(client("c_a")).await));
    let again = Client { revision, ..client("c_a") };
    f.store.put_client(again.clone()).await.unwrap();
    assert!(is_conflict(&f.store.put_client(again).await));
    assert_eq!(f.store.changes_since(Some(end)).await.unwrap().entries.len(), 2);
}

pub async fn the_keys_are_compared_and_set(f: &Fixture) {
    assert_eq!(f.store.find_keys().await.unwrap(), None, "never initialised");
    assert!(is_conflict(&f.store.put_keys(key_records(1, &[1])).await), "nothing to be made from");
    let first = f.store.put_keys(key_records(0, &[1])).await.unwrap();
    assert!(is_conflict(&f.store.put_keys(key_records(0, &[2])).await), "initialised once");
    let second = f.store.put_keys(key_records(first, &[1, 2])).await.unwrap();
    assert!(is_conflict(&f.store.put_keys(key_records(first, &[3])).await));
    assert_eq!(f.store.find_keys().await.unwrap(), Some(key_records(second, &[1, 2])));
}

pub async fn of_many_creators_one_wins(f: &Fixture) {
    let other = f.again();
    let end = end_of_feed(&*f.store).await;
    let pending: Vec<_> = (1..=40_u8)
        .map(|n| {
            let store = if n % 2 == 0 { &f.store } else { &other };
            let made = Client { lifetime_seconds: Some(n.into()), ..client("c_a") };
            (n, store.put_client(made), store.put_keys(key_records(0, &[n])))
        })
        .collect();
    let (mut clients, mut keys) = (Vec::new(), Vec::new());
    for (n, client, records) in pending {
        match client.await {
            Ok(_) => clients.push(n),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
        }
        match records.await {
            Ok(_) => keys.push(n),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
        }
    }
    assert_eq!((clients.len(), keys.len()), (1, 1));
    assert_eq!(f.store.find_client("c_a").await.unwrap().unwrap().lifetime_seconds, Some(clients[0].into()));
    assert_eq!(f.store.find_keys().await.unwrap().unwrap().keys, [key(keys[0])]);
    assert_eq!(f.store.changes_since(Some(end)).await.unwrap().entries.len(), 2);
}

pub async fn concurrent_writers_lose_no_update(f: &Fixture) {
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

pub async fn a_write_whose_asker_left_is_whole_or_not_there(f: &Fixture) {
    let begin = end_of_feed(&*f.store).await;
    for n in 0..50 {
        drop(f.store.put_client(client(&format!("c_{n}"))));
    }
    // Writes are done in order, so this one comes after all of them.
    f.store.put_keys(key_records(0, &[1])).await.unwrap();
    let named = f.store.changes_since(Some(begin)).await.unwrap().entries.len() - 1;
    assert_eq!(f.store.list_clients(None, 100).await.unwrap().len(), named, "each has its entry in the feed");
}
