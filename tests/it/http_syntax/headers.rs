//! What header fields are, and what they must not do.

use std::collections::BTreeSet;

use super::{POST, ask, framed, refused_and_closed, request};
use crate::support::{GENEROUS, GRANT, Home, Server, claims, wait_for};

#[test]
fn t013_malformed_header_lines_are_refused() {
    let (server, client) = Server::usual();
    for line in [
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
        "X: a\u{1}b\r\n",
        "X: a\u{7f}b\r\n",
        "X : a\r\n",
        "X\t: a\r\n",
        "X(: a\r\n",
        "X Y: a\r\n",
        "\"X\": a\r\n",
        "é: a\r\n",
        ": a\r\n",
        "X\r\n",
        "X\0: a\r\n",
    ] {
        refused_and_closed(&server, &request(&client, POST, line), 400, &format!("{line:?}"));
    }
    let folded_first = b"POST /oauth2/token HTTP/1.1\r\n Host: x\r\n\r\n";
    refused_and_closed(&server, folded_first, 400, "a fold where the first line should be");
}

#[test]
fn t021_an_encoded_body_is_refused_before_a_byte_of_it_is_read() {
    let (server, client) = Server::usual();
    for coding in ["gzip", "deflate", "br", "zstd", "GZIP", "x-gzip", "gzip, identity", "identity, gzip", "unknown"] {
        // The bomb itself is never sent: the answer comes all the same.
        let lines = format!("Host: x\r\nContent-Encoding: {coding}\r\nContent-Length: 10240\r\n");
        let answer = ask(&server, &framed(&client, POST, &lines, ""));
        assert_eq!(answer.status, 415, "{coding}");
        answer.check_refusal(coding);
    }
    let twice = "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n";
    assert_eq!(ask(&server, &request(&client, POST, twice)).status, 415);
    assert_eq!(ask(&server, &request(&client, POST, "Content-Encoding: identity\r\n")).status, 200);
}

/// What a server says that has more to do than it may.
fn overloaded() -> crate::support::Answer {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{}max_in_flight = 1\n", GENEROUS.replace("workers = 2", "workers = 1")));
    let wrong = crate::support::Client { secret: "wrong".to_owned(), ..client };
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    ask(&server, &request(&wrong, POST, ""));
                }
            });
        }
        let full = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the only permit is taken", || {
                Some(ask(&server, &request(&wrong, POST, ""))).filter(|answer| answer.status == 503)
            })
        }));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        full.unwrap()
    })
}

/// Every status that this server answers with by itself; 500 and 503 for want of a store have tests of their own.
#[test]
fn t022_no_status_may_be_kept_by_a_cache() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve("[serve]\nworkers = 1\nbody_deadline = \"3s\"\n[limits]\nclient_failures = 1\n");
    let mut seen = BTreeSet::new();
    let mut see = |answer: &crate::support::Answer| {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.head);
        if answer.status != 200 {
            answer.check_refusal("a status");
        }
        if !matches!(answer.status, 404 | 405) {
            assert_eq!(answer.header("pragma"), Some("no-cache"), "{}", answer.head);
        }
        seen.insert(answer.status);
    };
    see(&ask(&server, &request(&client, POST, "")));
    see(&ask(&server, &request(&client, "GET /oauth2/token HTTP/1.1", "")));
    see(&ask(&server, &request(&client, "POST / HTTP/1.1", "")));
    see(&ask(&server, &request(&client, POST, "Content-Encoding: br\r\n")));
    see(&ask(&server, &request(&client, POST, "Content-Type: text/plain\r\n")));
    see(&ask(&server, &request(&client, POST, "X : a\r\n")));
    see(&ask(&server, &request(&client, POST, &format!("X: {}\r\n", "a".repeat(20_000)))));
    see(&ask(&server, &framed(&client, POST, "Host: x\r\nContent-Length: 70000\r\n", "")));
    let mut half = server.wire();
    half.send(&framed(&client, POST, "Host: x\r\nContent-Length: 100\r\n", "grant_type"));
    see(&half.answer());
    see(&overloaded());
    let wrong = crate::support::Client { secret: "wrong".to_owned(), ..client };
    for _ in 0..3 {
        see(&ask(&server, &request(&wrong, POST, "")));
    }
    assert_eq!(seen, BTreeSet::from([200, 400, 401, 404, 405, 408, 413, 415, 429, 431, 503]));
}

#[test]
fn t023_no_cookies_and_no_foreign_origins() {
    let (server, client) = Server::usual();
    let lines = "Origin: https://evil.example\r\nCookie: session=1\r\n";
    let cookie = format!("Cookie: access={}; client_id={}\r\n", client.secret, client.id);
    let answers = [
        ask(&server, &request(&client, POST, lines)),
        ask(&server, &framed(&client, "OPTIONS /oauth2/token HTTP/1.1", &format!("Host: x\r\n{lines}Access-Control-Request-Method: POST\r\n"), "")),
        ask(&server, format!("{POST}\r\nHost: x\r\n{cookie}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\n{GRANT}").as_bytes()),
        ask(&server, &request(&client, "POST /nowhere HTTP/1.1", lines)),
        ask(&server, format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes()),
    ];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 405, 401, 404, 200]);
    for answer in &answers {
        for name in ["set-cookie", "access-control-allow-credentials", "access-control-allow-methods"] {
            assert_eq!(answer.header(name), None, "{}", answer.head);
        }
    }
    let origins = answers.each_ref().map(|answer| answer.header("access-control-allow-origin"));
    assert_eq!(origins, [None, None, None, None, Some("*")], "only public keys are for any page");
}

#[test]
fn t027_headers_named_in_connection_are_neither_trusted_nor_taken_away() {
    let (server, client) = Server::usual();
    for lines in [
        "Connection: authorization, content-type, content-length, host\r\n",
        "Connection: x-ssl-client-cert\r\nX-SSL-Client-Cert: -----BEGIN CERTIFICATE-----\r\n",
        "Connection: keep-alive, x-forwarded-for\r\nX-Forwarded-For: 127.0.0.1\r\n",
        "Keep-Alive: timeout=1\r\nProxy-Authorization: Basic YTpi\r\nTE: trailers\r\nTrailer: authorization\r\n",
    ] {
        let answer = ask(&server, &request(&client, POST, lines));
        assert_eq!(claims(&answer.access_token())["client_id"], client.id, "{lines}");
        let nobody = format!(
            "{POST}\r\nHost: x\r\n{lines}X-Client-Id: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\n{GRANT}",
            client.id
        );
        let answer = ask(&server, nobody.as_bytes());
        assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"), "T-151 {lines}");
    }
}

#[test]
fn t028_an_upgrade_is_ignored() {
    let (server, client) = Server::usual();
    let mut wire = server.wire();
    for lines in [
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        "Upgrade: TLS/1.2, HTTP/1.1\r\nConnection: Upgrade\r\n",
    ] {
        wire.send(&request(&client, POST, lines));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("upgrade")), (200, None), "{lines}");
        assert!(answer.head.starts_with("HTTP/1.1 "));
    }
    wire.send(&request(&client, POST, ""));
    assert_eq!(wire.answer().status, 200, "still HTTP/1.1");
}
