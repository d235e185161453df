//! Signatures that are asked for in one turn of a worker's loop are made together, whatever else happens meanwhile.
//!
//! A runtime of one thread polls its tasks in the order in which they were woken, so everything here is exact.

mod counted;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use jeton::clock::UnixTime;
use jeton::jwt::{
    ClaimPrefix, Desk, Expected, Instants, PublicKey, SignQueue, Signing, Stamp, TokenId, push_unsigned, sign, verify,
};
use jeton::keys::{KeyError, SigningKey, private};
use jeton::metrics::Metrics;
use jeton::oauth::{Algorithm, Audience, ClientId, IssuerUrl, Scope};
use proptest::prelude::*;
use tokio::io::AsyncReadExt as _;
use tokio::runtime::{LocalOptions, LocalRuntime};

const NOW: UnixTime = UnixTime::from_seconds(1_000);
const ISSUER: &str = "https://issuer.example";

fn key(algorithm: Algorithm, seed: u8) -> Arc<SigningKey> {
    let secret = private::generate(algorithm, &[seed; 32].into()).unwrap();
    Arc::new(SigningKey::read(algorithm, &secret).unwrap())
}

/// A worker's queue and where it counts.
struct Station {
    queue: SignQueue,
    metrics: Metrics,
}

impl Station {
    fn new() -> Rc<Self> {
        Rc::new(Self { queue: SignQueue::default(), metrics: Metrics::new(1, "memory").unwrap() })
    }

    /// Asks for a token with this number for its name.
    fn ask(&self, key: &Arc<SigningKey>, number: u32) -> Signing<'_> {
        let claims = ClaimPrefix::encode(
            &IssuerUrl::parse(ISSUER).unwrap(),
            &ClientId::parse("c_1").unwrap(),
            std::iter::once(&Audience::parse("https://api.example").unwrap()),
            &Scope::parse("read").unwrap(),
        );
        let id = TokenId(u128::from(number).to_be_bytes());
        let stamp = Stamp { issued_at: NOW, expires_at: NOW.plus(Duration::from_mins(1)), id };
        let mut buffer = Vec::new();
        let place = push_unsigned(&claims, (&stamp, &Instants::default()), key, &mut buffer);
        sign(place.of(buffer), key, None, Desk { queue: &self.queue, shard: self.metrics.shard(0) })
    }

    /// A number of the metrics.
    fn counted(&self, series: &str) -> usize {
        let text = String::from_utf8(self.metrics.render(None).unwrap()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is missing in\n{text}")).parse().unwrap()
    }

    fn batches(&self) -> usize {
        self.counted("jeton_sign_batch_size_count")
    }

    fn signatures(&self) -> usize {
        self.counted("jeton_sign_batch_size_sum")
    }
}

/// True for the token of this number, by this key.
fn is_token(signed: Result<Vec<u8>, KeyError>, key: &SigningKey, number: u32) -> bool {
    let token = String::from_utf8(signed.unwrap()).unwrap();
    let keys = PublicKey::from_jwks(format!(r#"{{"keys":[{}]}}"#, key.jwk()).as_bytes()).unwrap();
    let expected = Expected { issuer: ISSUER, audience: None, now: NOW, leeway: Duration::ZERO };
    let claims = verify(&token, &keys, &expected).unwrap();
    TokenId(u128::from(number).to_be_bytes()).to_string() == claims.jti
}

fn runtime() -> LocalRuntime {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap()
}

/// Lets everything else that is ready run once.
async fn turn() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A request that is polled by hand.
struct Polled<'a> {
    signing: Pin<Box<Signing<'a>>>,
    wakes: Arc<Wakes>,
    number: u32,
}

impl<'a> Polled<'a> {
    fn ask(station: &'a Station, key: &Arc<SigningKey>, number: u32) -> Self {
        Self { signing: Box::pin(station.ask(key, number)), wakes: Arc::default(), number }
    }

    fn poll(&mut self) -> Poll<Result<Vec<u8>, KeyError>> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.signing.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.wakes.0.load(Ordering::Relaxed) > 0
    }
}

#[test]
fn requests_of_one_turn_are_signed_together_and_each_gets_its_own() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    runtime().block_on(async {
        let requests: Vec<_> = (0..50)
            .map(|number| {
                let (station, key) = (Rc::clone(&station), Arc::clone(&key));
                tokio::task::spawn_local(async move { is_token(station.ask(&key, number).await, &key, number) })
            })
            .collect();
        for request in requests {
            assert!(request.await.unwrap());
        }
    });
    assert_eq!((station.batches(), station.signatures()), (1, 50));
    assert_eq!(station.counted("jeton_signatures_total{alg=\"EdDSA\"}"), 50);
    assert_eq!(station.counted("jeton_sign_queue_length"), 0);
}

