//! The generator against real servers: jeton in this process, and servers that stall, stay silent or are not there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the verdict; clippy allows it by itself only inside the test functions"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use jeton::admin::{Admin, ClientChange, unlock};
use jeton::app::{App, Opened};
use jeton::clock::Clock;
use jeton::config::{Config, RawConfig};
use jeton::http::{Bound, Server};
use jeton::keys::MasterKey;
use jeton::oauth::{IssuerUrl, Scope};
use jeton::store::{OpenMode, StoreUrl};
use serde_json::Value;

/// A running jeton with one client.
struct Jeton {
    address: SocketAddr,
    client: String,
    secret: String,
    _server: Server,
}

impl Jeton {
    fn start() -> Self {
        let mut raw = RawConfig::default();
        let settings = "[serve]\nworkers = 1\n[limits]\nclient_failures = 0\nsource_failures = 0\n";
        raw.read_toml(settings, "test").unwrap();
        let store = StoreUrl::parse("memory:").unwrap().open(OpenMode::CreateIfMissing).unwrap();
        let issuer = IssuerUrl::parse("https://issuer.example.com").unwrap();
        let (runtime, now) =
            (tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), Clock::System.now());
        let master = || MasterKey::from_random([1; 32]);
        let records = runtime.block_on(unlock(&*store, &master(), now)).unwrap();
        let opened = Opened { store: Arc::clone(&store), master: master(), records };
        let (app, _) = App::new(Config::from_raw(&raw).unwrap(), issuer, opened, Clock::System).unwrap();
        let change = ClientChange { scope: Some(Scope::parse("read").unwrap()), ..ClientChange::default() };
        let (client, secret) = runtime.block_on(Admin::new(store, master(), now).add_client(change)).unwrap();
        let bound = Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let (address, secret) = (bound.address(), secret.secret.expose().to_owned());
        Self { address, client: client.id.to_string(), secret, _server: jeton::http::serve(&app, bound).unwrap() }
    }

    /// Runs the generator against it.
    fn drive(&self, arguments: &[&str]) -> Output {
        loadgen(self.address, &self.client, &self.secret, arguments)
    }
}

fn loadgen(address: SocketAddr, client: &str, secret: &str, arguments: &[&str]) -> Output {
    let (command, rest) = arguments.split_first().unwrap();
    let mut loadgen = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    loadgen.args([*command, "--url", &format!("http://{address}"), "--client", client]).args(rest);
    loadgen.env("JETON_CLIENT_SECRET", secret).output().unwrap()
}

/// A run whose result is read; the output is there for whoever has to look.
fn run(address: SocketAddr, arguments: &[&str]) -> (Value, Output) {
    run_as((address, "c", "s"), arguments)
}

fn run_as((address, client, secret): (SocketAddr, &str, &str), arguments: &[&str]) -> (Value, Output) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let output = loadgen(address, client, secret, &[&["run", "--json", file.to_str().unwrap()], arguments].concat());
    let text = std::fs::read(&file).unwrap_or_else(|_| panic!("{output:?}"));
    let result: Value = serde_json::from_slice(&text).unwrap();
    (result["runs"][0].clone(), output)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn failed(run: &Value) -> u64 {
    let failed = &run["failed"];
    let refused: u64 = failed["refused"].as_object().unwrap().values().map(number).sum();
    refused + number(&failed["timed_out"]) + number(&failed["unsent"]) + number(&failed["broken"])
}

#[test]
fn every_request_of_the_schedule_is_accounted_for_and_every_token_is_verified() {
    let jeton = Jeton::start();
    let page = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("loadgen.html");
    let arguments = ["--rate", "200", "--duration", "1s", "--warm-up", "200ms", "--verify", "1000", "--timeout", "10s"];
    let wanted = ["--slo", "p50=1h,errors=99%", "--html", page.to_str().unwrap()];
    let (run, output) = run_as((jeton.address, &jeton.client, &jeton.secret), &[&arguments[..], &wanted].concat());
    assert!(output.status.success(), "{output:?}");
    let (offered, issued) = (number(&run["offered"]), number(&run["issued"]));
    // Not all issued: a machine that pauses the server makes it refuse some.
    assert_eq!((offered, offered - issued), (200, failed(&run)), "{run}");
    assert!(issued > 0);
    assert_eq!((number(&run["verified"]["checked"]), number(&run["verified"]["compared"])), (issued, issued));
    assert_eq!(run["verified"]["algorithms"], serde_json::json!(["EdDSA"]));
    let seconds = run["seconds"].as_array().unwrap();
    let shown: f64 = seconds.iter().map(|second| second["offered"].as_f64().unwrap()).sum();
    assert!((shown - 200.0).abs() < 0.5, "{run}");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("<svg") && html.contains("all bounds kept") && !html.contains(&jeton.secret));
}

