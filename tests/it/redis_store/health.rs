//! What is said of the servers, and which of them are refused.

use jeton::store::StoreError;

use super::{client, open};
use crate::support::cluster::Cluster;
use crate::support::faults::block_on;
use crate::support::redis::Redis;
use crate::support::{Home, wait_for};

#[test]
fn d07_a_store_that_may_evict_is_not_used_until_it_no_longer_may() {
    let redis = Redis::start();
    let store = open(&redis.url());
    block_on(async { store.put_client(client("c_a")).await.unwrap() });
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let home = Home::on(&redis.url());
    let output = home.run(&["store", "check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("maxmemory-policy allkeys-lru") && said.lines().count() == 1, "{said}");
    let found = || block_on(async { store.find_client("c_a").await });
    // One that runs already looks now and then.
    wait_for("it is noticed", || matches!(found(), Err(StoreError::Unusable(_))).then_some(()));
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    wait_for("it is good again", || found().ok().flatten());
}

#[test]
fn a_check_tells_the_version_and_what_a_write_survives() {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    home.add_client(&[]);
    let report = home.json(&["store", "check"]);
    assert_eq!((&report["backend"], &report["clients"]), (&"redis".into(), &1.into()));
    assert_eq!(report["version"], format!("Redis {}", redis.info("redis_version")));
    let promise = "a power cut loses the last second (appendfsync everysec); there is no replica to fail over to";
    assert_eq!((&report["durability"], &report["warnings"]), (&promise.into(), &serde_json::json!([])));
    redis.cli(&["CONFIG", "SET", "appendonly", "no"]);
    let text = String::from_utf8(home.run(&["store", "check"]).stdout).unwrap();
    assert!(text.contains("a restart of Redis loses everything"), "{text}");
    assert!(text.contains("warning\tRedis keeps no log of writes: set appendonly yes"), "{text}");
}

#[test]
fn a_cluster_is_told_as_one_and_refused_by_the_url_of_a_server() {
    let cluster = Cluster::shared();
    let report = block_on(async { open(&cluster.url()).check().await.unwrap() });
    assert!(report.version.starts_with("Redis ") && report.problems.is_empty(), "{report:?}");
    assert!(report.durability.ends_with("a failover loses what its replica had not received yet"), "{report:?}");
    let refused = block_on(async { open(&cluster.nodes[0].url()).find_client("c_a").await });
    let is_told = |said: &str| said.contains("redis+cluster://") || said.contains("is a replica");
    assert!(refused.is_err_and(|error| is_told(&error.to_string())));
}
