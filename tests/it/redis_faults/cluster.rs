//! A Cluster: slots move, a master dies, half of it is gone.

use crate::support::cluster::Cluster;
use crate::support::drill::Drill;
use crate::support::wait_for;

/// A key that shares its slot with all that a write touches.
const TAGGED: &str = "{jeton}:epoch";

/// D-12: the slot that all writes go to moves to another master, key by key and under load: nobody notices.
#[test]
fn d12_a_slot_that_moves_under_load_moves_nobody() {
    let cluster = Cluster::shared();
    let drill = Drill::on(&cluster.url());
    let there = cluster.move_slot(TAGGED);
    drill.wait_for_writes(40);
    drill.expect_recovery();
    let back = cluster.move_slot(TAGGED);
    assert_ne!(there, back);
    drill.wait_for_writes(40);
    drill.finish().pulse.expect_unbroken();
    cluster.wait_until_whole();
}

/// D-10, D-11, D-12: the master of the slot dies and its replica takes over; until then the cluster is down for it.
#[test]
fn d11_d12_a_master_of_a_cluster_that_is_killed_loses_nothing_and_stops_no_token() {
    let mut cluster = Cluster::start();
    let drill = Drill::on(&cluster.url());
    drill.wait_for_writes(40);
    let old = cluster.master_of(TAGGED);
    cluster.nodes[old].kill();
    drill.expect_outage();
    wait_for("its replica takes over", || {
        let others = || cluster.nodes.iter().enumerate().filter(|(n, _)| *n != old);
        let count = others().filter(|(_, node)| node.info("role") == "master").count();
        (count == 3).then_some(())
    });
    drill.expect_recovery();
    cluster.nodes[old].start_again();
    drill.finish().pulse.expect_unbroken();
}
