//! Where a message ends: lengths, chunks, expectations, pipelines. What two readers could understand differently is
//! refused, and the connection with it.

use super::{POST, ask, framed, refused_and_closed, request};
use crate::support::{Client, GRANT, Server, Wire};

/// What an attacker would like to have served as a request of its own.
const SMUGGLED: &str = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n";

fn chunked_grant() -> String {
    format!("{:x}\r\n{GRANT}\r\n0\r\n\r\n", GRANT.len())
}

fn chunked(client: &Client, body: &str) -> Vec<u8> {
    framed(client, POST, "Host: x\r\nTransfer-Encoding: chunked\r\n", body)
}

#[test]
fn t009_a_length_beside_chunks_ends_the_connection() {
    let (server, client) = Server::usual();
    let (length, chunks) = (format!("Content-Length: {}\r\n", GRANT.len()), "Transfer-Encoding: chunked\r\n");
    for lines in [format!("Host: x\r\n{length}{chunks}"), format!("Host: x\r\n{chunks}{length}")] {
        let (chunks, plain) = (chunked_grant() + SMUGGLED, format!("{GRANT}{SMUGGLED}"));
        for (body, status) in [(chunks, 200), (plain, 400), (format!("0\r\n\r\n{SMUGGLED}"), 400)] {
            let mut wire = server.wire();
            wire.send(&framed(&client, POST, &lines, &body));
            assert_eq!(wire.answer().status, status, "chunks decide: {lines:?} {body:?}");
            assert_eq!(wire.rest(), b"", "a second request was served after {lines:?}");
        }
    }
}

#[test]
fn t010_a_length_is_digits_and_said_once() {
    let (server, client) = Server::usual();
    let with = |lines: &str| framed(&client, POST, &format!("Host: x\r\n{lines}"), GRANT);
    for value in ["+29", "29,29", "29, 29", "0x1d", "-1", "18446744073709551616", "", "2 9", "29.0", "２９", "29;"] {
        refused_and_closed(&server, &with(&format!("Content-Length: {value}\r\n")), 400, value);
    }
    for (first, second) in [(29, 30), (30, 29), (0, 29), (29, 0)] {
        let lines = format!("Content-Length: {first}\r\nContent-Length: {second}\r\n");
        refused_and_closed(&server, &with(&lines), 400, &lines);
    }
}

#[test]
fn t011_one_chunked_is_the_only_transfer_coding() {
    let (server, client) = Server::usual();
    let te = "Transfer-Encoding";
    for lines in [
        format!("{te}: gzip\r\n"),
        format!("{te}: chunked, gzip\r\n"),
        format!("{te}: gzip, chunked\r\n"),
        format!("{te}: xchunked\r\n"),
        format!("{te}: chunkedx\r\n"),
        format!("{te}: chunked, chunked\r\n"),
        format!("{te}: identity\r\n"),
        format!("{te}: chunked;x=1\r\n"),
        format!("{te}: \"chunked\"\r\n"),
        format!("{te}: \u{b}chunked\r\n"),
        format!("{te}:\r\n"),
        format!("{te}: chunked\r\n{te}: chunked\r\n"),
        format!("{te}: chunked\r\n{te}: identity\r\n"),
        format!("{te}: identity\r\n{te}: chunked\r\n"),
        format!("{te}: gzip\r\n{te}: chunked\r\n"),
        format!("{te}: gzip, chunked\r\nContent-Length: 5\r\n"),
    ] {
        let bytes = framed(&client, POST, &format!("Host: x\r\n{lines}"), &(chunked_grant() + SMUGGLED));
        refused_and_closed(&server, &bytes, 400, &lines);
    }
    let old = framed(&client, "POST /oauth2/token HTTP/1.0", "Transfer-Encoding: chunked\r\n", &chunked_grant());
    refused_and_closed(&server, &old, 400, "HTTP/1.0");
}

#[test]
fn t012_malformed_and_endless_chunks_are_refused_in_bounded_memory() {
    let (server, client) = Server::usual();
    let warm = ask(&server, &chunked(&client, &chunked_grant()));
    assert_eq!(warm.status, 200);
    let before = server.memory();
    for (what, body) in [
        ("overflowing size", format!("fffffffffffffffff\r\n{GRANT}")),
        ("bare LF after the size", format!("1d\n{GRANT}\r\n0\r\n\r\n")),
        ("bare LF in an extension", format!("1d;a\nb\r\n{GRANT}\r\n0\r\n\r\n")),
        ("bare LF at the end", format!("1d\r\n{GRANT}\r\n0\n\n")),
        ("sign", format!("-1d\r\n{GRANT}\r\n0\r\n\r\n")),
        ("prefix", format!("0x1d\r\n{GRANT}\r\n0\r\n\r\n")),
        ("no size", format!("\r\n{GRANT}\r\n0\r\n\r\n")),
        ("space before the size", format!(" 1d\r\n{GRANT}\r\n0\r\n\r\n")),
        ("no end of the data", format!("1d\r\n{GRANT}XX0\r\n\r\n")),
        ("huge extension", format!("1d;{}\r\n{GRANT}\r\n0\r\n\r\n", "a".repeat(8 << 20))),
        ("many extensions", format!("1;{}\r\ng\r\n", "a".repeat(4000)).repeat(1000)),
        (
            "trailers of 20 KiB",
            format!("1d\r\n{GRANT}\r\n0\r\n{}\r\n", format!("X: {}\r\n", "a".repeat(1000)).repeat(20)),
        ),
        (
            "trailers of 8 MiB",
            format!("1d\r\n{GRANT}\r\n0\r\n{}\r\n", format!("X: {}\r\n", "a".repeat(1000)).repeat(8000)),
        ),
        ("malformed trailer", format!("1d\r\n{GRANT}\r\n0\r\nX y\r\n\r\n")),
    ] {
        refused_and_closed(&server, &chunked(&client, &body), 400, what);
    }
    let after = server.memory();
    assert!(after < before + 4096, "grew from {before} to {after} KiB");
}

