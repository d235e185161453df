//! The syntax of HTTP: what is refused before anybody asks who is there, and what is not understood by mistake.
//!
//! Here: how a request is written, byte for byte, and the routes. `framing` is where a message ends, `headers` what
//! header fields do and must not do.

mod framing;
mod headers;

use crate::support::{Answer, Client, GRANT, Server, claims};

/// A request of `client` as bytes. `lines` come after the usual ones and each end in CRLF.
fn request(client: &Client, line: &str, lines: &str) -> Vec<u8> {
    framed(client, line, &format!("Host: x\r\nContent-Length: {}\r\n{lines}", GRANT.len()), GRANT)
}

/// A request whose header lines say themselves where it goes and where it ends.
fn framed(client: &Client, line: &str, lines: &str, body: &str) -> Vec<u8> {
    let usual = format!("Authorization: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n", client.basic());
    format!("{line}\r\n{usual}{lines}\r\n{body}").into_bytes()
}

const POST: &str = "POST /oauth2/token HTTP/1.1";

fn ask(server: &Server, bytes: &[u8]) -> Answer {
    let mut wire = server.wire();
    wire.send(bytes);
    wire.answer()
}

/// Sends what must be answered once, with `status` and JSON that no cache keeps, and then be cut off.
fn refused_and_closed(server: &Server, bytes: &[u8], status: u16, what: &str) {
    let mut wire = server.wire();
    wire.send(bytes);
    let answer = wire.try_answer(true).unwrap_or_else(|| panic!("{what}: closed without an answer"));
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    answer.check_refusal(what);
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
    assert!(wire.is_closed(), "{what}: the connection goes on");
}

#[test]
fn t001_t002_only_post_is_allowed() {
    let (server, client) = Server::usual();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "post", "Post", "CONNECT"] {
        let answer = ask(&server, &request(&client, &format!("{method} /oauth2/token HTTP/1.1"), "X-Echo: marker\r\n"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
        answer.check_refusal(method);
        assert!(!answer.text().contains("marker") && !answer.head.contains("marker"), "{method} echoes");
    }
    let mut wire = server.wire();
    wire.send(&request(&client, "HEAD /oauth2/token HTTP/1.1", ""));
    assert_eq!(wire.head_answer().status, 405, "HEAD");
    wire.send(&request(&client, POST, ""));
    assert_eq!(wire.answer().status, 200, "no body came after the answer to HEAD");
    let tunnel = ask(&server, b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n");
    assert_eq!(tunnel.status, 404, "CONNECT opens nothing");
    assert_eq!(ask(&server, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").status, 404, "OPTIONS *");
}

#[test]
fn t003_a_credentialed_post_is_never_redirected() {
    let (server, client) = Server::usual();
    for path in [
        "/oauth2/token/",
        "//oauth2/token",
        "/OAuth2/Token",
        "/oauth2/token/../token",
        "/oauth2/./token",
        "/oauth2/%74oken",
        "/oauth2/token;x",
        "/oauth2",
        "/token",
        "http://x//oauth2/token",
    ] {
        let answer = ask(&server, &request(&client, &format!("POST {path} HTTP/1.1"), ""));
        assert_eq!((answer.status, answer.header("location")), (404, None), "{path}");
        answer.check_refusal(path);
    }
}

#[test]
fn t004_an_unknown_path_is_not_reflected() {
    let (server, _) = Server::usual();
    for (path, status) in
        [("/%3Cscript%3Emarker", 404), ("/marker%00", 404), ("/marker%0d%0aX:%201", 404), ("/<script>marker", 400)]
    {
        let answer = ask(&server, format!("GET {path} HTTP/1.1\r\nHost: marker\r\n\r\n").as_bytes());
        assert_eq!(answer.status, status, "{path}");
        answer.check_refusal(path);
        for marker in ["marker", "script"] {
            assert!(!answer.text().contains(marker) && !answer.head.contains(marker), "{path} is reflected");
        }
    }
}

#[test]
fn t005_t006_no_host_and_no_forwarding_header_changes_issuer_or_urls() {
    let (server, client) = Server::usual();
    let issuer = |answer: &Answer| claims(&answer.access_token())["iss"].clone();
    for target in ["http://evil.example/oauth2/token", "https://evil.example:444/oauth2/token"] {
        let line = format!("POST {target} HTTP/1.1");
        assert_eq!(issuer(&ask(&server, &request(&client, &line, ""))), server.url(), "T-005 {target}");
    }
    for spoof in [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 444",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-For: 203.0.113.1",
        "Forwarded: for=203.0.113.1;host=evil.example;proto=https",
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
        "X-HTTP-Method-Override: GET",
    ] {
        let answer = ask(&server, &request(&client, POST, &format!("{spoof}\r\n")));
        assert_eq!(issuer(&answer), server.url(), "T-006 {spoof}");
        let path = "/.well-known/oauth-authorization-server";
        let document = ask(&server, format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n{spoof}\r\n\r\n").as_bytes());
        assert_eq!(document.body, server.get(path).body, "T-006 M-08 {spoof}");
        assert!(!document.text().contains("evil"));
    }
}

#[test]
fn t007_exactly_one_well_formed_host() {
    let (server, client) = Server::usual();
    let with = |lines: &str| framed(&client, POST, &format!("{lines}Content-Length: {}\r\n", GRANT.len()), GRANT);
    for hosts in [
        "",
        "Host: x\r\nHost: x\r\n",
        "Host: x\r\nHost: y\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a:b\r\n",
        "Host: a:1:2\r\n",
        "Host: [::1\r\n",
        "Host: \"a\"\r\n",
        "Host : x\r\n",
    ] {
        refused_and_closed(&server, &with(hosts), 400, &format!("{hosts:?}"));
    }
    for host in ["Host: token.example:8080\r\n", "hOST:[::1]:80\r\n"] {
        assert_eq!(ask(&server, &with(host)).status, 200, "{host:?}");
    }
}

#[test]
fn t008_http_1_0_works_and_closes() {
    let (server, client) = Server::usual();
    for host in ["", "Host: x\r\n"] {
        let mut wire = server.wire();
        let lines = format!("{host}Content-Length: {}\r\n", GRANT.len());
        wire.send(&framed(&client, "POST /oauth2/token HTTP/1.0", &lines, GRANT));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.header("transfer-encoding")), (200, None));
        assert!(answer.head.starts_with("HTTP/1.0 "), "{}", answer.head);
        assert!(wire.is_closed());
    }
}

#[test]
fn malformed_request_lines_are_refused() {
    let (server, client) = Server::usual();
    for line in [
        "POST  /oauth2/token HTTP/1.1",
        "POST /oauth2/token  HTTP/1.1",
        "POST /oauth2/token",
        "POST /oauth2/token HTTP/1.2",
        "POST /oauth2/token HTTP/2.0",
        "POST /oauth2/token http/1.1",
        " POST /oauth2/token HTTP/1.1",
        "POST\t/oauth2/token\tHTTP/1.1",
        "POST /oauth2/to ken HTTP/1.1",
        "POST oauth2/token HTTP/1.1",
        "P(ST /oauth2/token HTTP/1.1",
        "PRI * HTTP/2.0",
        "\u{16}\u{3}\u{1}",
    ] {
        refused_and_closed(&server, &request(&client, line, ""), 400, &format!("{line:?}"));
    }
}