#[test]
fn a_lone_request_is_signed_as_soon_as_nothing_else_is_ready() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let mut lone = Polled::ask(&station, &key, 7);
    assert!(lone.poll().is_pending() && lone.is_woken(), "it is called at once, by nobody else");
    assert_eq!(station.counted("jeton_sign_queue_length"), 1);
    let Poll::Ready(signed) = lone.poll() else { panic!("it signs for itself") };
    assert!(is_token(signed, &key, 7));
    assert_eq!(lone.wakes.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_full_queue_is_signed_at_once() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let mut waiting = Vec::new();
    for number in 0..63 {
        waiting.push(Polled::ask(&station, &key, number));
        assert!(waiting.last_mut().unwrap().poll().is_pending());
    }
    let mut last = Polled::ask(&station, &key, 63);
    assert!(last.poll().is_ready() && waiting.iter().all(Polled::is_woken));
    assert!(waiting.iter_mut().all(|request| request.poll().is_ready()));
    assert_eq!((station.batches(), station.signatures()), (1, 64));
}

/// Asks for one token after the other, and notes how many turns each took.
async fn keep_asking(station: Rc<Station>, key: Arc<SigningKey>, turns: Rc<Cell<u32>>, most: Rc<Cell<u32>>) {
    for number in 0.. {
        let asked = turns.get();
        assert!(is_token(station.ask(&key, number).await, &key, number));
        most.set(most.get().max(turns.get() - asked));
    }
}

#[test]
fn the_oldest_waits_one_turn_of_a_loop_that_is_never_idle_and_reads_are_not_starved() {
    // As many as never fill the queue, and more.
    [40, 100].into_iter().for_each(keep_busy);
}

fn keep_busy(requests: usize) {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let (turns, most) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(0)));
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    runtime().block_on(async {
        for _ in 0..requests {
            let (station, key) = (Rc::clone(&station), Arc::clone(&key));
            tokio::task::spawn_local(keep_asking(station, key, Rc::clone(&turns), Rc::clone(&most)));
        }
        tokio::task::spawn_local({
            let turns = Rc::clone(&turns);
            async move {
                loop {
                    turn().await;
                    turns.set(turns.get() + 1);
                }
            }
        });
        ours.set_nonblocking(true).unwrap();
        let mut reader = tokio::net::UnixStream::from_std(ours).unwrap();
        while station.signatures() < 2 * requests {
            turn().await;
        }
        let before = station.signatures();
        std::io::Write::write_all(&mut theirs, b"x").unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'x');
        let meanwhile = station.signatures() - before;
        assert!(meanwhile <= 4 * requests, "the read waited for {meanwhile} signatures");
        while station.signatures() < 20 * requests {
            turn().await;
        }
    });
    // A turn until it is signed, and one until its task runs.
    assert!((1..=2).contains(&most.get()), "{} turns", most.get());
    let (batches, signatures) = (station.batches(), station.signatures());
    assert!(signatures >= 30 * batches, "{signatures} signatures in {batches} batches");
}

#[test]
fn t228_whoever_hangs_up_while_it_waits_takes_its_job_along_and_hands_its_call_on() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let mut waiting: Vec<Polled> = (0..10).map(|number| Polled::ask(&station, &key, number)).collect();
    assert!(waiting.iter_mut().all(|request| request.poll().is_pending()));
    assert!(waiting[0].is_woken() && !waiting[1].is_woken(), "one is called");
    drop(waiting.remove(5));
    drop(waiting.remove(0));
    assert!(waiting[0].is_woken(), "another is called in its place");
    for request in &mut waiting {
        let Poll::Ready(signed) = request.poll() else { panic!("the first of them signed for all") };
        assert!(is_token(signed, &key, request.number));
    }
    assert_eq!((station.batches(), station.signatures()), (1, 8));
}

#[test]
fn t228_when_the_last_who_waits_hangs_up_the_next_one_is_called_and_no_key_is_held() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let (mut first, mut second) = (Polled::ask(&station, &key, 1), Polled::ask(&station, &key, 2));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop((first, second));
    assert_eq!(Arc::strong_count(&key), 1);
    let mut next = Polled::ask(&station, &key, 3);
    assert!(next.poll().is_pending() && next.is_woken(), "or it waits until the queue is full");
    let Poll::Ready(signed) = next.poll() else { panic!("it signs for itself") };
    assert!(is_token(signed, &key, 3));
}

#[test]
fn t228_a_signature_that_nobody_fetches_is_handed_to_nobody_else() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let (mut first, mut second) = (Polled::ask(&station, &key, 1), Polled::ask(&station, &key, 2));
    assert!(first.poll().is_pending() && second.poll().is_pending() && first.poll().is_ready());
    drop((first, second));
    let mut third = Polled::ask(&station, &key, 3);
    assert!(third.poll().is_pending(), "what was made for the second is gone");
    let Poll::Ready(signed) = third.poll() else { panic!("it signs") };
    assert!(is_token(signed, &key, 3));
}

