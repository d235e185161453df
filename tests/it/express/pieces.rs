//! Usual requests that come in pieces, as from all who write a head and its body one after the other: they are answered
//! and bounded like any other.

use super::{UNUSUAL, exchange, request, shape};
use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, Wire, wait_for};

/// One worker: it has read what came before whatever it answers.
fn server(more: &str) -> (Server, Client) {
    let home = Home::new();
    let client = home.usual_client();
    (home.serve(&format!("{}{more}", GENEROUS.replace("workers = 2", "workers = 1"))), client)
}

/// Sends a request in two pieces, and asks on another connection in between.
fn exchange_in_two(wires: &mut [Wire; 2], request: &str, at: usize) -> Answer {
    let [wire, other] = wires;
    wait_for("the request is admitted", || {
        wire.send(&request.as_bytes()[..at]);
        other.send(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(other.answer().status, 200);
        wire.send(&request.as_bytes()[at..]);
        Some(wire.answer()).filter(|answer| answer.status != 503)
    })
}

#[test]
fn a_request_that_is_cut_at_any_byte_is_answered_like_the_whole() {
    let (server, client) = server("");
    let mut wires = [server.wire(), server.wire()];
    for (form, status) in [(GRANT, 200), ("grant_type=client_credentials&scope=admin", 400), ("grant_type=%zz", 400)] {
        let request = request(&client, form, "");
        let whole = exchange(&mut wires[0], &request);
        assert_eq!(whole.status, status);
        for at in 1..request.len() {
            let cut = exchange_in_two(&mut wires, &request, at);
            assert_eq!(shape(&cut), shape(&whole), "{form} cut at {at}");
        }
    }
    let half = &request(&client, GRANT, "")[..40];
    wires[0].send(half.as_bytes());
    wires[0].send(b" no field\r\n\r\n");
    assert_eq!(wires[0].answer().status, 400, "what turns out to be none is refused by hyper");
    assert!(wires[0].is_closed());
}

#[test]
fn what_just_fits_into_a_buffer_and_what_does_not_are_answered_in_pieces_as_well() {
    const ROOM: usize = jeton::buffers::ROOM;
    let (server, client) = server("");
    let shortest = request(&client, &format!("{GRANT}&x="), "").len();
    for length in [ROOM - 1, ROOM, ROOM + 1, 2 * ROOM] {
        // The declared length has more digits as well.
        let form = format!("{GRANT}&x={}", "a".repeat(length - shortest - 2));
        let request = request(&client, &form, "");
        assert_eq!(request.len(), length);
        for at in [request.len() - form.len(), ROOM - 2, length - 1] {
            let mut wires = [server.wire(), server.wire()];
            assert_eq!(exchange_in_two(&mut wires, &request, at).status, 200, "{length} bytes cut at {at}");
            assert_eq!(exchange(&mut wires[0], &request).status, 200, "and the connection goes on");
        }
    }
}

/// What becomes of a body that ends too early, of one that does not come, and of one that has to give way.
fn refusals(server: &Server, half: &str) -> [Answer; 3] {
    let begin = || {
        let mut wire = server.wire();
        wire.send(half.as_bytes());
        wait_for("its body is awaited", || (server.metric("jeton_bodies_awaited") > 0.5).then_some(()));
        wire
    };
    let mut short = begin();
    short.shutdown_write();
    let short = [short.answer(), late(begin())];
    let mut first = begin();
    // There is one place: whoever comes next takes it.
    let second = begin();
    let gives_way = first.answer();
    assert!(first.is_closed());
    drop(second);
    wait_for("no body is awaited", || (server.metric("jeton_bodies_awaited") < 0.5).then_some(()));
    let [short, late] = short;
    [short, late, gives_way]
}

/// The answer to a body that is waited for in vain, although some of it comes now and then.
fn late(mut wire: Wire) -> Answer {
    let mut trickle = wire.split_reader();
    std::thread::spawn(move || {
        while trickle.try_send(b"a") {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    wire.answer()
}

#[test]
fn t016_t019_half_a_body_is_refused_in_the_same_way_by_either_way() {
    let (server, client) = server("max_in_flight = 1\nbody_deadline = \"1s\"\n");
    let [ours, hypers] = ["", UNUSUAL].map(|extra| {
        let counted = |series: &str| server.metric(series);
        let series = [
            "jeton_token_requests_total{outcome=\"invalid_request\"}",
            "jeton_http_requests_total{endpoint=\"token\",status=\"400\"}",
            "jeton_http_requests_total{endpoint=\"token\",status=\"408\"}",
        ];
        let before = series.map(counted);
        let whole = request(&client, &"a".repeat(1000), extra);
        let answers = refusals(&server, &whole[..whole.len() - 900]);
        assert_eq!(answers.each_ref().map(|answer| answer.status), [400, 408, 408], "{extra}");
        for answer in &answers {
            answer.check_refusal("half a body");
        }
        wait_for("all of them are counted", || {
            // Whoever has hung up is answered like one who sends no more.
            let more: Vec<f64> = series.iter().zip(before).map(|(series, before)| counted(series) - before).collect();
            (more == [4.0, 2.0, 2.0]).then_some(())
        });
        answers.map(|answer| shape(&answer))
    });
    assert_eq!(ours, hypers);
    assert!(server.metric("jeton_token_requests_total{outcome=\"issued\"}") < 0.5);
}

#[test]
fn t019_half_a_head_that_came_behind_another_request_has_its_deadline() {
    let (server, client) = server("head_deadline = \"1s\"\nidle_deadline = \"10m\"\n");
    let whole = request(&client, GRANT, "");
    let mut wire = server.wire();
    wire.send(format!("{whole}{}", &whole[..50]).as_bytes());
    assert!(matches!(wire.answer().status, 200 | 503));
    assert_eq!(wire.rest(), b"");
    wait_for("its connection is gone", || (server.metric("jeton_connections") < 0.5).then_some(()));
}

#[test]
fn t228_whoever_hangs_up_in_the_middle_of_a_request_leaves_nothing_behind() {
    let (server, client) = server("max_in_flight = 2\n");
    let whole = request(&client, GRANT, "");
    for at in (0..whole.len()).step_by(7) {
        let mut wire = server.wire();
        wire.send(&whole.as_bytes()[..at]);
    }
    for series in ["jeton_connections", "jeton_bodies_awaited", "jeton_requests_in_flight"] {
        wait_for(series, || (server.metric(series) < 0.5).then_some(()));
    }
    assert_eq!(exchange(&mut server.wire(), &whole).status, 200);
    assert!(!server.log_text().contains("panicked"));
}

#[test]
fn p01_half_a_request_is_answered_when_the_server_is_about_to_stop() {
    let (mut server, client) = server("");
    let whole = request(&client, GRANT, "");
    let cuts = [30, 100, whole.len() - GRANT.len(), whole.len() - 1];
    let mut wires: Vec<(usize, Wire)> = cuts.into_iter().chain(cuts).map(|at| (at, server.wire())).collect();
    for (position, (at, wire)) in wires.iter_mut().enumerate() {
        if position >= cuts.len() {
            assert_eq!(exchange(wire, &whole).status, 200);
        }
        wire.send(&whole.as_bytes()[..*at]);
    }
    let mut idle = server.wire();
    assert_eq!(exchange(&mut idle, &whole).status, 200);
    server.signal("-TERM");
    assert!(idle.is_closed(), "the connections have been told to end");
    for (at, wire) in &mut wires {
        wire.send(&whole.as_bytes()[*at..]);
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "cut at {at}");
        assert!(wire.is_closed());
    }
    assert_eq!(server.wait_for_end().code(), Some(0));
}
