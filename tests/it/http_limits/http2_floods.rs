//! Floods of HTTP/2 frames that cost their sender little: each is cut short or costs the server as little.

use std::time::{Duration, Instant};

use super::{Bystander, is_token};
use crate::support::h2::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End, H2, HEADERS, PING,
    REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, encode, push_text, token_fields,
};
use crate::support::{GRANT, Home, Server, count, wait_for};

/// How many frames a flood has, at the most: it ends when the server takes no more.
fn flood() -> usize {
    count("JETON_TEST_FLOOD", 20_000)
}

/// The largest that `max_concurrent_streams` lets in.
const STREAMS: usize = 128;

#[test]
fn t024_streams_beyond_the_limit_are_refused_and_the_others_answered() {
    let (server, client) = Server::usual();
    let mut bystander = Bystander::new(&server, &client);
    let basic = client.basic();
    let mut h2 = H2::connect(&server.address);
    let streams: Vec<u32> = (0..STREAMS + 40).map(|_| h2.open()).collect();
    for stream in &streams {
        h2.headers(0, *stream, &token_fields(&basic));
    }
    let (kept, refused) = streams.split_at(STREAMS);
    for stream in refused {
        assert_eq!(h2.end_of(*stream), End::Reset(REFUSED_STREAM), "stream {stream}");
    }
    for stream in kept {
        h2.send(DATA, END_STREAM, *stream, GRANT.as_bytes());
        let end = h2.end_of(*stream);
        assert!(is_token(&end), "stream {stream}: {end:?}");
    }
    assert!(is_token(&h2.ask(&client, GRANT)), "the connection goes on");
    bystander.check("too many streams");
}

/// Sends what `script` makes until the server takes no more, and expects to be told to calm down.
fn expect_calm(what: &str, mut script: impl FnMut(&mut H2, &str) -> bool) {
    let (server, client) = Server::usual();
    let mut bystander = Bystander::new(&server, &client);
    let basic = client.basic();
    for _ in 0..3 {
        let mut h2 = H2::connect(&server.address);
        for _ in 0..flood() {
            if !script(&mut h2, &basic) {
                break;
            }
        }
        assert_eq!(h2.end(), Some(ENHANCE_YOUR_CALM), "{what}");
        bystander.check(what);
    }
}

#[test]
fn t024_rapid_reset() {
    expect_calm("rapid reset", |h2, basic| {
        let stream = h2.open();
        h2.headers(END_STREAM, stream, &token_fields(basic));
        h2.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
    });
}

#[test]
fn t024_made_you_reset_by_windows_that_overflow() {
    expect_calm("overflowing windows", |h2, basic| {
        let stream = h2.open();
        h2.headers(0, stream, &token_fields(basic));
        h2.send(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())
    });
}

#[test]
fn t024_streams_far_beyond_the_limit_end_the_connection() {
    expect_calm("streams without end", |h2, basic| {
        let stream = h2.open();
        h2.headers(0, stream, &token_fields(basic))
    });
}

#[test]
fn t024_made_you_reset_by_malformed_requests() {
    expect_calm("malformed requests", |h2, basic| {
        let stream = h2.open();
        h2.headers(END_STREAM, stream, &[(":method", "POST"), ("authorization", basic)])
    });
}

#[test]
fn t024_continuation_flood() {
    let field = block(&[("x", &"a".repeat(8000))]);
    expect_calm("CONTINUATION flood", |h2, _| match h2.open() {
        1 => h2.send(HEADERS, END_STREAM, 1, &field),
        _ => h2.send(CONTINUATION, 0, 1, &field),
    });
    expect_calm("empty CONTINUATION flood", |h2, basic| match h2.open() {
        1 => h2.send(HEADERS, END_STREAM, 1, &block(&token_fields(basic))),
        _ => h2.send(CONTINUATION, 0, 1, &[]),
    });
}

#[test]
fn t024_empty_data_flood() {
    expect_calm("empty DATA flood", |h2, basic| match h2.open() {
        1 => h2.headers(0, 1, &token_fields(basic)),
        _ => h2.send(DATA, 0, 1, b""),
    });
}

