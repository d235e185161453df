//! Gateways that keep the keys as long as they may, under load, while the keys roll twice.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Api, Gateway, Kind};
use crate::support::{API, Client, GENEROUS, GRANT, Home, Server, claims, segment};

/// A key is published for 6 s before it signs (max-age, skew, grace and the spread), and a new one takes over every 8 s.
const QUICK: &str = "[keys]\njwks_max_age = \"1s\"\nclock_skew = \"1s\"\nrotate_every = \"8s\"\n\
                     [token]\nlifetime = \"5s\"\nmax_lifetime = \"5s\"\n[store]\noutage_grace = \"2s\"\n";
/// The `max-age` of the JWKS above.
const MAX_AGE: u64 = 1;
/// A token is sent until this long before its end.
const MARGIN: u64 = 2;
const PAUSE: Duration = Duration::from_millis(10);

/// What one sender saw.
#[derive(Debug, Default)]
struct Seen {
    sent: usize,
    kids: HashSet<String>,
    failed: Vec<String>,
}

impl Seen {
    fn send(&mut self, gateway: &Gateway, token: &str) {
        let answer = gateway.send(Some(token));
        self.sent += 1;
        // On a machine that stood still it may have expired on its way.
        if answer.status != 200 && expires_at(token) > unix_now() {
            self.failed.push(format!("{} for {}: {}", answer.status, segment(token, 0), answer.text()));
        }
    }
}

fn expires_at(token: &str) -> u64 {
    claims(token)["exp"].as_u64().unwrap()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Sends each token as soon as it is issued and the oldest one that is still good, until three keys have signed and
/// the tokens of the second have expired.
fn load(gateway: &Gateway, (server, client): (&Server, &Client)) -> Seen {
    let (mut seen, mut held, started) = (Seen::default(), VecDeque::<String>::new(), Instant::now());
    let mut third_at = None;
    while third_at.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(5)) {
        assert!(started.elapsed() < Duration::from_mins(1), "{:?}: the keys do not roll: {seen:?}", gateway.kind);
        let token = server.ask_patiently(client, GRANT).access_token();
        seen.kids.insert(segment(&token, 0)["kid"].as_str().unwrap().to_owned());
        seen.send(gateway, &token);
        held.push_back(token);
        let now = unix_now();
        held.retain(|token| expires_at(token) > now + MARGIN);
        if let Some(oldest) = held.front() {
            seen.send(gateway, oldest);
        }
        if seen.kids.len() == 3 && third_at.is_none() {
            third_at = Some(Instant::now());
        }
        std::thread::sleep(PAUSE);
    }
    seen
}

/// What runs the script of `HAProxy`'s keys every `MAX_AGE`; how often there were new ones.
fn keep_keys<'s>(scope: &'s Scope<'s, '_>, gateway: &'s Gateway, done: &'s AtomicBool) -> impl FnOnce() -> usize {
    let keeper = scope.spawn(move || {
        let mut changes = 0;
        while !done.load(Ordering::Relaxed) {
            changes += usize::from(gateway.refresh_keys());
            std::thread::sleep(Duration::from_secs(MAX_AGE) / 2);
        }
        changes
    });
    move || keeper.join().unwrap()
}

#[test]
#[expect(clippy::print_stderr, reason = "how many requests it were, for whoever asks with --nocapture")]
fn k01_t215_no_gateway_refuses_a_good_token_while_the_keys_roll_twice_under_load() {
    let home = Home::new();
    let clients = ["ES256", "EdDSA"].map(|algorithm| {
        (algorithm, home.add_client(&["--scope", "read", "--audience", API, "--alg", algorithm, "--lifetime", "5s"]))
    });
    let server = home.serve(&format!("{QUICK}{GENEROUS}"));
    let api = Api::start();
    let gateways = Kind::ALL.map(|kind| Gateway::start(kind, &server, &api, MAX_AGE));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let haproxy = gateways.iter().find(|gateway| gateway.kind == Kind::HaProxy).unwrap();
        let changes = keep_keys(scope, haproxy, &done);
        let mut senders = Vec::new();
        for gateway in &gateways {
            for (algorithm, client) in clients.iter().filter(|(known, _)| gateway.kind.algorithms().contains(known)) {
                let server = &server;
                senders.push((gateway, algorithm, scope.spawn(move || load(gateway, (server, client)))));
            }
        }
        let seen: Vec<_> =
            senders.into_iter().map(|(gateway, algorithm, sender)| (gateway, algorithm, sender.join())).collect();
        done.store(true, Ordering::Relaxed);
        for (gateway, algorithm, seen) in seen {
            let seen = seen.unwrap();
            eprintln!("{:?} {algorithm}: {} requests, {} failed", gateway.kind, seen.sent, seen.failed.len());
            assert!(seen.failed.is_empty(), "{:?} {algorithm}: {:?} {}", gateway.kind, seen.failed, gateway.log());
            assert!(seen.sent > 100, "{:?} {algorithm} was hardly asked: {seen:?}", gateway.kind);
        }
        assert!(changes() >= 1, "HAProxy was never reloaded");
    });
}
