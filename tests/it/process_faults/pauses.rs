//! A process that stands still for a while, and one that has far too much to do: neither is an outage afterwards.

use std::time::{Duration, Instant};

use crate::support::faults::Load;
use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, Wire, count, wait_for};

/// Of each kind of connection.
const EACH: u32 = 12;

/// A request in two halves, cut within its body.
fn halves(client: &Client) -> (String, &'static str) {
    let (first, last) = GRANT.split_at(10);
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n",
        client.basic(),
        GRANT.len()
    );
    (head + first, last)
}

/// Connections on which so much was sent, once the server has read it.
fn held(server: &Server, sent: &str) -> Vec<Wire> {
    let wires = (0..EACH).map(|_| {
        let mut wire = server.wire();
        wire.send(sent.as_bytes());
        wire
    });
    wires.collect()
}

/// P-07: every deadline passes while the process stands still. Afterwards nobody is late for that: who was idle is
/// served, who had sent half a request sends the rest, and what came meanwhile is answered.
#[test]
fn p07_after_a_pause_longer_than_every_deadline_nobody_is_late() {
    let home = Home::new();
    let client = home.usual_client();
    let deadlines = "head_deadline = \"4s\"\nbody_deadline = \"4s\"\nwrite_deadline = \"4s\"\nidle_deadline = \"4s\"\n";
    let server = home.serve(&format!("[serve]\nworkers = 1\n{deadlines}"));
    let (first, last) = halves(&client);
    let mut idle = held(&server, &format!("{first}{last}"));
    assert!(idle.iter_mut().all(|wire| wire.answer().status == 200));
    // Not even hyper's way through the server is late, which is that of whatever is not usual.
    let unusual = first.replacen("Host", "Content-Encoding: identity\r\nHost", 1);
    let (mut heads, mut bodies) = (held(&server, &first[..60]), held(&server, &first));
    let (mut rare, mut awaited) = (held(&server, &unusual), held(&server, &first));
    let awaits_all = || server.metric("jeton_bodies_awaited") > f64::from(3 * EACH) - 0.5;
    wait_for("all bodies are awaited", || awaits_all().then_some(()));
    server.signal("-STOP");
    for wire in &mut awaited {
        wire.send(last.as_bytes());
    }
    std::thread::sleep(Duration::from_secs(6));
    server.signal("-CONT");
    let mut busy = 0;
    let mut note = |answer: Answer, what: &str| match answer.status {
        200 => {}
        503 => busy += 1,
        _ => panic!("{what}: {} {}", answer.head, answer.text()),
    };
    for wire in &mut awaited {
        note(wire.answer(), "its body came while the process stood still");
    }
    for (wires, rest, what) in [
        (&mut heads, format!("{}{last}", &first[60..]), "half a head"),
        (&mut bodies, last.to_owned(), "half a body"),
        (&mut rare, last.to_owned(), "half a body of hyper's"),
        (&mut idle, format!("{first}{last}"), "idle"),
    ] {
        for wire in wires {
            wire.send(rest.as_bytes());
            note(wire.answer(), what);
        }
    }
    assert!(
        busy <= EACH,
        "other tests may keep the machine so busy that a few are shed, but not {busy} of {}",
        5 * EACH
    );
    assert_eq!(server.ops("/readyz").status, 200);
}

/// P-04: everybody sends much more than can be answered, and whoever is refused asks again at once. When that is over,
/// those who ask as usual are served as before, and those who still ask again and again get what they want, too.
#[test]
fn p04_after_many_times_the_capacity_everybody_is_served_again() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{}max_in_flight = 2\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let (first, last) = halves(&client);
    let burst = format!("{first}{last}").repeat(40);
    let refused: usize = std::thread::scope(|scope| {
        let crowd = (0..count("JETON_TEST_CROWD", 24)).map(|_| {
            scope.spawn(|| {
                let (mut wire, end) = (server.wire(), Instant::now() + Duration::from_millis(1500));
                let mut refused = 0;
                while Instant::now() < end {
                    wire.send(burst.as_bytes());
                    refused += (0..40).filter(|_| wire.answer().status == 503).count();
                }
                // Without any pause between one refusal and the next try.
                let mut ask = || {
                    wire.send(format!("{first}{last}").as_bytes());
                    wire.answer().status
                };
                wait_for("who asks again gets a token", || (ask() == 200).then_some(()));
                refused
            })
        });
        crowd.collect::<Vec<_>>().into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert!(refused > 100, "that was no overload: {refused} refused");
    let over = Instant::now();
    let load = Load::start(&server.address, &client, 1);
    load.wait_for(200);
    let counts = load.stop();
    counts.expect_served("after the crowd");
    assert!(over.elapsed() < Duration::from_secs(5) || counts.slowest < Duration::from_secs(1), "{counts:?}");
    let in_flight = || server.metric("jeton_requests_in_flight");
    wait_for("nothing is left of it", || (in_flight() < 0.5).then_some(()));
}

/// H-02: probes are answered from memory: ten thousand of them cost the store nothing.
#[test]
fn h02_probes_ask_the_store_nothing() {
    let (server, _) = Server::usual();
    let asked = || {
        let text = server.ops("/metrics").text();
        let counts = text.lines().filter(|line| line.starts_with("jeton_store_operation_duration_seconds_count"));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    let before = asked();
    let mut wire = Wire::connect(&server.ops_address);
    for _ in 0..count("JETON_TEST_PROBES", 10_000) / 20 {
        wire.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20).as_bytes());
        assert!((0..20).all(|_| wire.answer().status == 200));
    }
    // The server itself looks for changes once in a while.
    assert!(asked() - before < 100.0, "{} operations", asked() - before);
}
