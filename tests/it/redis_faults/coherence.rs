//! Several nodes on one Redis: what one is told, all act on within a second, whatever happens to the calls by which they
//! tell each other.

use std::time::{Duration, Instant};

use crate::support::drill::ISSUER;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::Redis;
use crate::support::{Client, GENEROUS, GRANT, Home, Server, count, wait_for};

/// Fleet, each by a wire of its own.
struct Fleet {
    redis: Redis,
    home: Home,
    wires: Vec<Proxy>,
    nodes: Vec<Server>,
}

impl Fleet {
    fn start(count: usize) -> Self {
        let redis = Redis::start();
        let home = Home::on(&redis.url());
        home.usual_client();
        let wires: Vec<Proxy> = (0..count).map(|_| Proxy::to(redis.port)).collect();
        let serve = |wire: &Proxy| Home::on(&wire.url()).serve(&format!("{ISSUER}{GENEROUS}"));
        let nodes = wires.iter().map(serve).collect();
        Self { redis, home, wires, nodes }
    }

    /// Clients that every node has in its memory, and a token of each.
    fn known(&self, count: usize) -> Vec<(Client, String)> {
        let clients = self.home.add_clients(count).into_iter();
        clients
            .map(|client| {
                let tokens: Vec<String> =
                    self.nodes.iter().map(|node| node.ask_patiently(&client, GRANT).access_token()).collect();
                let token = tokens.into_iter().next().unwrap();
                for node in &self.nodes {
                    wait_for("the token is looked into", || is_active(node, &client, &token).filter(|active| *active));
                }
                (client, token)
            })
            .collect()
    }

    /// How long each node takes to act on what `change` does, once it was acknowledged.
    fn spread(&self, change: impl FnOnce(), acts: impl Fn(&Server) -> bool + Sync) -> Vec<Duration> {
        change();
        let acknowledged = Instant::now();
        std::thread::scope(|scope| {
            let watch = |node| {
                let acts = &acts;
                scope.spawn(move || wait_for("a node acts", || acts(node).then(|| acknowledged.elapsed())))
            };
            let watchers: Vec<_> = self.nodes.iter().map(watch).collect();
            watchers.into_iter().map(|watcher| watcher.join().unwrap()).collect()
        })
    }

    /// Disables and revokes in turn; the times of all nodes, sorted.
    fn measure(&self, rounds: usize) -> [Vec<Duration>; 2] {
        let (mut disabled, mut revoked) = (Vec::new(), Vec::new());
        let (store, known) = (self.home.store(), self.known(rounds));
        for (number, (client, token)) in known.iter().enumerate() {
            let node = &self.nodes[number % self.nodes.len()];
            revoked.extend(self.spread(
                || assert_eq!(node.revoke(client, token).status, 200),
                |node| is_active(node, client, token) == Some(false),
            ));
            let admin = self.home.admin(&store);
            let id = jeton::oauth::ClientId::parse(&client.id).unwrap();
            disabled.extend(self.spread(
                || drop(crate::support::faults::block_on(admin.set_enabled(&id, false)).unwrap()),
                |node| node.ask(client, GRANT).status == 401,
            ));
        }
        [disabled, revoked].map(|mut times| {
            times.sort_unstable();
            times
        })
    }
}

/// What a node says of a token to its own client; nothing when it cannot say.
fn is_active(node: &Server, client: &Client, token: &str) -> Option<bool> {
    let answer = node.introspect(client, token);
    if answer.status == 200 { answer.json()["active"].as_bool() } else { None }
}

/// Says how long it took, and that it was within a second; a busy machine gets some more.
#[expect(clippy::print_stderr, reason = "the figures, for whoever asks with --nocapture")]
fn expect_soon(what: &str, times: &[Duration]) {
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_millis();
    let count = times.len();
    eprintln!("{what}: {count} times, ms: median {} p90 {} p99 {} most {}", at(50), at(90), at(99), at(100));
    assert!(at(50) < 1000 && at(100) < 3000, "{what}: {times:?}");
}

/// D-17: two nodes and four: what is disabled or revoked at one is refused by all within a second.
#[test]
fn d17_all_nodes_act_on_a_change_within_a_second() {
    for count_of_nodes in [2, 4] {
        let nodes = Fleet::start(count_of_nodes);
        let [disabled, revoked] = nodes.measure(count("JETON_TEST_CHANGES", 8));
        expect_soon(&format!("{count_of_nodes} nodes, disabled"), &disabled);
        expect_soon(&format!("{count_of_nodes} nodes, revoked"), &revoked);
    }
}

/// D-17, D-18: nobody hears the calls: they are silent, ended again and again, or more than a reader may leave unread.
#[test]
fn d17_d18_all_nodes_act_within_a_second_when_calls_are_lost() {
    let nodes = Fleet::start(2);
    nodes.wires[1].set(Fault::NoNews);
    let [disabled, revoked] = nodes.measure(count("JETON_TEST_CHANGES", 8));
    expect_soon("calls are silent, disabled", &disabled);
    expect_soon("calls are silent, revoked", &revoked);
    nodes.wires[1].set(Fault::None);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                nodes.redis.try_cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        let [disabled, revoked] = nodes.measure(count("JETON_TEST_CHANGES", 8));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        expect_soon("calls are cut again and again, disabled", &disabled);
        expect_soon("calls are cut again and again, revoked", &revoked);
    });
    nodes.redis.cli(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1 1 1"]);
    let [disabled, revoked] = nodes.measure(count("JETON_TEST_CHANGES", 8));
    expect_soon("calls overflow, disabled", &disabled);
    expect_soon("calls overflow, revoked", &revoked);
}

/// D-22: one node has lost Redis, the other has not: what is revoked meanwhile is never called active by either, beyond
/// the second that news may take, and nothing is acknowledged by the one that is alone.
#[test]
fn d22_a_node_that_is_cut_off_says_nothing_that_the_other_would_deny() {
    let nodes = Fleet::start(2);
    let known = nodes.known(2);
    let [(client, token), (other, others)] = &known[..] else { unreachable!() };
    let [here, alone] = &nodes.nodes[..] else { unreachable!() };
    for fault in [Fault::Silent, Fault::Cut] {
        nodes.wires[1].set(fault);
        wait_for("it says nothing", || is_active(alone, client, token).is_none().then_some(()));
        assert_eq!(alone.revoke(other, others).status, 503, "{fault:?}");
        assert_eq!(alone.ask(client, GRANT).status, 200, "{fault:?}: who is known goes on");
        assert_eq!(here.revoke(client, token).status, 200);
        assert_eq!((is_active(here, client, token), is_active(alone, client, token)), (Some(false), None), "{fault:?}");
        nodes.wires[1].set(Fault::None);
        let said = wait_for("it speaks again", || is_active(alone, client, token));
        assert!(!said, "{fault:?}: the first thing that it says is true");
    }
}
