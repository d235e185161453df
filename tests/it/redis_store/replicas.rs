//! A write that is to be on replicas before it is acknowledged.

use std::time::Duration;

use jeton::clock::UnixTime;
use jeton::jwt::TokenId;
use jeton::oauth::{Client, Scope};
use jeton::store::{RedisOptions, Revocation, StoreError, TokenRecord};

use super::{client, master, open_with};
use crate::support::cluster::Cluster;
use crate::support::faults::block_on;
use crate::support::redis::Redis;
use crate::support::wait_for;

/// With more patience than usual where it is to succeed, since the machine may be busy.
fn waiting(replicas: u32) -> RedisOptions {
    let deadline = Duration::from_millis(if replicas == 1 { 2000 } else { 250 });
    RedisOptions { deadline, wait_replicas: replicas, ..RedisOptions::default() }
}

fn token(number: u8) -> TokenRecord {
    TokenRecord {
        digest: master().token_hasher().hash(&number.to_string()),
        id: TokenId([number; 16]),
        client: client("c_a").id,
        scope: Scope::parse("read").unwrap(),
        audience: Vec::new(),
        issued_at: UnixTime::from_seconds(100),
        expires_at: UnixTime::from_seconds(4000),
    }
}

#[test]
fn d09_an_acknowledged_write_is_on_as_many_replicas_as_were_asked_for() {
    let master = Redis::start();
    let replica = Redis::with(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let knows = || master.cli(&["INFO", "replication"]).contains("state=online");
    wait_for("the replica follows", || knows().then_some(()));
    let (one, two) = (open_with(&master.url(), waiting(1)), open_with(&master.url(), waiting(2)));
    let revocation = Revocation { token: TokenId([1; 16]), expires_at: client("c_a").created_at };
    block_on(async {
        for number in 0..20 {
            let name = format!("c_{number}");
            one.put_client(client(&name)).await.unwrap();
            // At once, not some time later.
            let there = replica.cli(&["EXISTS", &format!("{{jeton}}:client:{name}")]);
            assert_eq!(there, "1", "{name}");
        }
        let refused = two.put_client(client("c_two")).await;
        assert!(matches!(&refused, Err(StoreError::Unconfirmed(said)) if said.contains("1 of 2")), "{refused:?}");
        assert!(two.find_client("c_two").await.unwrap().is_some(), "done all the same, and not called safe");
        one.put_revocation(revocation).await.unwrap();
        one.put_token(token(1)).await.unwrap();
        let there = replica.cli(&["--scan", "--pattern", "{jeton.*}:token:*"]);
        assert_eq!(there.lines().count(), 1, "an opaque token");
        drop(replica);
        let changed = Client { revision: 1, ..client("c_0") };
        assert!(matches!(one.put_client(changed).await, Err(StoreError::Unconfirmed(_))));
        let again = one.put_revocation(revocation).await;
        assert!(
            matches!(again, Err(StoreError::Unconfirmed(_))),
            "known already, but not proved to be safe: {again:?}"
        );
        for number in [1, 2] {
            let put = one.put_token(token(number)).await;
            assert!(matches!(put, Err(StoreError::Unconfirmed(_))), "{number}: {put:?}");
        }
    });
}

#[test]
fn d09_the_shard_of_a_cluster_confirms_as_well() {
    let cluster = Cluster::shared();
    let (one, two) = (open_with(&cluster.url(), waiting(1)), open_with(&cluster.url(), waiting(2)));
    block_on(async {
        one.put_client(client("c_a")).await.unwrap();
        assert!(matches!(two.put_client(client("c_b")).await, Err(StoreError::Unconfirmed(_))));
        // By the shard of each token's own bucket.
        for number in 0..12 {
            one.put_token(token(number)).await.unwrap();
            assert!(matches!(two.put_token(token(100 + number)).await, Err(StoreError::Unconfirmed(_))), "{number}");
        }
    });
}
