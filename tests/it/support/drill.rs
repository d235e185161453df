//! A fault under load: one node serves a known client, a ledger is written, wrong requests are made all the while; then
//! it is looked at what was answered meanwhile and what is there afterwards.
//!
//! The token path is judged by itself: with clients in memory it goes on whatever the store does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ledger::{Closed, Ledger};
use super::{API, Answer, Client, GENEROUS, GRANT, Home, Server, Wire, wait_for};

/// No answer takes longer, whatever the store does: what the store may take, and what a busy machine adds.
const DEADLINE: Duration = Duration::from_secs(3);
/// How soon after the end of a fault all is well: the promise, and what a busy machine adds.
const RECOVERY: Duration = Duration::from_secs(8);

/// The same for all nodes, and after a start on another port.
pub const ISSUER: &str = "issuer = \"https://issuer.example\"\n";

/// A node, what is done to it and to its store, and who watches.
pub struct Drill {
    pub node: Server,
    /// In the node's memory.
    pub known: Client,
    /// Has opaque tokens, and is in the node's memory as well.
    pub opaque: Client,
    /// The resource server that looks into tokens.
    pub api: Client,
    pub ledger: Ledger,
    strangers: Mutex<Vec<Client>>,
    pulse: Pulse,
    judge: Judge,
}

impl Drill {
    /// A node that reaches its store by `url`, beside a writer that reaches it by `direct`.
    pub fn over(url: &str, direct: &str) -> Self {
        let writer = Home::on(direct);
        let known = writer.usual_client();
        Self::begin(Home::on(url), writer, known, "")
    }

    pub fn on(url: &str) -> Self {
        Self::over(url, url)
    }

    /// With these settings, for the node and for the writer.
    pub fn with(url: &str, settings: &[(&str, &str)]) -> Self {
        let writer = Home::on_with(url, settings);
        let known = writer.usual_client();
        Self::begin(Home::on_with(url, settings), writer, known, "")
    }

    /// `home` is the node's, `writer` is another way to the same store, which `known` is in.
    pub fn begin(home: Home, writer: Home, known: Client, config: &str) -> Self {
        let opaque = writer.add_client(&["--scope", "read", "--audience", API, "--format", "opaque"]);
        let api = writer.add_client(&["--serves", API, "--tokens", "false"]);
        let strangers = Mutex::new(writer.add_clients(40));
        let node = home.serve(&format!("{ISSUER}{GENEROUS}{config}"));
        for client in [&known, &opaque] {
            let token = node.ask_patiently(client, GRANT).access_token();
            wait_for("the node looks into tokens", || (node.introspect(&api, &token).status == 200).then_some(()));
        }
        let ledger = Ledger::begin(writer, &node.address);
        let (pulse, judge) = (Pulse::start(&node, &known), Judge::start(&node, &known));
        let drill = Self { node, known, opaque, api, ledger, strangers, pulse, judge };
        drill.wait_for_writes(12);
        drill
    }

    /// Until this many more operations are acknowledged.
    pub fn wait_for_writes(&self, more: usize) {
        let before = self.ledger.acknowledged();
        wait_for("writes are acknowledged", || (self.ledger.acknowledged() >= before + more).then_some(()));
    }

    /// Until this many more tokens are issued.
    pub fn wait_for_tokens(&self, more: usize) {
        let before = self.pulse.issued();
        wait_for("tokens are issued", || (self.pulse.issued() >= before + more).then_some(()));
    }

    /// A client that the node has never heard of.
    pub fn stranger(&self) -> Client {
        self.strangers.lock().unwrap().pop().expect("enough of them")
    }

