//! Deadlines: whoever is slow is cut off in time, and nobody waits for him.

use std::time::{Duration, Instant};

use crate::support::h2::{DATA, End, H2, token_fields};
use crate::support::{Client, GRANT, Home, Server, Wire, count, wait_for};

const SHORT: &str = "[serve]\nworkers = 2\nhead_deadline = \"1s\"\nbody_deadline = \"1s\"\nwrite_deadline = \"1s\"\n\
                     idle_deadline = \"2s\"\n";

fn server() -> (Server, Client) {
    serve(SHORT)
}

fn serve(config: &str) -> (Server, Client) {
    let home = Home::new();
    let client = home.usual_client();
    (home.serve(config), client)
}

/// Where the idle deadline cannot stand in for the one that is meant.
fn patient_server() -> (Server, Client) {
    serve(&SHORT.replace("\"2s\"", "\"10m\""))
}

fn head(client: &Client, length: usize) -> String {
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n",
        client.basic()
    )
}

#[test]
fn t016_a_body_shorter_than_said_is_not_processed() {
    let (server, client) = server();
    for half_closed in [false, true] {
        let mut wire = server.wire();
        wire.send((head(&client, 100) + GRANT).as_bytes());
        if half_closed {
            wire.shutdown_write();
        }
        let answer = wire.answer();
        assert_eq!(answer.status, if half_closed { 400 } else { 408 });
        answer.check_refusal("a short body");
        assert!(wire.is_closed());
    }
    assert!(server.metric("jeton_token_requests_total{outcome=\"issued\"}") < 0.5);
}

#[test]
fn t015_t016_the_bounds_of_a_body_hold_in_http_2() {
    // Less than the window of a stream, so that the bound is met before flow control stops the sender.
    let (server, client) = serve(&format!("{SHORT}max_body = 32768\n"));
    let basic = client.basic();
    let mut h2 = H2::connect(&server.address);
    let (slow, said, sent) = (h2.open(), h2.open(), h2.open());
    h2.headers(0, slow, &token_fields(&basic));
    h2.send(DATA, 0, slow, GRANT.as_bytes());
    h2.headers(0, said, &[token_fields(&basic).as_slice(), &[("content-length", "32769")]].concat());
    assert!(matches!(h2.end_of(said), End::Answer(413, body) if body.contains("invalid_request")));
    h2.headers(0, sent, &token_fields(&basic));
    for _ in 0..3 {
        h2.send(DATA, 0, sent, &[b'&'; 14_000]);
    }
    assert!(matches!(h2.end_of(sent), End::Answer(413, body) if body.contains("invalid_request")));
    assert!(matches!(h2.end_of(slow), End::Answer(408, body) if body.contains("invalid_request")));
    let fresh = h2.post(&token_fields(&basic), GRANT);
    assert!(matches!(h2.end_of(fresh), End::Answer(200 | 503, _)), "the connection goes on");
}

/// Ways to be slow: what is sent at first, and then again and again.
#[derive(Clone, Copy, Debug)]
enum Slow {
    Head,
    NextHead,
    Body,
    Chunks,
    Silence,
    Idle,
}

const WAYS: [Slow; 6] = [Slow::Head, Slow::NextHead, Slow::Body, Slow::Chunks, Slow::Silence, Slow::Idle];

fn begin(server: &Server, client: &Client, way: Slow) -> Wire {
    let mut wire = server.wire();
    let whole = head(client, GRANT.len()) + GRANT;
    match way {
        Slow::Head => wire.send(b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nX: "),
        Slow::Body => wire.send(head(client, 1000).as_bytes()),
        Slow::Chunks => {
            wire.send(head(client, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked").as_bytes());
        }
        Slow::Silence => {}
        Slow::NextHead | Slow::Idle => {
            wire.send(whole.as_bytes());
            super::served("the first request of a slow connection", || wire.answer());
        }
    }
    wire
}

/// A little more of what never ends; false once the connection has.
fn trickle(wire: &mut Wire, way: Slow) -> bool {
    match way {
        Slow::Head | Slow::NextHead | Slow::Body => wire.try_send(b"a"),
        Slow::Chunks => wire.try_send(b"1\r\na\r\n"),
        Slow::Silence | Slow::Idle => true,
    }
}

#[test]
fn t019_slow_connections_are_ended_and_the_others_served() {
    let (server, client) = server();
    let each = count("JETON_TEST_SLOW_SOCKETS", 120) / WAYS.len();
    let begun = Instant::now();
    let mut slow: Vec<(Slow, Wire)> = WAYS
        .into_iter()
        .flat_map(|way| (0..each).map(move |_| way))
        .map(|way| (way, begin(&server, &client, way)))
        .collect();
    let connections = || server.metric("jeton_connections");
    assert!(connections() > 0.0);
    let mut requests = 0;
    wait_for("all slow connections end", || {
        super::served("a fast client among slow ones", || server.ask(&client, GRANT));
        requests += 1;
        for (way, wire) in &mut slow {
            trickle(wire, *way);
        }
        (connections() < 0.5).then_some(())
    });
    // Two seconds and a tick; the rest is for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(requests > 10, "only {requests} requests were served meanwhile");
    for (way, wire) in &mut slow {
        let rest = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408 "), "{way:?}: {rest}");
    }
}

#[test]
fn t019_a_head_has_a_deadline_of_its_own() {
    let (server, client) = patient_server();
    let mut slow: Vec<(Slow, Wire)> =
        [Slow::Head, Slow::NextHead, Slow::Silence].map(|way| (way, begin(&server, &client, way))).into();
    for preface in ["PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n", "PRIOR /"] {
        let mut wire = server.wire();
        wire.send(preface.as_bytes());
        slow.push((Slow::Silence, wire));
    }
    wait_for("all slow heads are given up", || {
        for (way, wire) in &mut slow {
            trickle(wire, *way);
        }
        (server.metric("jeton_connections") < 0.5).then_some(())
    });
    for (way, wire) in &mut slow {
        assert_eq!(wire.rest(), b"", "{way:?}");
    }
}

#[test]
fn t019_p16_a_client_that_does_not_read_is_cut_off_in_bounded_memory() {
    let (server, client) = patient_server();
    let mut bystander = super::Bystander::new(&server, &client);
    let burst = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
    let mut wires: Vec<Wire> = (0..4).map(|_| server.wire()).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for wire in &mut wires {
            scope.spawn(|| {
                while wire.try_send(burst.as_bytes()) {
                    assert!(begun.elapsed() < Duration::from_secs(20), "never cut off");
                }
            });
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(15), "cut off by nobody but this test");
    bystander.check("clients that do not read");
}

#[test]
fn t019_whoever_makes_progress_within_the_deadlines_is_not_ended() {
    let (server, client) = serve(&SHORT.replace("\"1s\"", "\"3s\"").replace("\"2s\"", "\"3s\""));
    let mut wire = server.wire();
    // The pauses are the client's own pace: more in all than any single deadline, far less each.
    for _ in 0..5 {
        let request = head(&client, GRANT.len()) + GRANT;
        for piece in [&request[..30], &request[30..request.len() - 5], &request[request.len() - 5..]] {
            std::thread::sleep(Duration::from_millis(250));
            wire.send(piece.as_bytes());
        }
        assert!(matches!(wire.answer().status, 200 | 503));
    }
}