/// Frames that must be answered each: whoever does not read the answers is cut off at the write deadline, whoever
/// does is at the idle deadline, since none of them is a request.
#[test]
fn t024_ping_and_settings_floods() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve("[serve]\nworkers = 2\nwrite_deadline = \"1s\"\nidle_deadline = \"2s\"\n");
    let mut bystander = Bystander::new(&server, &client);
    let frames =
        [encode(PING, 0, 0, &[7; 8]), encode(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])].map(|frame| frame.repeat(1000));
    let flood = |frames: &[u8], reads: bool| {
        let mut h2 = H2::connect(&server.address);
        let mut reader = h2.wire.split_reader();
        let reader = reads.then(|| std::thread::spawn(move || reader.discard_rest()));
        let end = Instant::now() + Duration::from_secs(15);
        while h2.wire.try_send(frames) {
            assert!(Instant::now() < end, "a flood without end, reads: {reads}");
        }
        assert!(Instant::now() < end, "a flood that nobody cut off, reads: {reads}");
        if let Some(thread) = reader {
            thread.join().unwrap();
        }
    };
    let flood = &flood;
    std::thread::scope(|scope| {
        let floods =
            frames.iter().flat_map(|frames| [false, true].map(|reads| scope.spawn(move || flood(frames, reads))));
        let floods: Vec<_> = floods.collect();
        while floods.iter().any(|flood| !flood.is_finished()) {
            bystander.ask_on_old();
        }
    });
    bystander.check("PING and SETTINGS floods");
}

/// One large field in the table, then named again and again, a byte each.
#[test]
fn t024_hpack_bomb() {
    let (server, client) = Server::usual();
    let mut bystander = Bystander::new(&server, &client);
    let basic = client.basic();
    let before = server.cpu_millis();
    let mut h2 = H2::connect(&server.address);
    let mut seed = block(&token_fields(&basic));
    // A literal with incremental indexing: entry 62 from now on.
    seed.push(0x40);
    push_text("x", &mut seed);
    push_text(&"a".repeat(4000), &mut seed);
    let first = h2.open();
    h2.send(HEADERS, END_STREAM | END_HEADERS, first, &seed);
    let bomb = [block(&token_fields(&basic)), vec![0x80 | 0x3E; 15_000]].concat();
    let bombs: Vec<u32> = (0..50).map(|_| h2.open()).collect();
    for stream in &bombs {
        h2.send(HEADERS, END_STREAM | END_HEADERS, *stream, &bomb);
    }
    for stream in bombs {
        let end = h2.end_of(stream);
        assert!(matches!(end, End::Answer(431, _) | End::Reset(_) | End::GoAway(_)), "{end:?}");
        if matches!(end, End::GoAway(_)) {
            break;
        }
    }
    bystander.check("HPACK bomb");
    // 50 frames of 15 KB stand for 3 GB of fields, which nobody may ever have built.
    assert!(server.cpu_millis() - before < 5000);
}

#[test]
fn t017_t024_a_field_list_beyond_16_kib_is_refused() {
    let (server, client) = Server::usual();
    let basic = client.basic();
    let mut h2 = H2::connect(&server.address);
    for (size, accepted) in [(7000, true), (17_000, false)] {
        let stream = h2.open();
        let value = "a".repeat(size);
        let fields = block(&[token_fields(&basic).as_slice(), &[("x", &value)]].concat());
        let (first, second) = fields.split_at(fields.len().min(16_000));
        h2.send(HEADERS, 0, stream, first);
        h2.send(CONTINUATION, END_HEADERS, stream, second);
        h2.send(DATA, END_STREAM, stream, GRANT.as_bytes());
        let end = h2.end_of(stream);
        if accepted {
            assert!(is_token(&end), "{end:?}");
        } else {
            assert!(matches!(end, End::Answer(431, _)), "{end:?}");
        }
    }
    assert!(is_token(&h2.ask(&client, GRANT)), "the connection goes on");
}

#[test]
fn t019_a_connection_without_requests_ends_whatever_it_sends() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve("[serve]\nworkers = 1\nidle_deadline = \"2s\"\n");
    let mut h2 = H2::connect(&server.address);
    assert!(is_token(&h2.ask(&client, GRANT)));
    wait_for("the pinging connection ends", || (!h2.send(PING, ACK, 0, &[0; 8])).then_some(()));
    assert_eq!(server.ask(&client, GRANT).status, 200);
}