    /// The store is gone, and it shows: what is known goes on, all else is an honest 503.
    pub fn expect_outage(&self) {
        // A refusal is always confirmed by the store, whatever is in memory.
        let guess = Client { secret: "wrong".to_owned(), ..self.known.clone() };
        wait_for("the outage is noticed", || (self.node.ask(&guess, GRANT).status == 503).then_some(()));
        let stranger = self.stranger();
        let token = self.node.ask(&self.known, GRANT).access_token();
        wait_for("nobody answers from what is old", || {
            (self.node.introspect(&self.api, &token).status == 503).then_some(())
        });
        let ask = |client: &Client| self.node.ask(client, GRANT);
        for (what, answer) in [
            ("a stranger", in_time(|| ask(&stranger))),
            ("a guess", in_time(|| ask(&guess))),
            ("an opaque token", in_time(|| ask(&self.opaque))),
            ("a revocation", in_time(|| self.node.revoke(&self.known, &token))),
        ] {
            expect_unavailable(&answer, what);
        }
        self.wait_for_tokens(50);
        assert_eq!(self.node.get("/.well-known/jwks.json").status, 200);
        assert_eq!(self.node.ops("/livez").status, 200);
        wait_for("the metric shows it", || self.is_up(0.0).then_some(()));
    }

    /// All is well again, by itself and soon, the writer included; since when.
    pub fn expect_recovery(&self) -> Instant {
        let ended = Instant::now();
        let stranger = self.stranger();
        wait_for("it recovers", || {
            let token = Some(self.node.ask(&stranger, GRANT)).filter(|answer| answer.status == 200)?.access_token();
            let looked = self.node.introspect(&stranger, &token);
            let well = self.node.ops("/readyz").status == 200 && looked.status == 200 && self.is_up(1.0);
            well.then(|| assert_eq!(looked.json()["active"], true))
        });
        let well = Instant::now();
        assert!(well - ended < RECOVERY, "recovered after {:?}", well - ended);
        self.wait_for_writes(12);
        well
    }

    /// In the midst of a fault that may let some things through: whatever is answered is true, or a 503, and in time.
    pub fn expect_honesty(&self) {
        let stranger = self.stranger();
        let answer = in_time(|| self.node.ask(&stranger, GRANT));
        assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
        let token = self.node.ask(&self.known, GRANT).access_token();
        let looked = in_time(|| self.node.introspect(&self.api, &token));
        assert!(looked.status == 503 || looked.json()["active"] == true, "{} {}", looked.status, looked.text());
        let revoked = in_time(|| self.node.revoke(&self.known, &token));
        assert!(matches!(revoked.status, 200 | 503), "{}", revoked.text());
    }

    /// A client and a token of it that is good.
    pub fn client_with_token(&self) -> (Client, String) {
        let client = self.stranger();
        let token = self.node.ask(&client, GRANT).access_token();
        assert_eq!(self.node.introspect(&client, &token).json()["active"], true);
        (client, token)
    }

    fn is_up(&self, value: f64) -> bool {
        (self.node.metric("jeton_store_up") - value).abs() < 0.5
    }

    /// Ends it all but the node.
    pub fn stop(self) -> Stopped {
        let closed = self.ledger.close();
        Stopped { closed, pulse: self.pulse.stop(), judged: self.judge.stop(), node: self.node, api: self.api }
    }

    /// The laws, over all that happened.
    pub fn finish(self) -> Stopped {
        let stopped = self.stop();
        stopped.check_laws();
        stopped
    }
}

/// L3: an answer, and within the deadline.
fn in_time(ask: impl FnOnce() -> Answer) -> Answer {
    let began = Instant::now();
    let answer = ask();
    assert!(began.elapsed() < DEADLINE, "took {:?}: {}", began.elapsed(), answer.head);
    answer
}

/// What a drill ends with.
pub struct Stopped {
    pub closed: Closed,
    pub pulse: Beats,
    pub judged: Vec<String>,
    pub node: Server,
    pub api: Client,
}

impl Stopped {
    pub fn check_laws(&self) {
        let none = Vec::<String>::new();
        let Closed { acknowledged, wrong, slowest, .. } = &self.closed;
        assert_eq!(self.judged, none, "L2 and L3");
        assert_eq!(*wrong, none, "L1 and L3, while it was written");
        assert!(*slowest < DEADLINE * 2, "L3: an operation took {slowest:?}");
        let differences = self.closed.differences(&self.node, &self.api);
        assert_eq!(differences, none, "L1, of {acknowledged} acknowledged");
    }
}

/// L3: an answer that says when to come back, and nothing of the cause.
pub fn expect_unavailable(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"), "{what}: {}", answer.text());
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1, "{what}");
    answer.check_refusal(what);
    for word in ["redis", "127.0.0.1", "connect", "READONLY", "MOVED", "OOM", "NOAUTH"] {
        assert!(!answer.text().contains(word), "{what}: {}", answer.text());
    }
}

