//! Too many requests: refused early and cheaply, and those that are right are answered all the while.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::served;
use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, Wire, basic, count, wait_for};

fn post(wire: &mut Wire, authorization: &str, form: &str) -> Answer {
    wire.post("/oauth2/token", &[("Authorization", authorization)], form);
    wire.answer()
}

/// A request whose body is still to come: it holds a permit until it is finished or given up.
fn half(server: &Server, client: &Client) -> Wire {
    let mut wire = server.wire();
    wire.send(
        format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type",
            client.basic(),
            GRANT.len()
        )
        .as_bytes(),
    );
    wire
}

fn finish(wire: &mut Wire) -> Answer {
    wire.send(GRANT.strip_prefix("grant_type").unwrap().as_bytes());
    wire.answer()
}

fn check_overload(answer: &Answer) {
    assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    answer.check_refusal("overload");
}

/// Ends the threads that look at it, also when the test fails.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn t221_a_flood_of_wrong_secrets_does_not_shut_out_the_right_ones() {
    let home = Home::new();
    let [victim, neighbour, cold] = [(); 3].map(|()| home.usual_client());
    let server = home.serve("");
    for client in [&victim, &neighbour] {
        served("before the flood", || server.ask(client, GRANT));
    }
    let over = AtomicBool::new(false);
    let attempts = AtomicUsize::new(0);
    let (mut answered, mut busy) = (0, 0);
    std::thread::scope(|scope| {
        let _flood_ends = SetWhenDropped(&over);
        for n in 0..6 {
            let (over, attempts, server, victim) = (&over, &attempts, &server, &victim);
            scope.spawn(move || {
                // One guesses the secret of one client, the others spray ids.
                let mut wire = Wire::connect_from("127.0.0.2", &server.address);
                while !over.load(Ordering::Relaxed) {
                    let at = attempts.fetch_add(1, Ordering::Relaxed);
                    let id = if n == 0 { victim.id.clone() } else { format!("guess{at}") };
                    let answer = post(&mut wire, &basic(&id, "wrong"), GRANT);
                    assert!(matches!(answer.status, 401 | 429 | 503), "{}", answer.head);
                }
            });
        }
        // The right clients: elsewhere, and behind the same address as the flood.
        let mut wires = [Wire::connect(&server.address), Wire::connect_from("127.0.0.2", &server.address)];
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            for (wire, client) in wires.iter_mut().zip([&victim, &neighbour]) {
                match post(wire, &client.basic(), GRANT).status {
                    200 => answered += 1,
                    503 => busy += 1,
                    status => panic!("a right client got {status}"),
                }
            }
        }
        // Who was never seen before shares what an address that fails this often may still ask of the store, and is put
        // off when that is nothing; from any other address it is served.
        let mut flooded = Wire::connect_from("127.0.0.2", &server.address);
        let unseen = wait_for("a client seen for the first time is answered", || {
            Some(post(&mut flooded, &cold.basic(), GRANT)).filter(|answer| answer.status != 503)
        });
        let put_off = (unseen.status, unseen.header("retry-after")) == (429, Some("1"));
        assert!(put_off || unseen.status == 200, "{} {}", unseen.head, unseen.text());
        served("the same from elsewhere", || server.ask(&cold, GRANT));
    });
    let attempts = attempts.into_inner();
    assert!(attempts > 100, "that was no flood: {attempts}");
    assert!(answered > 20 && answered > busy, "{answered} answered, {busy} refused, among {attempts} wrong ones");
    served("a right client after the flood", || server.ask(&cold, GRANT));
}

#[test]
fn t226_requests_beyond_those_in_flight_are_refused_at_once() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{}max_in_flight = 1\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = SetWhenDropped(&over);
        // A failed authentication takes its two milliseconds, and its permit as long.
        for _ in 0..4 {
            scope.spawn(|| {
                let mut wire = server.wire();
                while !over.load(Ordering::Relaxed) {
                    assert!(matches!(post(&mut wire, &basic("nobody", "x"), GRANT).status, 401 | 503));
                }
            });
        }
        let (mut quickest, mut refused, mut wire) = (Duration::MAX, 0, server.wire());
        wait_for("fifty refusals", || {
            let asked = Instant::now();
            // Neither parsed nor authenticated: whatever it says, it is told the same.
            let answer = post(&mut wire, "nonsense", "nonsense");
            if answer.status == 503 {
                check_overload(&answer);
                quickest = quickest.min(asked.elapsed());
                refused += 1;
            }
            (refused >= 50).then_some(())
        });
        assert!(quickest < Duration::from_millis(50), "{quickest:?}");
        assert_eq!(server.get("/.well-known/jwks.json").status, 200, "documents cost nothing");
        assert_eq!(server.ops("/readyz").status, 200);
    });
    served("healthy afterwards", || server.ask(&client, GRANT));
}

#[test]
fn t019_t226_bodies_that_never_come_keep_nobody_out() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{}max_in_flight = 8\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let mut slow: Vec<Wire> = (0..count("JETON_TEST_SLOW_BODIES", 200)).map(|_| half(&server, &client)).collect();
    for _ in 0..20 {
        assert_eq!(server.ask(&client, GRANT).status, 200, "at the first try");
    }
    assert_eq!(slow[0].answer().status, 408, "the one that waited longest has given way");
    assert_eq!(finish(slow.last_mut().unwrap()).status, 200, "the last one has not");
}

#[test]
fn t019_idle_connections_make_room_when_there_is_none() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{GENEROUS}max_connections = 8\n"));
    let mut held: Vec<Wire> = (0..8).map(|_| server.wire()).collect();
    for wire in &mut held {
        served("before", || post(wire, &client.basic(), GRANT));
    }
    check_overload(&server.wire().answer());
    // Long before their idle deadline of a minute.
    wait_for("somebody has made room", || {
        let mut wire = server.wire();
        wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
        wire.try_answer(true).filter(|answer| answer.status == 200)
    });
}

