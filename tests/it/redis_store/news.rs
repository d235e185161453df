//! How a server learns of what others wrote.

use std::time::Duration;

use jeton::jwt::TokenId;
use jeton::oauth::Client;
use jeton::store::late::LateStore;
use jeton::store::{Change, Cursor, Revocation, Store, StoreError};

use super::{client, open};
use crate::support::cluster::Cluster;
use crate::support::faults::block_on;
use crate::support::redis::Redis;

/// Waits for a call, however busy the machine is.
async fn is_told(store: &dyn Store) -> bool {
    tokio::time::timeout(Duration::from_secs(20), store.changed()).await.is_ok()
}

/// Waits until calls are heard, and past the one that says so.
async fn listen(store: &dyn Store) {
    while !store.tells_changes() {
        assert!(is_told(store).await);
    }
    while tokio::time::timeout(Duration::from_millis(50), store.changed()).await.is_ok() {}
}

fn revocation(byte: u8) -> Revocation {
    Revocation { token: TokenId([byte; 16]), expires_at: client("c_a").created_at }
}

/// Each kind of write is told to whoever listens, also to the writer.
fn tells_of_every_write(url: &str, other_url: &str) {
    let (writer, listener) = (open(url), open(other_url));
    block_on(async {
        listen(&*listener).await;
        let revision = writer.put_client(client("c_a")).await.unwrap();
        assert!(is_told(&*listener).await);
        writer.put_revocation(revocation(1)).await.unwrap();
        assert!(is_told(&*listener).await);
        writer.remove_client(&client("c_a").id, revision).await.unwrap();
        assert!(is_told(&*listener).await);
    });
}

#[test]
fn a_write_is_told_to_the_other_servers() {
    let redis = Redis::start();
    tells_of_every_write(&redis.url(), &redis.url());
    let cluster = Cluster::shared();
    let [first, last] =
        [&cluster.nodes[0], &cluster.nodes[5]].map(|node| format!("redis+cluster://127.0.0.1:{}", node.port));
    tells_of_every_write(&first, &last);
}

/// A server that was started without its store gets calls as well, once it is open.
#[test]
fn a_store_that_is_opened_late_tells_of_writes_from_then_on() {
    let redis = Redis::start();
    let (writer, url) = (open(&redis.url()), redis.url());
    let late = LateStore::new("redis", move || Ok(open(&url)), StoreError::Deadline);
    block_on(async {
        assert!(!late.tells_changes() && late.find_client("c_a").await.is_err());
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, late.changed()).await.is_err(), "there is nobody to tell anything");
        while late.news_since(None, Cursor::default(), 100).await.is_err() {
            tokio::time::sleep(soon).await;
        }
        listen(&late).await;
        writer.put_client(client("c_a")).await.unwrap();
        assert!(is_told(&late).await);
    });
}

#[test]
fn d17_after_a_lost_call_one_looks_and_listens_again() {
    let redis = Redis::start();
    let (writer, listener) = (open(&redis.url()), open(&redis.url()));
    block_on(async {
        listen(&*listener).await;
        for round in 0..3 {
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            assert!(is_told(&*listener).await, "what was called meanwhile is not known");
            listen(&*listener).await;
            writer.put_client(client(&format!("c_{round}"))).await.unwrap();
            assert!(is_told(&*listener).await);
        }
    });
}

#[test]
fn news_is_one_command() {
    let redis = Redis::start();
    let store = open(&redis.url());
    block_on(async {
        let start = store.news_since(None, Cursor::default(), 100).await.unwrap();
        assert!(start.changes.entries.is_empty() && !start.changes.gap && start.revocations.entries.is_empty());
        store.put_client(client("c_a")).await.unwrap();
        store.put_revocation(revocation(1)).await.unwrap();
        store.put_revocation(revocation(2)).await.unwrap();
        store.put_revocation(revocation(1)).await.unwrap();
        redis.cli(&["CONFIG", "RESETSTAT"]);
        let mut news = store.news_since(Some(start.changes.cursor), start.revocations.cursor, 100).await.unwrap();
        assert_eq!(news.changes.entries, [Change::Client(client("c_a").id)]);
        assert_eq!(news.revocations.entries, [revocation(1), revocation(2)]);
        for _ in 0..9 {
            news = store.news_since(Some(news.changes.cursor), news.revocations.cursor, 100).await.unwrap();
            assert!(news.changes.entries.is_empty() && news.revocations.entries.is_empty() && !news.changes.gap);
        }
        let counts = redis.cli(&["INFO", "commandstats"]);
        let asked: Vec<&str> = counts.lines().filter(|line| line.starts_with("cmdstat_")).collect();
        let others = ["cmdstat_config", "cmdstat_info", "cmdstat_command"];
        let asked: Vec<&&str> =
            asked.iter().filter(|line| !others.iter().any(|other| line.starts_with(other))).collect();
        assert!(asked.len() == 1 && asked[0].starts_with("cmdstat_xrange:calls=10,"), "{asked:?}");
        let all = store.revocations_since(Cursor::default(), 100).await.unwrap();
        assert_eq!(all.entries, [revocation(1), revocation(2)], "the list has what the feed had");
        let none = store.revocations_since(news.revocations.cursor, 100).await.unwrap();
        assert!(none.entries.is_empty(), "and goes by the same positions");
    });
}

/// A failover that loses the last writes puts others at their positions.
#[test]
fn d09_another_history_of_the_same_store_is_a_gap() {
    let redis = Redis::start();
    let store = open(&redis.url());
    block_on(async {
        let revision = store.put_client(client("c_a")).await.unwrap();
        let save = "redis.call('COPY', KEYS[1], KEYS[2])";
        let restore = "redis.call('COPY', KEYS[2], KEYS[1], 'REPLACE')";
        redis.cli(&["EVAL", save, "2", "{jeton}:feed", "saved"]);
        store.put_client(Client { revision, ..client("c_a") }).await.unwrap();
        let seen = store.news_since(None, Cursor::default(), 100).await.unwrap();
        redis.cli(&["EVAL", restore, "2", "{jeton}:feed", "saved"]);
        let lost = store.news_since(Some(seen.changes.cursor), seen.revocations.cursor, 100).await.unwrap();
        assert!(lost.changes.gap, "it ends before");
        store.put_revocation(revocation(9)).await.unwrap();
        let other = store.news_since(Some(seen.changes.cursor), seen.revocations.cursor, 100).await.unwrap();
        assert!(other.changes.gap, "another write is at the same position");
        assert_eq!(other.revocations.entries, [revocation(9)], "so that revocations are read from the beginning");
        let next = store.news_since(Some(other.changes.cursor), other.revocations.cursor, 100).await.unwrap();
        assert!(!next.changes.gap && next.changes.entries.is_empty());
    });
}