#[test]
fn a_missed_bound_is_an_exit_code_and_a_sentence() {
    let jeton = Jeton::start();
    let output = jeton.drive(&["run", "--rate", "100", "--duration", "300ms", "--warm-up", "0s", "--slo", "p50=1ns"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("p50 is ") && told.contains("more than 1ns"), "{told}");
    let usage = jeton.drive(&["run", "--rate", "100", "--slo", "nonsense"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn refusals_are_counted_by_their_status() {
    let jeton = Jeton::start();
    let arguments = ["--rate", "50", "--duration", "400ms", "--warm-up", "0s", "--timeout", "10s"];
    let (run, _) = run_as((jeton.address, &jeton.client, "not-the-secret"), &arguments);
    assert_eq!(number(&run["issued"]), 0);
    assert!(number(&run["failed"]["refused"]["401"]) > 0, "{run}");
    assert_eq!(run["latency_us"]["p50"], Value::Null, "what got no token was never served");
}

#[test]
fn the_highest_rate_is_one_that_was_kept() {
    let jeton = Jeton::start();
    let bounds = ["--from", "40", "--most", "80", "--slo", "errors=99%", "--duration", "200ms", "--warm-up", "0s"];
    let output = jeton.drive(&[&["find-limit"], &bounds[..]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("the highest rate that kept errors=99%: 80/s"), "{told}");
}

#[test]
fn results_are_compared_run_by_run() {
    let jeton = Jeton::start();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compared.json");
    let path = file.to_str().unwrap();
    let made = jeton.drive(&["run", "--rate", "50", "--duration", "200ms", "--warm-up", "0s", "--json", path]);
    assert!(made.status.success(), "{made:?}");
    let compare = |before: &str, after: &str| {
        Command::new(env!("CARGO_BIN_EXE_loadgen")).args(["compare", before, after]).output().unwrap()
    };
    assert_eq!(compare(path, path).status.code(), Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    let mut slower: Value = serde_json::from_str(&text).unwrap();
    slower["runs"][0]["tokens_per_second"] = 1.0.into();
    let other = file.with_extension("slower.json");
    std::fs::write(&other, slower.to_string()).unwrap();
    let output = compare(path, other.to_str().unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("WORSE"));
}

/// Answers one connection at a time, after asking `pause` how long to wait before the answer of this number.
fn serve(pause: impl Fn(u32) -> Duration + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut count = 0;
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).is_ok_and(|came| came > 0) {
                std::thread::sleep(pause(count));
                count += 1;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"access_token\":\"t\"}";
                if stream.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[test]
fn a_stall_delays_all_that_was_due_meanwhile_and_not_only_the_one_that_was_sent() {
    let address = serve(|count| Duration::from_millis(if count == 20 { 500 } else { 0 }));
    let arguments = ["--rate", "100", "--duration", "1s", "--warm-up", "0s", "--connections", "1", "--verify", "0"];
    let (run, _) = run(address, &[&arguments[..], &["--timeout", "10s"]].concat());
    assert_eq!((number(&run["offered"]), number(&run["issued"])), (100, 100));
    // 50 of 100 were due during the stall. Who sends only after an answer sees one slow request.
    let p90 = run["latency_us"]["p90"].as_f64().unwrap();
    assert!(p90 > 200_000.0, "{run}");
}

#[test]
fn what_is_not_answered_in_time_is_given_up() {
    let address = serve(|_| Duration::from_mins(1));
    let arguments = ["--rate", "20", "--duration", "500ms", "--warm-up", "0s", "--connections", "2", "--verify", "0"];
    let (run, _) = run(address, &[&arguments[..], &["--timeout", "200ms"]].concat());
    assert_eq!((number(&run["offered"]), number(&run["issued"]), failed(&run)), (10, 0, 10));
    assert!(number(&run["failed"]["timed_out"]) > 0 && number(&run["failed"]["unsent"]) > 0, "{run}");
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = loadgen(address, "c", "s", &["run", "--rate", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("refused"), "{output:?}");
}