#[test]
fn requests_that_hang_up_in_a_running_loop_disturb_nobody() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let served = Rc::new(RefCell::new(HashSet::new()));
    runtime().block_on(async {
        let mut requests = Vec::new();
        for number in 0..300_u32 {
            let (station, key, served) = (Rc::clone(&station), Arc::clone(&key), Rc::clone(&served));
            let request = tokio::task::spawn_local(async move {
                assert!(is_token(station.ask(&key, number).await, &key, number));
                served.borrow_mut().insert(number);
            });
            requests.push((number, request));
            if number % 7 == 0 {
                turn().await;
            }
            if let Some((_, given_up)) = requests.iter().rev().find(|(number, _)| number % 3 == 0) {
                given_up.abort();
            }
        }
        for (number, request) in requests {
            let ended = request.await;
            assert!(ended.is_ok() || (number % 3 == 0 && ended.unwrap_err().is_cancelled()), "{number}");
        }
    });
    assert!((0..300).filter(|number| number % 3 != 0).all(|number| served.borrow().contains(&number)));
}

#[test]
fn keys_of_a_rotation_and_other_algorithms_may_stand_in_one_batch() {
    let keys = [key(Algorithm::EdDsa, 1), key(Algorithm::Es256, 2), key(Algorithm::EdDsa, 3)];
    let station = Station::new();
    runtime().block_on(async {
        let requests: Vec<_> = (0..30)
            .map(|number| {
                let (station, key) = (Rc::clone(&station), Arc::clone(&keys[number as usize % 3]));
                tokio::task::spawn_local(async move { is_token(station.ask(&key, number).await, &key, number) })
            })
            .collect();
        for request in requests {
            assert!(request.await.unwrap());
        }
    });
    assert_eq!((station.batches(), station.signatures()), (3, 30), "a batch for each key");
    assert_eq!(station.counted("jeton_signatures_total{alg=\"EdDSA\"}"), 20);
    assert_eq!(station.counted("jeton_signatures_total{alg=\"ES256\"}"), 10);
    assert!(keys.iter().all(|key| Arc::strong_count(key) == 1), "no key is held when nobody waits");
}

#[test]
fn more_than_fit_in_a_batch_are_all_signed() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let mut waiting: Vec<Polled> = (0..150).map(|number| Polled::ask(&station, &key, number)).collect();
    for request in &mut waiting {
        let Poll::Ready(signed) = request.poll() else { panic!("the queue is full") };
        assert!(is_token(signed, &key, request.number));
    }
    assert_eq!((station.batches(), station.signatures()), (3, 150));
}

/// What may happen to the requests of a worker, in any order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(bool),
    Poll(usize),
    HangUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Ask),
        4 => any::<usize>().prop_map(Step::Poll),
        1 => any::<usize>().prop_map(Step::HangUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn t228_in_any_order_everyone_gets_its_own_signature_and_nobody_is_forgotten(steps in proptest::collection::vec(step(), 0..120)) {
        let (station, keys) = (Station::new(), [key(Algorithm::EdDsa, 1), key(Algorithm::EdDsa, 2)]);
        let mut requests: Vec<(Polled, &Arc<SigningKey>)> = Vec::new();
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Ask(which) => {
                    let key = &keys[usize::from(which)];
                    requests.push((Polled::ask(&station, key, number), key));
                }
                Step::Poll(at) if !requests.is_empty() => {
                    let at = at % requests.len();
                    if let Poll::Ready(signed) = requests[at].0.poll() {
                        let (request, key) = requests.remove(at);
                        prop_assert!(is_token(signed, key, request.number));
                    }
                }
                Step::HangUp(at) if !requests.is_empty() => drop(requests.remove(at % requests.len())),
                Step::Poll(_) | Step::HangUp(_) => {}
            }
        }
        // As a loop does: everyone is looked at once, and from then on only who was woken.
        let mut seen = vec![false; requests.len()];
        while !requests.is_empty() {
            let next = requests.iter().zip(&seen).position(|((request, _), seen)| !seen || request.is_woken());
            let at = next.expect("somebody waits who was not woken");
            seen[at] = true;
            requests[at].0.wakes.0.store(0, Ordering::Relaxed);
            if let Poll::Ready(signed) = requests[at].0.poll() {
                let ((request, key), _) = (requests.remove(at), seen.remove(at));
                prop_assert!(is_token(signed, key, request.number));
            }
        }
    }
}

#[test]
fn a_ticket_may_be_awaited_from_another_task_than_before() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let mut moved = pin!(station.ask(&key, 1));
    assert!(moved.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(is_token(runtime().block_on(moved), &key, 1));
}