/// The token path by itself: one known client that asks again and again.
struct Pulse {
    stop: Arc<AtomicBool>,
    issued: Arc<AtomicUsize>,
    thread: JoinHandle<Beats>,
}

/// What the token path answered.
#[derive(Clone, Debug, Default)]
pub struct Beats {
    pub issued: usize,
    /// Other answers.
    pub refused: Vec<u16>,
    /// Between one token and the next.
    pub longest_gap: Duration,
}

impl Pulse {
    fn start(node: &Server, client: &Client) -> Self {
        let (stop, issued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (address, basic) = (node.address.clone(), client.basic());
        let (ends, counts) = (Arc::clone(&stop), Arc::clone(&issued));
        let beat = move || {
            let (mut beats, mut last) = (Beats::default(), Instant::now());
            let mut wire = Wire::connect(&address);
            while !ends.load(Ordering::Relaxed) {
                wire.post("/oauth2/token", &[("Authorization", &basic)], GRANT);
                let answer = wire.try_answer(true);
                match answer.as_ref().map(|answer| answer.status) {
                    Some(200) => {
                        beats.issued += 1;
                        counts.fetch_add(1, Ordering::Relaxed);
                        beats.longest_gap = beats.longest_gap.max(last.elapsed());
                        last = Instant::now();
                    }
                    status => beats.refused.push(status.unwrap_or(0)),
                }
                if answer.is_none_or(|answer| answer.header("connection") == Some("close")) {
                    wire = Wire::connect(&address);
                }
                std::thread::sleep(Duration::from_millis(4));
            }
            beats.longest_gap = beats.longest_gap.max(last.elapsed());
            beats
        };
        Self { stop, issued, thread: std::thread::spawn(beat) }
    }

    fn issued(&self) -> usize {
        self.issued.load(Ordering::Relaxed)
    }

    fn stop(self) -> Beats {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Beats {
    /// The token path never stopped: every request of a known client was answered with a token, but for a few that a
    /// busy machine may have made the server shed.
    pub fn expect_unbroken(&self) {
        assert!(self.refused.iter().all(|status| *status == 503), "{self:?}");
        assert!(self.refused.len() * 50 <= self.issued, "{self:?}");
        assert!(self.longest_gap < DEADLINE, "{self:?}");
    }
}

/// Who makes requests that must never be granted.
struct Judge {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Judge {
    fn start(node: &Server, known: &Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, address) = (Arc::clone(&stop), node.address.clone());
        let guess = Client { secret: "wrong".to_owned(), ..known.clone() };
        let (known, token) = (known.clone(), node.ask_patiently(known, GRANT).access_token());
        let judge = move || {
            let mut wrong = Vec::new();
            // A client may look into its own tokens; that one is revoked before anything goes wrong.
            wait_for("a token is revoked", || {
                (post(&address, "/oauth2/revoke", &known, &format!("token={token}")).status == 200).then_some(())
            });
            while !ends.load(Ordering::Relaxed) {
                let began = Instant::now();
                let guessed = post(&address, "/oauth2/token", &guess, GRANT);
                let looked = post(&address, "/oauth2/introspect", &known, &format!("token={token}"));
                if !matches!(guessed.status, 401 | 503) {
                    wrong.push(format!("a wrong secret: {} {}", guessed.status, guessed.text()));
                }
                let is_honest = looked.status == 503 || looked.status == 200 && looked.json()["active"] == false;
                if !is_honest {
                    wrong.push(format!("a revoked token: {} {}", looked.status, looked.text()));
                }
                if began.elapsed() > DEADLINE * 2 {
                    wrong.push(format!("two answers took {:?}", began.elapsed()));
                }
                std::thread::sleep(Duration::from_millis(15));
            }
            wrong
        };
        Self { stop, thread: std::thread::spawn(judge) }
    }

    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn post(address: &str, path: &str, client: &Client, form: &str) -> Answer {
    let mut wire = Wire::connect(address);
    wire.post(path, &[("Authorization", &client.basic())], form);
    wire.answer()
}
