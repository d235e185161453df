//! How long a head and a body may be, and that what is longer is refused before it is read.

use super::{Bystander, GRANT};
use crate::support::{Client, Server, Wire};

fn head(client: &Client, lines: &str) -> String {
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n{lines}\r\n",
        client.basic()
    )
}

/// The one answer, after which the connection ends.
fn last_answer(wire: &mut Wire, status: u16, what: &str) {
    let answer = wire.try_answer(true).unwrap_or_else(|| panic!("{what}: no answer"));
    assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{what}");
    answer.check_refusal(what);
    assert!(wire.is_closed(), "{what}: the connection goes on");
}

#[test]
fn t015_a_body_beyond_its_limit_is_refused_by_its_length_alone() {
    let (server, client) = Server::usual();
    for length in ["65537", "1000000000", "9223372036854775807"] {
        let mut wire = server.wire();
        wire.send(head(&client, &format!("Content-Length: {length}\r\n")).as_bytes());
        last_answer(&mut wire, 413, length);
    }
    let whole = format!("{GRANT}&x={}", "a".repeat(65_536 - GRANT.len() - 3));
    assert_eq!((whole.len(), server.ask(&client, &whole).status), (65_536, 200), "the limit itself");
    assert_eq!(server.ask(&client, &format!("{whole}a")).status, 413, "one beyond, sent whole");
}

#[test]
fn t015_endless_chunks_are_cut_off_in_bounded_memory() {
    let (server, client) = Server::usual();
    let mut bystander = Bystander::new(&server, &client);
    for (size, per_write) in [(1, 1000), (4096, 4), (1 << 20, 1)] {
        let mut wire = server.wire();
        wire.send(head(&client, "Transfer-Encoding: chunked\r\n").as_bytes());
        let chunks = format!("{size:x}\r\n{}\r\n", "a".repeat(size)).repeat(per_write);
        let mut sent = 0;
        while wire.try_send(chunks.as_bytes()) {
            sent += size * per_write;
            assert!(sent < 64 << 20, "chunks of {size} without end");
        }
        last_answer(&mut wire, 413, &format!("chunks of {size}"));
        bystander.check("endless chunks");
    }
    let mut wire = server.wire();
    wire.send(head(&client, "Transfer-Encoding: chunked\r\n").as_bytes());
    wire.send(format!("ffffffffffffffff\r\n{}", "a".repeat(70_000)).as_bytes());
    last_answer(&mut wire, 413, "the largest size that there is");
}

#[test]
fn t017_heads_beyond_their_limits_are_refused() {
    let (server, client) = Server::usual();
    let mut bystander = Bystander::new(&server, &client);
    let grant = format!("Content-Length: {}\r\n", GRANT.len());
    let fields = |count: usize| (0..count).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    // Four fields are there already.
    let ask = |lines: String| {
        let mut wire = server.wire();
        wire.send((head(&client, &(grant.clone() + &lines)) + GRANT).as_bytes());
        wire
    };
    assert_eq!(ask(fields(96)).answer().status, 200, "100 fields");
    assert_eq!(ask(format!("X: {}\r\n", "a".repeat(8000))).answer().status, 200, "a field of 8 KB");
    last_answer(&mut ask(fields(97)), 431, "101 fields");
    last_answer(&mut ask(fields(5000)), 431, "5000 fields");
    last_answer(&mut ask(format!("X: {}\r\n", "a".repeat(1 << 20))), 431, "a field of 1 MB");
    last_answer(&mut ask(format!("{}: a\r\n", "a".repeat(70_000))), 431, "a name of 70 KB");
    for size in [70_000, 1 << 20] {
        let mut wire = server.wire();
        wire.send(format!("POST /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(size)).as_bytes());
        last_answer(&mut wire, 431, "a URI beyond the largest head");
    }
    let mut wire = server.wire();
    wire.send(&vec![b'A'; 1 << 20]);
    last_answer(&mut wire, 431, "a line without an end");
    let mut wire = server.wire();
    let endless = "X: a\r\n".repeat(1000);
    wire.send(head(&client, "").strip_suffix("\r\n").unwrap().as_bytes());
    let mut sent = 0;
    while wire.try_send(endless.as_bytes()) {
        sent += endless.len();
        assert!(sent < 64 << 20, "a head without end");
    }
    last_answer(&mut wire, 431, "a head without end");
    bystander.check("large heads");
}
