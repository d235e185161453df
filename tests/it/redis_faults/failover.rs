//! The master changes: it dies under load, is demoted, or comes back in the wrong order; three sentinels watch.

use std::time::Duration;

use crate::support::drill::{Beats, Drill};
use crate::support::redis::Redis;
use crate::support::sentinel::Sentinels;
use crate::support::{count, wait_for};

/// A write is acknowledged once one replica has it: then it is on whichever the sentinels promote.
const REPLICATED: [(&str, &str); 1] = [("JETON_STORE__REDIS_WAIT_REPLICAS", "1")];

/// D-09, D-10: the master is killed under load. The token path never stops, all is well within seconds of the promotion,
/// and what was acknowledged is there: each write had reached the replica.
#[test]
#[expect(clippy::print_stderr, reason = "the figures, for whoever asks with --nocapture")]
fn d09_d10_a_master_that_is_killed_under_load_loses_nothing_and_stops_no_token() {
    for run in 1..=count("JETON_TEST_FAILOVERS", 1) {
        let (recovered, beats) = kill_the_master();
        let Beats { issued, refused, longest_gap } = beats;
        eprintln!(
            "failover {run}: well {} ms after the promotion; {issued} tokens meanwhile, {} refused, at most {} ms apart",
            recovered.as_millis(),
            refused.len(),
            longest_gap.as_millis()
        );
    }
}

/// How long after the promotion all was well, and how the token path did.
fn kill_the_master() -> (Duration, Beats) {
    let mut sentinels = Sentinels::start();
    let drill = Drill::with(&sentinels.url(), &REPLICATED);
    drill.wait_for_writes(40);
    let old = sentinels.master();
    sentinels.nodes[old].kill();
    drill.expect_outage();
    let (_, promoted) = sentinels.wait_until_promoted(old);
    let took = drill.expect_recovery().duration_since(promoted);
    assert!(took < Duration::from_secs(8), "recovered {took:?} after the promotion");
    let stopped = drill.finish();
    stopped.pulse.expect_unbroken();
    (took, stopped.pulse)
}

/// D-09, D-10: the operator asks for a failover. The old master lives on and takes itself for the master for another ten
/// seconds, first with one of the replicas, which still confirms what the other one will never have, then with none.
#[test]
fn d09_d10_a_master_that_is_demoted_is_left_at_once_and_nothing_that_it_took_counts() {
    let sentinels = Sentinels::start();
    let drill = Drill::with(&sentinels.url(), &REPLICATED);
    let old = sentinels.master();
    sentinels.fail_over();
    sentinels.wait_until_promoted(old);
    sentinels.wait_until_replicated();
    drill.expect_recovery();
    wait_for("the old master follows", || sentinels.nodes[old].is_replica().then_some(()));
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

/// D-10: behind one address, without sentinels: the server is told to follow another one, which has another store.
#[test]
fn d10_a_server_that_became_a_replica_is_no_store_to_write_to() {
    let (redis, other) = (Redis::start(), Redis::start());
    let drill = Drill::on(&redis.url());
    // What it has must survive the demotion: it follows nobody who is there.
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    drill.expect_outage();
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    drill.expect_recovery();
    let stopped = drill.finish();
    stopped.pulse.expect_unbroken();
    // Now it takes over the other one's data, which is none: that is no longer the store that was known.
    redis.cli(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    wait_for("it follows", || (redis.info("master_link_status") == "up").then_some(()));
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    stopped.node.wait_until_ready(false);
}

/// D-23: all servers die, and return in either order: never a lie, and nothing is lost.
#[test]
fn d23_all_servers_die_and_return_in_either_order() {
    for order in [[0, 1, 2], [2, 1, 0]] {
        let mut sentinels = Sentinels::start();
        let drill = Drill::with(&sentinels.url(), &REPLICATED);
        for node in &mut sentinels.nodes {
            node.kill();
        }
        drill.expect_outage();
        for node in order {
            sentinels.nodes[node].start_again();
            drill.wait_for_tokens(100);
            drill.expect_honesty();
        }
        sentinels.wait_until_replicated();
        drill.expect_recovery();
        drill.finish().pulse.expect_unbroken();
    }
}
