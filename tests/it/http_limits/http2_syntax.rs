//! Malformed HTTP/2 (RFC 9113 §8): an error of the stream or of the connection, never an answer.

use super::{Bystander, is_token};
use crate::support::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, End, H2, HEADERS, PROTOCOL_ERROR, block, token_fields,
};
use crate::support::{GRANT, Server, claims};

fn issuer(end: &End) -> String {
    let End::Answer(200, body) = end else { panic!("{end:?}") };
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    claims(body["access_token"].as_str().unwrap())["iss"].as_str().unwrap().to_owned()
}

#[test]
fn http2_answers_many_streams_of_one_connection_each_on_its_own() {
    let (server, client) = Server::usual();
    let mut h2 = H2::connect(&server.address);
    let basic = client.basic();
    for round in 0..20 {
        let wrong = crate::support::basic(&client.id, "wrong");
        let authorization = if round % 2 == 0 { &basic } else { &wrong };
        let stream = h2.post(&token_fields(authorization), GRANT);
        let end = h2.end_of(stream);
        if round % 2 == 0 {
            assert_eq!(issuer(&end), server.url());
        } else {
            assert!(matches!(&end, End::Answer(401, body) if body.contains("invalid_client")), "{end:?}");
        }
    }
    let nothing = h2.post(&[(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/x")], "");
    assert!(matches!(h2.end_of(nothing), End::Answer(404, _)));
}

/// Changes to the fields of a valid token request, each of which makes it malformed.
fn malformed_fields<'a>(basic: &'a str, long: &'a str) -> Vec<(&'static str, Vec<(&'a str, &'a str)>)> {
    let usual = token_fields(basic).to_vec();
    let with = |field| [usual.clone(), vec![field]].concat();
    let without = |name| usual.iter().copied().filter(|(found, _)| *found != name).collect::<Vec<_>>();
    let instead = |name, field| usual.iter().copied().map(|f| if f.0 == name { field } else { f }).collect::<Vec<_>>();
    vec![
        ("connection", with(("connection", "close"))),
        ("keep-alive", with(("keep-alive", "timeout=5"))),
        ("proxy-connection", with(("proxy-connection", "close"))),
        ("transfer-encoding", with(("transfer-encoding", "chunked"))),
        ("upgrade", with(("upgrade", "h2c"))),
        ("te", with(("te", "gzip"))),
        ("upper case", with(("X-Upper", "1"))),
        ("upper case of a known name", instead("authorization", ("Authorization", basic))),
        ("space in a name", with(("x y", "1"))),
        ("empty name", with(("", "1"))),
        ("CR LF in a value", with(("x", "a\r\ntransfer-encoding: chunked"))),
        ("LF in a value", with(("x", "a\nb"))),
        ("CR in a value", with(("x", "a\rb"))),
        ("NUL in a value", with(("x", "a\0b"))),
        ("CR LF in a name", with(("x\r\ny", "1"))),
        ("CR LF in the path", instead(":path", (":path", "/oauth2/token\r\nx: y"))),
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("no path", without(":path")),
        ("empty path", instead(":path", (":path", ""))),
        ("relative path", instead(":path", (":path", "oauth2/token"))),
        ("method twice", [vec![(":method", "GET")], usual.clone()].concat()),
        ("path twice", [vec![(":path", "/x")], usual.clone()].concat()),
        ("unknown pseudo-header", [vec![(":evil", "1")], usual.clone()].concat()),
        ("status in a request", [vec![(":status", "200")], usual.clone()].concat()),
        ("pseudo-header behind a header", [vec![("x", "1")], usual.clone()].concat()),
        ("space in the method", instead(":method", (":method", "PO ST"))),
        ("path with a space", instead(":path", (":path", "/oauth2/token HTTP/1.1"))),
        ("user in the authority", instead(":authority", (":authority", "a b"))),
        ("protocol without extended CONNECT", [vec![(":protocol", "websocket")], usual.clone()].concat()),
        ("length that is no number", with(("content-length", "+29"))),
        ("length twice", [with(("content-length", "29")), vec![("content-length", "30")]].concat()),
        ("length beyond all numbers", with(("content-length", long))),
    ]
}

#[test]
fn t025_a_malformed_request_is_an_error_of_its_stream() {
    let (server, client) = Server::usual();
    let mut bystander = Bystander::new(&server, &client);
    let (basic, long) = (client.basic(), "9".repeat(40));
    for (what, fields) in malformed_fields(&basic, &long) {
        let mut h2 = H2::connect(&server.address);
        let stream = h2.post(&fields, GRANT);
        let end = h2.end_of(stream);
        assert!(matches!(end, End::Reset(PROTOCOL_ERROR) | End::GoAway(PROTOCOL_ERROR)), "{what}: {end:?}");
        if matches!(end, End::Reset(_)) {
            assert!(is_token(&h2.ask(&client, GRANT)), "the connection goes on after {what}");
        }
    }
    bystander.check("malformed requests");
}

#[test]
fn t025_a_length_that_the_data_does_not_have_is_an_error() {
    let (server, client) = Server::usual();
    let (basic, length) = (client.basic(), GRANT.len().to_string());
    let fields = [token_fields(&basic).as_slice(), &[("content-length", &length)]].concat();
    for (what, parts) in [
        ("too short", vec![&GRANT[..10]]),
        ("nothing", vec![""]),
        ("too long", vec![GRANT, "&x=y"]),
        ("too long at once", vec!["grant_type=client_credentials&x=y"]),
    ] {
        let mut h2 = H2::connect(&server.address);
        let stream = h2.open();
        h2.headers(0, stream, &fields);
        for (at, part) in parts.iter().enumerate() {
            let flags = if at + 1 == parts.len() { END_STREAM } else { 0 };
            h2.send(DATA, flags, stream, part.as_bytes());
        }
        assert_eq!(h2.end_of(stream), End::Reset(PROTOCOL_ERROR), "{what}");
        let stream = h2.post(&fields, GRANT);
        assert!(is_token(&h2.end_of(stream)), "the right length, after {what}");
    }
    let mut h2 = H2::connect(&server.address);
    let stream = h2.open();
    h2.headers(END_STREAM, stream, &fields);
    assert_eq!(h2.end_of(stream), End::Reset(PROTOCOL_ERROR), "no data at all");
}

#[test]
fn t005_t006_the_authority_changes_no_issuer() {
    let (server, client) = Server::usual();
    let basic = client.basic();
    let mut h2 = H2::connect(&server.address);
    for authority in [Some("evil.example"), Some("evil.example:444"), None] {
        for host in [None, Some("other.example")] {
            let mut fields = token_fields(&basic).to_vec();
            fields.retain(|(name, _)| *name != ":authority");
            fields.extend(host.map(|host| ("host", host)));
            fields.splice(0..0, authority.map(|authority| (":authority", authority)));
            let stream = h2.post(&fields, GRANT);
            assert_eq!(issuer(&h2.end_of(stream)), server.url(), "{authority:?} {host:?}");
        }
    }
}

type Script<'a> = &'a dyn Fn(&mut H2) -> bool;

#[test]
fn frames_out_of_place_end_the_connection_and_no_other() {
    let (server, client) = Server::usual();
    let mut bystander = Bystander::new(&server, &client);
    let basic = client.basic();
    let fields = block(&token_fields(&basic));
    let scripts: [(&str, Script<'_>); 9] = [
        ("data on stream 0", &|h2| h2.send(DATA, END_STREAM, 0, b"x")),
        ("data on an idle stream", &|h2| h2.send(DATA, END_STREAM, 5, b"x")),
        ("headers on stream 0", &|h2| h2.send(HEADERS, END_STREAM | END_HEADERS, 0, &fields)),
        ("headers on a stream of the server's", &|h2| h2.send(HEADERS, END_STREAM | END_HEADERS, 2, &fields)),
        ("a continuation of nothing", &|h2| h2.send(CONTINUATION, END_HEADERS, 1, &fields)),
        ("a frame between headers and continuation", &|h2| {
            h2.send(HEADERS, 0, 1, &fields);
            h2.send(DATA, END_STREAM, 1, b"x")
        }),
        ("a frame beyond its largest size", &|h2| h2.send(DATA, 0, 1, &vec![0; 1 << 17])),
        ("a push promise", &|h2| h2.send(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])),
        ("a field block that is none", &|h2| h2.send(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 20])),
    ];
    for (what, script) in scripts {
        let mut h2 = H2::connect(&server.address);
        assert!(script(&mut h2), "{what}");
        assert!(h2.end().is_some_and(|code| code != 0), "{what}");
    }
    bystander.check("frames out of place");
}
