//! introspect: the use case whole, beside the bare verification of the signature, which is nearly all of it; and what
//! live revocations cost it, in time and memory.
//!
//! Run by `cargo bench --bench introspect` it compares introspection with no revocation and with 10⁶ of them over many
//! interleaved samples, prints the figures and ends with 1 when they slow it by [`MOST_SLOWER`] or more, or when one
//! takes more than [`MOST_BYTES`]. Run as a test it does the same with few of each and judges nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::Criterion;
use ed25519_dalek::{Signature, VerifyingKey};
use jeton::authenticator::Occasion;
use jeton::buffers::Buffers;
use jeton::jwt::{Desk, Instants, SignQueue, Stamp, TokenId, push_unsigned, sign};
use jeton::metrics::Laps;
use jeton::oauth::{Algorithm, TokenReference};
use jeton::store::Revocation;
use support::{NOW, Service};
use tokio::runtime::Runtime;

/// How much slower an introspection may be with all those revocations.
const MOST_SLOWER: f64 = 0.10;
/// The bound on the memory of one live revocation.
const MOST_BYTES: f64 = 256.0;
/// Several tokens, so that they are looked up in several places.
const TOKENS: usize = 256;

/// A service and requests to introspect tokens of its client.
struct Subject {
    service: Service,
    requests: Vec<String>,
    tokens: Vec<String>,
    runtime: Runtime,
}

impl Subject {
    fn new() -> Self {
        let service = Service::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tokens: Vec<String> = (0..TOKENS).map(|_| runtime.block_on(issue(&service))).collect();
        let caller = format!("client_id={}&client_secret={}", service.client.id, service.secret);
        let requests = tokens.iter().map(|token| format!("token={token}&{caller}")).collect();
        // As if the follower had just been there, for as long as this runs.
        service.app.revoked.note_current(tokio::time::Instant::now() + Duration::from_hours(24));
        Self { service, requests, tokens, runtime }
    }

    /// Introspects the token of this number: parse, authenticate, verify, look it up, answer.
    fn introspect(&self, number: usize) {
        let app = &self.service.app;
        let request = TokenReference::parse(self.requests[number % TOKENS].as_bytes(), None).unwrap();
        let trail = app.audit.trail(0, [127, 0, 0, 1].into());
        let (shard, queue, buffers, laps) =
            (app.metrics.shard(0), &SignQueue::default(), &Buffers::default(), &Laps::default());
        let client_key = std::cell::OnceCell::new();
        let instants = &Instants::default();
        let occasion = Occasion { now: NOW, throttled: None, shard, queue, instants, buffers, laps, trail, client_key };
        let (_, answer) = self.runtime.block_on(app.inspector.introspect(black_box(&request), &occasion)).unwrap();
        assert!(answer.is_active());
        black_box(serde_json::to_vec(&answer).unwrap());
    }

    /// Lets other tokens be revoked; how many bytes the process has grown by each.
    fn revoke(&self, count: u32) -> f64 {
        let before = resident_bytes();
        for number in 0..count {
            // Spread as random ids are, and over the ends of an hour.
            let bits = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
            let expires_at = NOW.plus(Duration::from_secs(u64::from(number % 3600)));
            self.service.app.revoked.insert(&[Revocation { token: TokenId(bits), expires_at }]);
        }
        assert_eq!(self.service.app.revoked.len(), count as usize);
        (resident_bytes() - before) / f64::from(count)
    }
}

async fn issue(service: &Service) -> String {
    let keys = service.app.keys.load();
    let key = keys.active(Algorithm::EdDsa, NOW).unwrap();
    let claims = service.app.authenticator.clients().defaults().claims(&service.client);
    let instants = Instants::default();
    let stamp = Stamp { issued_at: NOW, expires_at: NOW.plus(Duration::from_hours(1)), id: TokenId(rand::random()) };
    let mut token = Vec::new();
    let place = push_unsigned(&claims, (&stamp, &instants), key, &mut token);
    let (queue, shard) = (SignQueue::default(), service.app.metrics.shard(0));
    let token = sign(place.of(token), key, None, Desk { queue: &queue, shard }).await.unwrap();
    String::from_utf8(token).unwrap()
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    1024.0 * line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
}

/// A signed text, its signature and the key that is published for it.
fn signature(subject: &Subject) -> (&str, Signature, VerifyingKey) {
    let keys = subject.service.app.keys.load();
    let document: serde_json::Value = serde_json::from_slice(keys.document()).unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let public: [u8; 32] = decode(document["keys"][0]["x"].as_str().unwrap()).try_into().unwrap();
    let (message, signature) = subject.tokens[0].rsplit_once('.').unwrap();
    let signature = Signature::from_slice(&decode(signature)).unwrap();
    (message, signature, VerifyingKey::from_bytes(&public).unwrap())
}

/// Interleaved rounds of each kind, A B B A; the median time of one call in microseconds.
fn compare(kinds: [&dyn Fn(usize); 3], rounds: usize) -> [f64; 3] {
    const CALLS: u8 = 16;
    let mut times = [const { Vec::new() }; 3];
    for round in 0..rounds {
        for kind in [0, 1, 2, 2, 1, 0] {
            let started = Instant::now();
            for call in 0..CALLS {
                kinds[kind](round * usize::from(CALLS) + usize::from(call));
            }
            times[kind].push(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
        }
    }
    times.map(|mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let (count, rounds) = if full { (1_000_000, 2_000) } else { (10_000, 4) };
    let (none, many) = (Subject::new(), Subject::new());
    let bytes = many.revoke(count);
    let (message, signature, key) = signature(&none);
    let verify = |_| key.verify_strict(black_box(message.as_bytes()), &signature).unwrap();
    let mut criterion: Criterion = support::criterion();
    let mut group = criterion.benchmark_group("introspect");
    group.bench_function("signature", |bencher| bencher.iter(|| verify(0)));
    for (name, subject) in [("no revocation", &none), ("many revocations", &many)] {
        let mut number = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                number += 1;
                subject.introspect(number);
            });
        });
    }
    group.finish();
    criterion.final_summary();
    let calls: [&dyn Fn(usize); 3] = [&verify, &|number| none.introspect(number), &|number| many.introspect(number)];
    let [bare, without, with] = compare(calls, rounds);
    let slower = with / without - 1.0;
    println!("signature alone {bare:.2} us, introspection {without:.2} us ({:.2} times)", without / bare);
    println!("with {count} live revocations {with:.2} us: {:+.1} %, {bytes:.0} bytes each", 100.0 * slower);
    let verdict = !full || (slower < MOST_SLOWER && bytes < MOST_BYTES);
    println!(
        "at most {:.0} % slower, {MOST_BYTES:.0} bytes each: {}",
        100.0 * MOST_SLOWER,
        if verdict { "ok" } else { "FAILED" }
    );
    std::process::exit(i32::from(!verdict));
}
