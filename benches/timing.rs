//! What an answer's time and bytes tell of a client: nothing (T-068, T-069).
//!
//! A real server on loopback refuses unknown, disabled and removed clients and wrong secrets. Run by `cargo bench
//! --bench timing` it compares the times of unknown clients and wrong secrets over many interleaved samples, prints
//! the figures and ends with 1 when the medians differ by three standard errors or more. Run as a test it checks
//! what does not need many samples. `JETON_TEST_TIMING_SAMPLES` sets the number of samples of each kind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use jeton::admin::{Admin, ClientChange};
use jeton::http::Bound;
use support::{GRANT, NOW, Service, basic, request};

/// Samples of each kind; the rule asks for 20,000 in all.
const SAMPLES: usize = 20_000;
/// Connections at a time: nearly all of a refusal is waiting.
const CONNECTIONS: usize = 4;
/// Shorter than any refusal may take, less what the clocks of two threads may differ by.
const FLOOR: Duration = Duration::from_micros(1_900);

/// A server, and a request for each way to fail.
struct Refusing {
    address: SocketAddr,
    requests: [(&'static str, Vec<u8>); 4],
    _server: jeton::http::Server,
    _folder: tempfile::TempDir,
}

impl Refusing {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::on(&format!("sqlite:{}/jeton.db", folder.path().display()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let admin = Admin::new(service.store.clone(), support::master(), NOW);
        let (disabled, its_secret) = runtime.block_on(admin.add_client(ClientChange::default())).unwrap();
        runtime.block_on(admin.set_enabled(&disabled.id, false)).unwrap();
        let (removed, old_secret) = runtime.block_on(admin.add_client(ClientChange::default())).unwrap();
        runtime.block_on(admin.remove_client(&removed.id)).unwrap();
        let bound = Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let address = bound.address();
        let server = jeton::http::serve(&service.app, bound).unwrap();
        let ask = |id: &str, secret: &str| request(&basic(id, secret), GRANT);
        let known = service.client.id.as_str();
        // The client is in memory, as one is that someone guesses at.
        assert!(Asker::connect(address).ask(&ask(known, &service.secret)).0.starts_with("HTTP/1.1 200"));
        let requests = [
            ("an unknown client", ask(&"c_0".repeat(8), &service.secret)),
            ("a wrong secret", ask(known, &service.secret.replacen("jtn_", "jtn-", 1))),
            ("a disabled client", ask(disabled.id.as_str(), its_secret.secret.expose())),
            ("a removed client", ask(removed.id.as_str(), old_secret.secret.expose())),
        ];
        Self { address, requests, _server: server, _folder: folder }
    }
}

/// A connection that measures.
struct Asker(TcpStream);

impl Asker {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    /// The answer, which comes in one piece, and how long it took. Asks again when the machine kept the server from
    /// running for so long that it refuses for overload.
    fn ask(&mut self, request: &[u8]) -> (String, Duration) {
        let mut answer = [0; 4096];
        loop {
            let started = Instant::now();
            self.0.write_all(request).unwrap();
            let length = self.0.read(&mut answer).unwrap();
            let took = started.elapsed();
            if !support::is_overload(&answer[..length]) {
                return (String::from_utf8(answer[..length].to_vec()).unwrap(), took);
            }
        }
    }
}

/// The same bytes for every way to fail, but for the date.
fn t068_every_failed_authentication_has_the_same_bytes(refusing: &Refusing) {
    let mut asker = Asker::connect(refusing.address);
    let mut answers = refusing.requests.iter().map(|(_, request)| {
        let (answer, _) = asker.ask(request);
        answer.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
    });
    let first = answers.next().unwrap();
    assert!(first.starts_with("HTTP/1.1 401 ") && first.ends_with('}') && !first.contains("date"), "{first}");
    assert!(answers.all(|answer| answer == first));
}

/// Every way to fail is answered no sooner than the time that all are given.
fn t069_no_failed_authentication_is_answered_before_its_time(refusing: &Refusing) {
    let mut asker = Asker::connect(refusing.address);
    for _ in 0..5 {
        for (name, request) in &refusing.requests {
            let (_, took) = asker.ask(request);
            assert!(took >= FLOOR, "{name}: answered after {took:?}");
        }
    }
}

/// The medians of an unknown client and of a wrong secret differ by less than three standard errors.
fn t069_unknown_clients_and_wrong_secrets_take_the_same_time(refusing: &Refusing, samples: usize) -> bool {
    let [unknown, wrong, ..] = &refusing.requests;
    let per_connection = samples.div_ceil(CONNECTIONS * 2);
    let measure = || {
        let mut asker = Asker::connect(refusing.address);
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..per_connection {
            // A B B A: each kind follows each kind as often.
            for kind in [0, 1, 1, 0] {
                let (answer, took) = asker.ask([&unknown.1, &wrong.1][kind]);
                assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
                times[kind].push(took.as_secs_f64() * 1e6);
            }
        }
        times
    };
    let measured: Vec<[Vec<f64>; 2]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(measure)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let [first, second] = [0, 1].map(|kind| {
        let mut all: Vec<f64> = measured.iter().flat_map(|times| times[kind].iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        Median::of(&all)
    });
    let error = first.error.hypot(second.error);
    let distance = (first.value - second.value).abs() / error;
    let verdict = distance < 3.0;
    println!(
        "{:17} median {:8.2} us, standard error {:.3} us, {} samples",
        unknown.0, first.value, first.error, first.of
    );
    println!(
        "{:17} median {:8.2} us, standard error {:.3} us, {} samples",
        wrong.0, second.value, second.error, second.of
    );
    println!("T-069: the medians differ by {distance:.2} standard errors: {}", if verdict { "ok" } else { "FAILED" });
    verdict
}

struct Median {
    value: f64,
    error: f64,
    of: usize,
}

impl Median {
    /// With its standard error by order statistics, which assume no shape: the true median lies within half a root
    /// of n ranks of the middle with the probability of one standard deviation.
    fn of(sorted: &[f64]) -> Self {
        let middle = sorted.len() / 2;
        let ranks = sorted.len().isqrt().div_ceil(2);
        let error = (sorted[middle + ranks] - sorted[middle - ranks]) / 2.0;
        Self { value: sorted[middle], error: error.max(f64::EPSILON), of: sorted.len() }
    }
}

fn main() {
    let refusing = Refusing::start();
    t068_every_failed_authentication_has_the_same_bytes(&refusing);
    t069_no_failed_authentication_is_answered_before_its_time(&refusing);
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let asked = std::env::var("JETON_TEST_TIMING_SAMPLES").ok().and_then(|text| text.parse().ok());
    let verdict = t069_unknown_clients_and_wrong_secrets_take_the_same_time(&refusing, asked.unwrap_or(SAMPLES));
    std::process::exit(i32::from(!verdict));
}
