//! Signals: what is under way is answered, and a restart fails nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::faults::{Counts, free_address};
use crate::support::{Client, GENEROUS, GRANT, Home, Server, Wire, count, wait_for};

/// P-01 and H-03: under load, SIGTERM first ends readiness; every request that was sent is answered, the answers
/// say that the connection ends, and the process ends well.
#[test]
fn p01_h03_sigterm_under_load_answers_every_request() {
    let (mut server, client) = Server::usual();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..count("JETON_TEST_DRAIN_CLIENTS", 24))
        .map(|n| {
            let (address, basic, stop) = (server.address.clone(), client.basic(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut wire = Wire::connect(&address);
                let mut counts = Counts::default();
                while !stop.load(Ordering::Relaxed) {
                    wire.post("/oauth2/token", &[("Authorization", &basic)], GRANT);
                    let answer = wire.try_answer(true);
                    counts.note(answer.as_ref(), Duration::ZERO);
                    match answer {
                        Some(answer) if answer.header("connection") == Some("close") => return (counts, true),
                        None => return (counts, false),
                        Some(_) => {}
                    }
                    std::thread::sleep(Duration::from_millis(n as u64 % 7));
                }
                (counts, false)
            })
        })
        .collect();
    let mut ops = Wire::connect(&server.ops_address);
    let mut readyz = || {
        ops.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
        ops.answer().status
    };
    assert_eq!(readyz(), 200);
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-TERM");
    wait_for("readyz says no", || (readyz() == 503).then_some(()));
    assert!(std::net::TcpStream::connect(&server.address).is_ok(), "not ready first, closed later");
    let status = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{}", server.log_text());
    stop.store(true, Ordering::Relaxed);
    let ended: Vec<_> = clients.into_iter().map(|thread| thread.join().unwrap()).collect();
    let unanswered: usize = ended.iter().map(|(counts, _)| counts.unanswered).sum();
    let issued: usize = ended.iter().map(|(counts, _)| counts.issued).sum();
    assert_eq!(unanswered, 0, "of {issued}");
    assert!(ended.iter().all(|(_, told)| *told), "each was told that its connection ends: {ended:?}");
    assert!(std::net::TcpStream::connect(&server.address).is_err());
}

/// P-01: a request whose body is still under way when the signal comes is answered; an idle connection ends.
#[test]
fn p01_a_request_under_way_is_answered_and_an_idle_connection_ends() {
    let (mut server, client) = Server::usual();
    let mut under_way = server.wire();
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: {}\r\nContent-Length: {}\r\n\r\n",
        client.basic(),
        GRANT.len()
    );
    under_way.send(head.as_bytes());
    let mut idle = server.wire();
    idle.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
    assert_eq!(idle.answer().status, 200);
    server.signal("-TERM");
    assert!(idle.is_closed(), "an idle connection is closed, and nothing more is sent on it");
    under_way.send(GRANT.as_bytes());
    let answer = under_way.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(under_way.is_closed());
    assert_eq!(server.wait_for_end().code(), Some(0));
}

/// P-02: a second signal, of either kind, ends the process at once; so does the end of the drain.
#[test]
fn p02_a_second_signal_or_the_deadline_cuts_what_is_left() {
    for second in ["-TERM", "-INT"] {
        let (mut server, client) = Server::usual();
        let mut stuck = hold(&server, &client);
        server.signal("-TERM");
        wait_for("it drains", || server.log_text().contains("stopping").then_some(()));
        let began = Instant::now();
        server.signal(second);
        assert_eq!(server.wait_for_end().code(), Some(1));
        assert!(began.elapsed() < Duration::from_secs(3), "{second}: {:?}", began.elapsed());
        assert!(stuck.is_closed());
        assert!(server.log_text().contains("second signal"), "{}", server.log_text());
    }
    let home = Home::new();
    let client = home.usual_client();
    let mut server = home.serve(&format!("{GENEROUS}drain = \"300ms\"\n"));
    let _stuck = hold(&server, &client);
    let began = Instant::now();
    server.signal("-INT");
    assert_eq!(server.wait_for_end().code(), Some(1));
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(5));
    assert!(server.log_text().contains("1 connections were cut"), "{}", server.log_text());
}

/// A request whose body never comes.
fn hold(server: &Server, client: &Client) -> Wire {
    let mut wire = server.wire();
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: {}\r\nContent-Length: 100\r\n\r\ngrant",
        client.basic()
    );
    wire.send(head.as_bytes());
    wait_for("the connection is open", || (server.metric("jeton_connections") >= 1.0).then_some(()));
    wire
}

/// P-03: two servers on one store are restarted in turn; clients that go to the other one when a connection ends
/// never see a failure.
#[test]
fn p03_a_rolling_restart_fails_no_request() {
    let first = Home::new();
    let client = first.usual_client();
    let second = Home::within(first.database.parent().unwrap());
    let addresses = [free_address(), free_address()];
    let config = |n: usize| format!("listen = \"{}\"\nops_listen = \"127.0.0.1:0\"\n{GENEROUS}", addresses[n]);
    let mut servers = vec![first.serve(&config(0)), second.serve(&config(1))];
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (addresses, basic, stop) = (addresses.clone(), client.basic(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut counts = Counts::default();
                let mut at = n % 2;
                while !stop.load(Ordering::Relaxed) {
                    let Some(mut wire) = Wire::try_connect(&addresses[at]) else {
                        at = 1 - at;
                        continue;
                    };
                    while !stop.load(Ordering::Relaxed) {
                        wire.post("/oauth2/token", &[("Authorization", &basic)], GRANT);
                        let answer = wire.try_answer(true);
                        counts.note(answer.as_ref(), Duration::ZERO);
                        if answer.is_none_or(|answer| answer.header("connection") == Some("close")) {
                            // As a load balancer does, which has seen that it is not ready.
                            at = 1 - at;
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                counts
            })
        })
        .collect();
    for n in [0, 1, 0, 1] {
        std::thread::sleep(Duration::from_millis(100));
        let old = servers.remove(0);
        let (home, status) = old.end_by("-TERM");
        assert_eq!(status.code(), Some(0));
        servers.push(home.serve(&config(n)));
    }
    stop.store(true, Ordering::Relaxed);
    for thread in clients {
        let counts = thread.join().unwrap();
        counts.expect_served("a client of both");
    }
}

/// A use of a secret that came a moment before the signal is written down; uses are, once a second at the most.
#[test]
fn the_last_uses_of_secrets_are_written_down_before_the_end() {
    let (server, early) = Server::usual();
    let late = server.home.usual_client();
    let is_known = |home: &Home, client: &Client| {
        let output = home.run(&["client", "secret", "list", &client.id, "-o", "json"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["last_used"].is_string()
    };
    assert_eq!(server.ask(&early, GRANT).status, 200);
    wait_for("the first use is written down", || is_known(&server.home, &early).then_some(()));
    assert_eq!(server.ask(&late, GRANT).status, 200);
    let (home, status) = server.end_by("-TERM");
    assert!(status.success());
    assert!(is_known(&home, &late), "the use in the last second is lost");
}
