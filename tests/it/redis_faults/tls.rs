//! The same over TLS: tokens, revocations, the feed and the calls, with one server, under sentinels and with a Cluster that
//! speak nothing else; and again after each has lost its master.

use std::time::Duration;

use crate::support::Home;
use crate::support::certificates::Certificates;
use crate::support::cluster::Cluster;
use crate::support::drill::Drill;
use crate::support::faults::block_on;
use crate::support::redis::Redis;
use crate::support::sentinel::Sentinels;

/// A drill on a store that is reached only by who trusts the authority, beside a listener whom every write calls.
fn drill_over(url: &str, certificates: &Certificates, wait_replicas: &str) -> Drill {
    assert!(url.starts_with("rediss"), "{url}");
    let ca = certificates.path("ca.pem").display().to_string();
    let settings = [("JETON_STORE__REDIS_CA_FILE", &*ca), ("JETON_STORE__REDIS_WAIT_REPLICAS", wait_replicas)];
    let drill = Drill::with(url, &settings);
    drill.wait_for_writes(40);
    let listener = Home::on_with(url, &settings);
    block_on(async {
        let store = listener.store();
        let call = || tokio::time::timeout(Duration::from_secs(20), store.changed());
        while !store.tells_changes() {
            assert!(call().await.is_ok(), "that calls are heard is one as well");
        }
        // That may have been one of these.
        for _ in 0..3 {
            assert!(call().await.is_ok());
        }
    });
    drill
}

#[test]
fn d14_a_server_is_used_over_tls_and_again_after_its_crash() {
    let certificates = Certificates::new();
    let mut redis = Redis::with_tls(&certificates);
    let drill = drill_over(&redis.url(), &certificates, "0");
    redis.kill();
    drill.expect_outage();
    redis.start_again();
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

#[test]
fn d14_sentinels_and_their_master_are_used_over_tls_and_so_is_the_next_master() {
    let certificates = Certificates::new();
    let mut sentinels = Sentinels::with_tls(&certificates);
    let drill = drill_over(&sentinels.url(), &certificates, "1");
    let old = sentinels.master();
    sentinels.nodes[old].kill();
    sentinels.wait_until_promoted(old);
    sentinels.wait_until_replicated();
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

#[test]
fn d14_a_cluster_is_used_over_tls() {
    let certificates = Certificates::new();
    let cluster = Cluster::with_tls(&certificates);
    let drill = drill_over(&cluster.url(), &certificates, "1");
    drill.finish().pulse.expect_unbroken();
}
