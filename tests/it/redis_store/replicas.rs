//! A write that is to be on replicas before it is acknowledged.

use std::time::Duration;

use jeton::jwt::TokenId;
use jeton::oauth::Client;
use jeton::store::{RedisOptions, Revocation, StoreError};

use super::{client, open_with};
use crate::support::cluster::Cluster;
use crate::support::faults::block_on;
use crate::support::redis::Redis;
use crate::support::wait_for;

/// With more patience than usual where it is to succeed, since the machine may be busy.
fn waiting(replicas: u32) -> RedisOptions {
    let deadline = Duration::from_millis(if replicas == 1 { 2000 } else { 250 });
    RedisOptions { deadline, wait_replicas: replicas, ..RedisOptions::default() }
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
        drop(replica);
        let changed = Client { revision: 1, ..client("c_0") };
        assert!(matches!(one.put_client(changed).await, Err(StoreError::Unconfirmed(_))));
        let again = one.put_revocation(revocation).await;
        assert!(
            matches!(again, Err(StoreError::Unconfirmed(_))),
            "known already, but not proved to be safe: {again:?}"
        );
    });
}

#[test]
fn d09_the_shard_of_a_cluster_confirms_as_well() {
    let cluster = Cluster::shared();
    let (one, two) = (open_with(&cluster.url(), waiting(1)), open_with(&cluster.url(), waiting(2)));
    block_on(async {
        one.put_client(client("c_a")).await.unwrap();
        assert!(matches!(two.put_client(client("c_b")).await, Err(StoreError::Unconfirmed(_))));
    });
}
