//! counts: instructions per token, of the whole request in process and of its stages, by callgrind.
//!
//! `benches/counts` builds it, runs it and says what differs from `benches/counts.toml`; it ends with 1 when a count has
//! grown by more than a few per cent. It starts itself under valgrind, which counts only inside `counted_loop` and
//! only in its thread; every subject goes through it twice, and the difference between the longer and the shorter loop
//! is what so many rounds take, whatever went before. The lesser of two such runs counts: a timer that fires meanwhile
//! only ever adds.
//!
//! Valgrind shows every program the same processor, one with AVX2 and without AVX-512 and the SHA extensions: so it is
//! the portable paths that are counted, on whatever machine. The signature is three quarters of those and its own
//! subject; what is left of the request without it is our code and that of tokio (and hyper). The libraries are those of
//! the tests, optimised, with their assertions on; the package itself is optimised, with none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

#[path = "support/figures.rs"]
mod figures;
mod support;

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use figures::Counts;
use jeton::buffers::Buffers;
use jeton::http::express::Heads;
use jeton::http::express::request::{self as usual, Begun};
use jeton::jwt::sign::max_token_bytes;
use jeton::jwt::{Instants, Stamp, TokenId, push_unsigned};
use jeton::oauth::client_auth::BasicText;
use jeton::oauth::{Algorithm, Client, Closing, TokenRequest, TokenResponse};
use support::{GRANT, NOW, Pipe, Service, master};

/// What valgrind calls `counted_loop`.
const LOOP: &str = "counts::counted_loop";
/// Rounds that fill caches and buffers, and those of both loops.
const WARM_UP: u32 = 100;
const SHORT: u32 = 100;
const LONG: u32 = 300;
const RUNS: usize = 2;

/// Takes a subject by its name.
type Take<'a> = &'a mut dyn FnMut(&str, &mut dyn FnMut());

fn main() {
    if std::env::args().any(|argument| argument == "--count") {
        let mut take = |name: &str, work: &mut dyn FnMut()| {
            (0..WARM_UP).for_each(|_| work());
            counted_loop(work, SHORT);
            counted_loop(work, LONG);
            println!("{name}");
        };
        whole(&mut take);
        before_the_token(&mut take);
        the_token(&mut take);
        return;
    }
    let runs = [(); RUNS].map(|()| run());
    let mut counts = runs[0].clone();
    for (name, count) in &mut counts {
        *count = runs.iter().map(|run| run[name]).fold(f64::INFINITY, f64::min);
    }
    for way in ["request", "request by hyper"] {
        counts.insert(format!("{way} without its signature"), counts[way] - counts["signature"]);
    }
    let (said, code) = figures::settle(&[(figures::INSTRUCTIONS, counts)]);
    println!("{said}");
    std::process::exit(code);
}

/// Where valgrind counts.
#[inline(never)]
fn counted_loop(work: &mut dyn FnMut(), rounds: u32) {
    for _ in 0..rounds {
        work();
    }
    black_box(rounds);
}

/// From the bytes of the socket to the bytes of the reply, past hyper and by way of it.
fn whole(take: Take) {
    let service = Service::new();
    let mut pipe = Pipe::open(&service);
    let request = service.request();
    take("request", &mut || assert!(pipe.ask(&request).starts_with(b"HTTP/1.1 200 OK")));
    let (head, form) = request.split_at(request.len() - GRANT.len());
    take("request in two pieces", &mut || assert!(pipe.ask_in_pieces(&[head, form]).starts_with(b"HTTP/1.1 200 OK")));
    let unusual = support::unusual(&request);
    take("request by hyper", &mut || assert!(pipe.ask(&unusual).starts_with(b"HTTP/1.1 200 OK")));
}

/// The stages up to the grant.
fn before_the_token(take: Take) {
    let service = Service::new();
    let (basic, clients) = (service.basic(), service.app.authenticator.clients());
    let whole = service.request();
    take("read", &mut || assert!(matches!(usual::parse(black_box(&whole), "/oauth2/token", 1000), Begun::Usual(_))));
    take("parse", &mut || {
        let text = BasicText::decode([black_box(basic.as_bytes())].into_iter()).unwrap();
        let request = TokenRequest::parse(black_box(GRANT.as_bytes()), text.as_ref()).unwrap();
        assert!(request.auth().readings().count() == 1);
    });
    let id = service.client.id.as_str();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(clients.load(id)).unwrap().is_some());
    take("cache hit", &mut || assert!(clients.with_known(black_box(id), |known| known.client().enabled).unwrap()));
    let hasher = master().secret_hasher();
    take("authenticate", &mut || {
        let hash = hasher.hash(black_box(&service.secret));
        assert!(Client::authenticate(black_box(Some(&service.client)), &hash, NOW).is_some());
    });
    let form = TokenRequest::parse(GRANT.as_bytes(), None).unwrap();
    let audience = &clients.defaults().audience;
    take("authorize", &mut || assert!(black_box(&service.client).authorize(&form, audience).unwrap().is_default()));
}

/// The stages from the grant on.
fn the_token(take: Take) {
    let service = Service::new();
    let keys = service.app.keys.load();
    let key = keys.active(Algorithm::EdDsa, NOW).unwrap();
    let claims = service.app.authenticator.clients().defaults().claims(&service.client);
    let instants = Instants::default();
    let stamp = Stamp { issued_at: NOW, expires_at: NOW.plus(Duration::from_hours(1)), id: TokenId([5; 16]) };
    let mut token = Vec::with_capacity(max_token_bytes(&claims, key));
    take("encode", &mut || {
        token.clear();
        black_box(push_unsigned(black_box(&claims), (&stamp, &instants), key, &mut token));
    });
    let message = token.clone();
    take("signature", &mut || drop(black_box(key.sign(black_box(&message)).unwrap())));
    let (heads, buffers) = (Heads::default(), Buffers::default());
    take("reply", &mut || {
        let closing = Closing::Of(black_box(3600), "read write");
        let mut response = TokenResponse::begin(buffers.take(), token.len(), &closing);
        response.buffer_mut().extend_from_slice(black_box(&token));
        response.finish(closing);
        buffers.give_back(black_box(heads.issued(response, NOW)).0);
    });
}

/// One run of all subjects under valgrind: the instructions of one round of each.
fn run() -> Counts {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counted");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-line=no", &format!("--callgrind-out-file={}", file.display())])
        .args([format!("--toggle-collect={LOOP}"), format!("--dump-after={LOOP}")])
        .arg(std::env::current_exe().unwrap())
        .arg("--count")
        .stdin(Stdio::null())
        .output()
        .expect("valgrind is needed: apt-get install valgrind");
    let (names, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let mut parts = (1..).map(|number| total(&file.with_extension(number.to_string())));
    let subjects = names.lines().map(|name| {
        let (short, long) = (parts.next().unwrap(), parts.next().unwrap());
        (name.to_owned(), ((long - short) / f64::from(LONG - SHORT)).round())
    });
    subjects.collect()
}

/// All instructions of one part of what callgrind wrote.
fn total(file: &Path) -> f64 {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{LOOP} was not counted: {error}"));
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind writes totals");
    total.parse().unwrap()
}
