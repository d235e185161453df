//! Nodes come, go and are left in the middle of a sentence.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::balancer::Balancer;
use crate::support::drill::{Drill, ISSUER};
use crate::support::faults::{Counts, free_address};
use crate::support::redis::Redis;
use crate::support::{API, Client, GENEROUS, GRANT, Home, Server, Wire, count, wait_for};

/// P-03: two nodes on one Redis behind HAProxy are restarted in turn, twice: no request fails, neither of those who
/// are known nor of those who were never seen.
#[test]
fn p03_a_rolling_restart_behind_a_load_balancer_fails_no_request() {
    restart_in_turn_behind(Balancer::haproxy);
}

/// P-03: the same behind nginx, which does not ask who is ready.
#[test]
fn p03_a_rolling_restart_behind_nginx_fails_no_request() {
    restart_in_turn_behind(Balancer::nginx);
}

#[expect(clippy::print_stderr, reason = "the figures, for whoever asks with --nocapture")]
fn restart_in_turn_behind(balance: impl Fn(&[(String, String)]) -> Balancer) {
    let redis = Redis::start();
    let home = Home::on(&redis.url());
    let mut clients = vec![home.usual_client()];
    clients.extend(home.add_clients(60));
    let count_of_nodes = count("JETON_TEST_NODES", 2);
    let places: Vec<(String, String)> = (0..count_of_nodes).map(|_| (free_address(), free_address())).collect();
    let start = |n: usize| {
        let (listen, ops) = &places[n];
        let serve = format!("{GENEROUS}drain_delay = \"700ms\"\n");
        Home::on(&redis.url()).serve(&format!("listen = \"{listen}\"\nops_listen = \"{ops}\"\n{ISSUER}{serve}"))
    };
    let mut nodes: Vec<Server> = (0..count_of_nodes).map(start).collect();
    let balancer = balance(&places);
    let (stop, clients) = (Arc::new(AtomicBool::new(false)), Arc::new(clients));
    let askers: Vec<_> = (0..4)
        .map(|n| {
            let (stop, clients, address) = (Arc::clone(&stop), Arc::clone(&clients), balancer.address());
            std::thread::spawn(move || ask_on(&address, &clients, n, &stop))
        })
        .collect();
    for n in (0..count_of_nodes).collect::<Vec<_>>().repeat(count("JETON_TEST_RESTARTS", 2)) {
        std::thread::sleep(Duration::from_millis(300));
        let (_, status) = nodes.remove(0).end_by("-TERM");
        assert_eq!(status.code(), Some(0));
        let fresh = start(n);
        fresh.wait_until_ready(true);
        // As an operator's tool waits until the balancer sends it requests again.
        wait_for("the balancer sends it requests", || {
            (fresh.metric("jeton_token_requests_total{outcome=\"issued\"}") > 5.0).then_some(())
        });
        nodes.push(fresh);
    }
    stop.store(true, Ordering::Relaxed);
    let mut issued = 0;
    for asker in askers {
        let counts = asker.join().unwrap();
        assert!(counts.refused.is_empty() && counts.unanswered == 0 && counts.issued > 100, "{counts:?}");
        issued += counts.issued;
    }
    eprintln!("{issued} requests while {count_of_nodes} nodes were restarted in turn, none failed");
}

fn ask_on(address: &str, clients: &[Client], first: usize, stop: &AtomicBool) -> Counts {
    let (mut counts, mut wire) = (Counts::default(), Wire::connect(address));
    for client in clients.iter().cycle().skip(first * 15) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
        let answer = wire.try_answer(true);
        counts.note(answer.as_ref(), Duration::ZERO);
        if answer.is_none_or(|answer| answer.header("connection") == Some("close")) {
            wire = Wire::connect(address);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    counts
}

/// D-19: a storm of requests that nobody waits for, beside those of others: every answer belongs to its question.
#[test]
fn d19_answers_belong_to_their_questions_in_a_storm_of_those_who_leave() {
    let redis = Redis::start();
    let drill = Drill::on(&redis.url());
    let owners: Vec<(Client, String)> = (0..4)
        .map(|_| {
            let opaque = ["--scope", "read", "--audience", API, "--format", "opaque"];
            let client = drill.node.home.add_client(&opaque);
            let token = drill.node.ask(&client, GRANT).access_token();
            (client, token)
        })
        .collect();
    let (stop, wrong) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        scope.spawn(|| leave_again_and_again(&drill.node, &owners, &stop));
        for (client, token) in &owners {
            let (stop, wrong, node) = (&stop, &wrong, &drill.node);
            scope.spawn(move || {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(1500) {
                    let said = node.introspect(client, token);
                    if said.status != 503 && said.json()["client_id"] != client.id.as_str() {
                        wrong.lock().unwrap().push(said.text());
                    }
                }
                stop.store(true, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new());
    drill.finish().pulse.expect_unbroken();
}

/// Asks, and is gone before the answer.
fn leave_again_and_again(node: &Server, owners: &[(Client, String)], stop: &AtomicBool) {
    for (client, token) in owners.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut wire = node.wire();
        wire.post("/oauth2/introspect", &[("Authorization", &client.basic())], &format!("token={token}"));
        drop(wire);
        let mut wire = node.wire();
        wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
        drop(wire);
        // A storm, but not one in which the node has to refuse those who stay.
        std::thread::sleep(Duration::from_millis(1));
    }
}