#[test]
fn t014_a_valid_chunked_body_is_a_body() {
    let (server, client) = Server::usual();
    let bytewise: String = GRANT.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    for body in [
        chunked_grant(),
        format!("{bytewise}0\r\n\r\n"),
        format!("01D\r\n{GRANT}\r\n000\r\n\r\n"),
        format!("1d;name=value;q=\"v\"\r\n{GRANT}\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    ] {
        let mut wire = server.wire();
        for coding in ["chunked", "Chunked"] {
            let lines = format!("Host: x\r\nTransfer-Encoding: {coding}\r\n");
            wire.send(&framed(&client, POST, &lines, &body));
            assert_eq!(wire.answer().status, 200, "{coding} {body:?}");
        }
    }
}

#[test]
fn t018_a_body_is_invited_only_when_it_may_come() {
    let (server, client) = Server::usual();
    let announce = |lines: &str| framed(&client, POST, &format!("Host: x\r\nExpect: 100-continue\r\n{lines}"), "");
    for (lines, body) in [
        (format!("Content-Length: {}\r\n", GRANT.len()), GRANT.to_owned()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), chunked_grant()),
    ] {
        let mut wire = server.wire();
        wire.send(&announce(&lines));
        assert_eq!(wire.head_answer().status, 100, "{lines}");
        wire.send(body.as_bytes());
        assert_eq!(wire.answer().status, 200, "{lines}");
    }
    refused_and_closed(&server, &announce("Content-Length: 1000000\r\n"), 413, "beyond the limit");
    for (lines, status) in [
        ("Content-Length: 29\r\nContent-Encoding: gzip\r\n", 415),
        ("Content-Length: 29\r\nContent-Type: text/plain\r\n", 400),
    ] {
        assert_eq!(ask(&server, &announce(lines)).status, status, "{lines}: no 100 before a refusal by the head alone");
    }
    let other = request(&client, POST, "Expect: the unexpected\r\n");
    assert_eq!(ask(&server, &other).status, 200, "other expectations are ignored");
    let mut old = server.wire();
    let lines = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", GRANT.len());
    old.send(&framed(&client, "POST /oauth2/token HTTP/1.0", &lines, GRANT));
    assert_eq!(old.answer().status, 200, "HTTP/1.0 knows no 100");
}

/// A request whose scope tells its answer apart.
fn scoped(authorization: &str, scope: &str) -> String {
    let form = format!("{GRANT}&scope={scope}");
    let kind = "Content-Type: application/x-www-form-urlencoded";
    format!("{POST}\r\nHost: x\r\n{authorization}{kind}\r\nContent-Length: {}\r\n\r\n{form}", form.len())
}

#[test]
fn t020_pipelined_requests_are_answered_in_order_each_on_its_own() {
    let (server, client) = Server::usual();
    let authorization = format!("Authorization: {}\r\n", client.basic());
    let mut wire = server.wire();
    let burst = [
        scoped(&authorization, "read"),
        scoped("", "read"),
        scoped(&authorization, "write"),
        SMUGGLED.to_owned(),
        scoped("", "write"),
        scoped(&authorization, "write+read"),
    ];
    wire.send(burst.concat().as_bytes());
    let scope = |wire: &mut Wire| wire.answer().json()["scope"].as_str().unwrap_or_default().to_owned();
    assert_eq!(scope(&mut wire), "read");
    assert_eq!(wire.answer().status, 401, "the connection is not authenticated, a request is");
    assert_eq!(scope(&mut wire), "write");
    assert!(wire.answer().json()["keys"].is_array());
    assert_eq!(wire.answer().status, 401);
    assert_eq!(scope(&mut wire), "write read");
    wire.send(&scoped(&authorization, "read").repeat(100).into_bytes());
    for _ in 0..100 {
        assert_eq!(wire.answer().status, 200);
    }
}

#[test]
fn t020_a_reply_does_not_wait_for_what_comes_behind_its_request() {
    let (server, client) = Server::usual();
    let whole = String::from_utf8(request(&client, POST, "")).unwrap();
    let mut wire = server.wire();
    let (begun, rest) = whole.split_at(40);
    wire.send(format!("{whole}{begun}").as_bytes());
    assert_eq!(wire.answer().status, 200, "half of a second request has come");
    wire.send(rest.as_bytes());
    assert_eq!(wire.answer().status, 200, "and then the other half");

    let mut wire = server.wire();
    wire.send(format!("{whole}GARBAGE\r\n\r\n").as_bytes());
    assert_eq!(wire.answer().status, 200, "what comes behind is no request");
    let refusal = wire.answer();
    assert_eq!(refusal.status, 400);
    refusal.check_refusal("behind a valid request");
    assert!(wire.is_closed());

    let mut wire = server.wire();
    wire.send(&[request(&client, POST, "Connection: close\r\n"), whole.into_bytes()].concat());
    assert_eq!(wire.answer().status, 200);
    assert_eq!(wire.rest(), b"", "nothing is served after close");
}