#[test]
fn t226_connections_beyond_the_limit_are_told_so_and_closed() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{GENEROUS}max_connections = 8\n"));
    let connections = || server.metric("jeton_connections");
    let mut held: Vec<Wire> = (0..8).map(|_| server.wire()).collect();
    wait_for("all connections are taken", || (connections() > 7.5).then_some(()));
    check_overload(&server.wire().answer());
    for _ in 0..100 {
        let mut wire = server.wire();
        let answer = wire.try_answer(true);
        // Beyond what is told at a time, connections are closed without a word.
        if let Some(answer) = &answer {
            check_overload(answer);
        }
        wire.shutdown_write();
        assert!(wire.is_closed());
        assert!(connections() < 8.5);
    }
    for wire in &mut held {
        served("those that are in", || post(wire, &client.basic(), GRANT));
    }
    drop(held);
    wait_for("there is room again", || (connections() < 0.5).then_some(()));
    assert_eq!(server.ask(&client, GRANT).status, 200);
}

#[test]
fn t226_a_burst_of_many_times_the_capacity_is_survived() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{}max_in_flight = 8\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let memory = server.memory();
    let burst = {
        let mut wire = String::new();
        for _ in 0..50 {
            wire.push_str(&format!(
                "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{GRANT}",
                client.basic(),
                GRANT.len()
            ));
        }
        wire
    };
    let mut wires: Vec<Wire> = (0..count("JETON_TEST_BURST", 60)).map(|_| server.wire()).collect();
    for wire in &mut wires {
        wire.send(burst.as_bytes());
    }
    let (mut issued, mut refused) = (0, 0);
    for wire in &mut wires {
        for _ in 0..50 {
            let answer = wire.answer();
            if answer.status == 200 {
                issued += 1;
            } else {
                check_overload(&answer);
                refused += 1;
            }
        }
    }
    assert!(issued > 0, "{issued} issued, {refused} refused");
    assert!(server.memory() < memory + super::GROWTH);
    drop(wires);
    served("healthy after the burst", || server.ask(&client, GRANT));
    wait_for("all connections are gone", || (server.metric("jeton_connections") < 0.5).then_some(()));
}

/// What is refused by a limit is refused by it whatever else is wrong, so nothing behind the limit was looked at.
#[test]
fn t227_limits_act_before_parsing_and_parsing_before_authentication() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve("[serve]\nworkers = 1\n[limits]\nclient_failures = 2\n");
    let (wrong, two) = (basic(&client.id, "wrong"), format!("{GRANT}&{GRANT}"));
    let large = "x=%zz&".repeat(12_000);
    for (what, headers, form, status) in [
        ("size before syntax", vec![("Authorization", "nonsense")], large.as_str(), 413),
        ("coding before type", vec![("Content-Encoding", "gzip"), ("Content-Type", "text/plain")], "%zz", 415),
        ("type before syntax", vec![("Content-Type", "text/plain"), ("Authorization", "nonsense")], "%zz", 400),
        ("syntax before the secret", vec![("Authorization", &wrong)], &two, 400),
    ] {
        for _ in 0..5 {
            assert_eq!(server.token(&headers, form).status, status, "{what}");
        }
    }
    served("no failure was counted so far", || server.ask(&client, GRANT));
    wait_for("the source is throttled", || {
        let answer = server.token(&[("Authorization", &wrong)], GRANT);
        (answer.status == 429).then_some(())
    });
    let find = "jeton_store_operation_duration_seconds_count{backend=\"sqlite\",operation=\"find_client\"}";
    let asked = server.metric(find);
    assert_eq!(server.token(&[("Authorization", &wrong)], GRANT).status, 429);
    assert!((server.metric(find) - asked).abs() < 0.5, "a throttled failure does not reach the store");
    assert_eq!(server.ask(&client, GRANT).status, 200, "the right secret needs no store");
}

/// Processor time of refusals against that of tokens, both on connections that stay.
#[test]
fn t227_a_refusal_costs_less_than_a_token() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve("[serve]\nworkers = 1\n[limits]\nclient_failures = 1\nclient_failures_per_second = 1\n");
    let rounds = count("JETON_TEST_REFUSALS", 1000);
    let cost = |source: &str, headers: &[(&str, &str)], form: &str, status: u16| {
        let mut wire = Wire::connect_from(source, &server.address);
        let before = server.cpu_millis();
        let mut matching = 0;
        for _ in 0..rounds {
            wire.post("/oauth2/token", headers, form);
            matching += usize::from(wire.answer().status == status);
        }
        // A few may be told that the machine is busy, or that a failure is forgiven.
        assert!(matching * 2 > rounds, "{matching} of {rounds} were {status}");
        server.cpu_millis() - before
    };
    let (right, wrong) = (client.basic(), basic(&client.id, "wrong"));
    let token = cost("127.0.0.1", &[("Authorization", &right)], GRANT, 200);
    for (what, source, headers, form, status) in [
        ("coding", "127.0.0.1", vec![("Authorization", right.as_str()), ("Content-Encoding", "br")], GRANT, 415),
        ("type", "127.0.0.1", vec![("Authorization", &right), ("Content-Type", "text/plain")], GRANT, 400),
        ("parameters", "127.0.0.1", vec![("Authorization", &right)], &"&".repeat(20_000), 400),
        ("throttled", "127.0.0.2", vec![("Authorization", &wrong)], GRANT, 429),
    ] {
        let refusal = cost(source, &headers, form, status);
        assert!(refusal <= token + 50, "{what}: {refusal} ms against {token} ms of {rounds} tokens");
    }
}
