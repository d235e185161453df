//! Redis is down, hangs, is slow, silent or busy with itself: what is known goes on, all else is an honest 503 in time,
//! and it is over when the fault is.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::down_at_start;
use crate::support::drill::Drill;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::Redis;
use crate::support::{Client, GRANT, Home, Wire, wait_for};

/// D-01: a server that is started without its Redis lives and says that it is not ready; it needs no second start.
#[test]
fn d01_a_server_without_its_redis_lives_says_so_and_begins_when_it_comes() {
    let mut redis = Redis::start();
    let home = Home::on(&redis.url());
    let client = home.usual_client();
    redis.kill();
    let (mut node, address, ops_address) = down_at_start(&home);
    let probe = |path: &str| Wire::try_connect(&ops_address).map(|_| crate::support::get(&ops_address, path).status);
    wait_for("it lives", || (probe("/livez") == Some(200)).then_some(()));
    assert_eq!(probe("/readyz"), Some(503));
    assert!(node.try_wait().unwrap().is_none());
    redis.start_again();
    let began = Instant::now();
    wait_for("it is ready", || (probe("/readyz") == Some(200)).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let mut wire = Wire::connect(&address);
    wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
    assert_eq!(wire.answer().status, 200);
    node.kill().unwrap();
    node.wait().unwrap();
}

/// D-02: it dies and returns; nobody storms it.
#[test]
fn d02_survives_a_redis_crash_under_load() {
    let mut redis = Redis::start();
    let drill = Drill::on(&redis.url());
    redis.kill();
    drill.expect_outage();
    redis.start_again();
    drill.expect_recovery();
    let connections: u32 = redis.info("total_connections_received").parse().unwrap();
    assert!(connections < 60, "one node and one writer, and commands of this test: {connections}");
    drill.finish().pulse.expect_unbroken();
}

/// D-03: it takes connections and does not answer, for as long as one likes, or for some seconds.
#[test]
fn d03_a_redis_that_hangs_is_a_503_in_time() {
    let redis = Redis::start();
    let drill = Drill::on(&redis.url());
    redis.program.signal("-STOP");
    drill.expect_outage();
    redis.program.signal("-CONT");
    drill.expect_recovery();
    redis.cli(&["CLIENT", "PAUSE", "2000", "ALL"]);
    drill.wait_for_tokens(200);
    drill.expect_recovery();
    redis.cli(&["DEBUG", "SLEEP", "2"]);
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

/// D-04: late, or a trickle: what can be answered in time is, and the token path is as fast as ever.
#[test]
fn d04_a_slow_wire_slows_no_token() {
    let redis = Redis::start();
    let wire = Proxy::to(redis.port);
    let drill = Drill::over(&wire.url(), &redis.url());
    for fault in [Fault::Late(Duration::from_millis(50)), Fault::Late(Duration::from_millis(400)), Fault::Slow(10_000)]
    {
        wire.set(fault);
        let began = Instant::now();
        drill.wait_for_tokens(150);
        assert!(began.elapsed() < Duration::from_secs(10), "{fault:?}: 150 tokens took {:?}", began.elapsed());
        drill.expect_honesty();
    }
    wire.set(Fault::None);
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

/// D-05: a black hole, or half of one: no sign that anything is wrong ever comes from TCP.
#[test]
fn d05_a_black_hole_is_noticed_by_the_clock() {
    let redis = Redis::start();
    let wire = Proxy::to(redis.port);
    let drill = Drill::over(&wire.url(), &redis.url());
    for fault in [Fault::Silent, Fault::NoAnswers] {
        wire.set(fault);
        let began = Instant::now();
        drill.expect_outage();
        assert!(began.elapsed() < Duration::from_secs(8), "{fault:?}: noticed after {:?}", began.elapsed());
        wire.set(Fault::None);
        drill.expect_recovery();
    }
    drill.finish().pulse.expect_unbroken();
}

/// D-11: busy with itself: it loads, runs a script that does not end, or follows a master that is not there.
#[test]
fn d11_a_redis_that_is_busy_with_itself_is_waited_for_and_then_a_503() {
    let mut redis = Redis::with(&["--busy-reply-threshold", "100", "--key-load-delay", "300"]);
    redis.cli(&["EVAL", "for i = 1, 8000 do redis.call('SET', 'other:' .. i, i) end", "0"]);
    let drill = Drill::on(&redis.url());
    let script = crate::support::faults::Killed(
        crate::support::redis::cli(redis.port).args(["EVAL", "while true do end", "0"]).spawn().unwrap(),
    );
    drill.expect_outage();
    redis.cli(&["SCRIPT", "KILL"]);
    drop(script);
    drill.expect_recovery();
    redis.cli(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    drill.expect_outage();
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    drill.expect_recovery();
    redis.program.start_again();
    wait_for("it loads", || redis.is_loading().then_some(()));
    drill.expect_honesty();
    redis.wait_until_loaded();
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

/// D-15: hundreds wait for a Redis that does not answer, and half of them leave: each of the others is answered in time,
/// and nothing is left behind.
#[test]
fn d15_a_crowd_that_waits_for_redis_is_answered_in_time_and_leaves_nothing_behind() {
    let redis = Redis::start();
    let wire = Proxy::to(redis.port);
    let drill = Drill::over(&wire.url(), &redis.url());
    for fault in [Fault::NoAnswers, Fault::None] {
        wire.set(fault);
        let began = Instant::now();
        let strangers: Vec<Client> = (0..4).map(|_| drill.stranger()).collect();
        let ask = |client: &Client| {
            let mut wire = drill.node.wire();
            wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
            wire
        };
        let mut crowd: Vec<Wire> = (0..300).map(|n| ask(&strangers[n % 4])).collect();
        crowd.truncate(150);
        for wire in &mut crowd {
            let status = wire.answer().status;
            assert!(status == 503 || status == 200 && fault == Fault::None, "{status}");
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}

/// D-16: Redis ends connections: idle ones, all of them again and again, and those beyond its limit.
#[test]
fn d16_connections_that_redis_ends_are_made_again_and_nobody_is_told() {
    let redis = Redis::start();
    let drill = Drill::on(&redis.url());
    redis.cli(&["CONFIG", "SET", "timeout", "1"]);
    for round in 0..3 {
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let answer = drill.node.ask(&drill.stranger(), GRANT);
        assert_eq!(answer.status, 200, "round {round}: a read is asked again: {}", answer.text());
        // A connection that breaks within a second of its making is not made again at once.
        std::thread::sleep(Duration::from_millis(1200));
    }
    redis.cli(&["CONFIG", "SET", "timeout", "0"]);
    drill.wait_for_writes(12);
    // One connection of our own has to stay, so that the limit can be lifted again.
    let mut operator =
        crate::support::redis::cli(redis.port).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let orders = operator.stdin.as_mut().unwrap();
    writeln!(orders, "CONFIG SET maxclients 1\nCLIENT KILL TYPE normal\nCLIENT KILL TYPE pubsub").unwrap();
    drill.expect_outage();
    writeln!(operator.stdin.as_mut().unwrap(), "CONFIG SET maxclients 1000").unwrap();
    drop(operator.stdin.take());
    assert!(operator.wait().unwrap().success());
    drill.expect_recovery();
    drill.finish().pulse.expect_unbroken();
}
