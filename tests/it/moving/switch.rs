//! The steps of `docs/moving.md` while servers run: two servers behind a load balancer change from a file to Redis under
//! load, no request fails, and nothing that was acknowledged is lost.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::commands::{Following, command, json_of};
use crate::support::balancer::Balancer;
use crate::support::faults::free_address;
use crate::support::redis::Redis;
use crate::support::{API, Answer, Client, GENEROUS, GRANT, Home, Server, Wire, wait_for};

/// How long a change may take to act everywhere: the promise, and what a busy machine adds.
const SPREAD: Duration = Duration::from_secs(3);

/// The callers of a service, what they were told, and what was not as it should be.
struct Callers {
    front: String,
    api: Client,
    askers: Vec<Client>,
    stop: AtomicBool,
    served: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    revoked: Mutex<Vec<(String, Instant)>>,
}

impl Callers {
    fn post(&self, path: &str, by: &Client, form: &str) -> Answer {
        let mut wire = Wire::connect(&self.front);
        wire.post(path, &[("Authorization", &by.basic())], form);
        wire.answer()
    }

    fn expect(&self, what: &str, is_right: bool) {
        if is_right {
            self.served.fetch_add(1, Ordering::Relaxed);
        } else {
            self.wrong.lock().unwrap().push(what.to_owned());
        }
    }

    fn until_stopped(&self, mut turn: impl FnMut(usize)) {
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            turn(number);
        }
    }

    /// Asks for tokens, and has them looked into.
    fn ask(&self) {
        self.until_stopped(|number| {
            let by = &self.askers[number % self.askers.len()];
            let answer = self.post("/oauth2/token", by, GRANT);
            self.expect(&format!("a token: {} {}", answer.status, answer.text()), answer.status == 200);
            if answer.status == 200 {
                self.look_into(&answer.access_token(), true);
            }
        });
    }

    fn look_into(&self, token: &str, active: bool) {
        let answer = self.post("/oauth2/introspect", &self.api, &format!("token={token}"));
        let is_right = answer.status == 200 && answer.json()["active"] == active;
        self.expect(&format!("active is {active}: {} {}", answer.status, answer.text()), is_right);
    }

    /// Revokes tokens; what was acknowledged a while ago must be known to whoever is asked.
    fn revoke(&self) {
        let mut recent = VecDeque::new();
        self.until_stopped(|number| {
            let by = &self.askers[number % self.askers.len()];
            let token = self.post("/oauth2/token", by, GRANT);
            if token.status == 200 {
                let token = token.access_token();
                let answer = self.post("/oauth2/revoke", by, &format!("token={token}"));
                self.expect(&format!("a revocation: {} {}", answer.status, answer.text()), answer.status == 200);
                if answer.status == 200 {
                    self.revoked.lock().unwrap().push((token.clone(), Instant::now()));
                    recent.push_back((token, Instant::now()));
                }
            }
            while let Some((token, _)) = recent.pop_front_if(|(_, at): &mut (String, Instant)| at.elapsed() > SPREAD) {
                self.look_into(&token, false);
            }
            std::thread::sleep(Duration::from_millis(20));
        });
    }

    /// Disables one client after the other in the old store; a while later it must be refused by whoever is asked. How many.
    fn disable(&self, old: &Home, clients: &[Client]) -> usize {
        let (mut recent, mut disabled) = (VecDeque::new(), 0);
        self.until_stopped(|number| {
            let client = clients.get(number).expect("more than can be disabled");
            old.json(&["client", "disable", &client.id]);
            disabled = number + 1;
            recent.push_back((client, Instant::now()));
            while let Some((client, _)) = recent.pop_front_if(|(_, at): &mut (&Client, Instant)| at.elapsed() > SPREAD)
            {
                // Through the balancer: whichever server it is that answers.
                let answers = (0..4).map(|_| self.post("/oauth2/token", client, GRANT).status);
                self.expect("a client that was disabled is refused", answers.into_iter().all(|status| status == 401));
            }
            std::thread::sleep(Duration::from_millis(20));
        });
        disabled
    }
}

fn config(addresses: &(String, String)) -> String {
    format!(
        "issuer = \"https://issuer.example\"\nlisten = \"{}\"\nops_listen = \"{}\"\n{GENEROUS}drain_delay = \"1s\"\n",
        addresses.0, addresses.1
    )
}

/// One step of the documented way: a server is stopped as for any restart, and started on the new store.
fn change_over(node: Server, addresses: &(String, String), url: &str, key: &std::path::Path) -> Server {
    let (_, status) = node.end_by("-TERM");
    assert_eq!(status.code(), Some(0));
    let home = Home::on(url);
    std::fs::copy(key, home.folder.path().join("master-key")).unwrap();
    let node = home.serve(&config(addresses));
    wait_for("it is ready", || (node.ops("/readyz").status == 200).then_some(()));
    wait_for("the balancer sends it requests", || {
        (node.metric("jeton_token_requests_total{outcome=\"issued\"}") > 5.0).then_some(())
    });
    node
}

#[test]
fn two_servers_change_from_a_file_to_redis_under_load_and_no_request_fails() {
    let (old, redis) = (Home::new(), Redis::start());
    let askers: Vec<Client> = (0..4).map(|_| old.usual_client()).collect();
    // More than can be disabled while it lasts.
    let disposable = old.add_clients(200);
    let api = old.add_client(&["--serves", API, "--tokens", "false"]);
    let addresses: Vec<_> = (0..2).map(|_| (free_address(), free_address())).collect();
    let mut nodes: Vec<Server> =
        addresses.iter().map(|addresses| Home::at(old.database.clone()).serve(&config(addresses))).collect();
    let balancer = Balancer::haproxy(&addresses);
    let callers = Callers {
        front: balancer.address(),
        api,
        askers,
        stop: AtomicBool::new(false),
        served: AtomicUsize::new(0),
        wrong: Mutex::default(),
        revoked: Mutex::default(),
    };
    wait_for("the balancer serves", || {
        (callers.post("/oauth2/token", &callers.askers[0], GRANT).status == 200).then_some(())
    });
    let new = Home::on(&redis.url());
    let key = new.folder.path().join("master-key");
    std::fs::copy(old.master_key(), &key).unwrap();
    let disabled = std::thread::scope(|scope| {
        let threads = [scope.spawn(|| callers.ask()), scope.spawn(|| callers.ask()), scope.spawn(|| callers.revoke())];
        let operator = scope.spawn(|| callers.disable(&old, &disposable));
        let following = Following::begin(command(&old, &new, &[]).env("JETON_MASTER_KEY_FILE", &key));
        nodes = nodes
            .drain(..)
            .zip(&addresses)
            .map(|(node, addresses)| change_over(node, addresses, &redis.url(), &key))
            .collect();
        // What follows is in the old store still; from here on it is changed in the new one.
        callers.stop.store(true, Ordering::Relaxed);
        let disabled = operator.join().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        following.stop();
        disabled
    });
    let mut last = command(&old, &new, &["--retire-source", "-o", "json"]);
    let value = json_of(&last.env("JETON_MASTER_KEY_FILE", &key).stdin(Stdio::null()).output().unwrap());
    assert_eq!(value["state"], "done");
    let wrong = callers.wrong.into_inner().unwrap();
    let (served, revoked) = (callers.served.into_inner(), callers.revoked.into_inner().unwrap());
    assert!(wrong.is_empty(), "{} of {served} went wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(served > 200 && revoked.len() > 10 && disabled > 1, "{served} {} {disabled}", revoked.len());
    for node in &nodes {
        for (token, _) in &revoked {
            let mut wire = node.wire();
            wire.post("/oauth2/introspect", &[("Authorization", &callers.api.basic())], &format!("token={token}"));
            assert_eq!(wire.answer().json()["active"], false, "an acknowledged revocation");
        }
        for client in &disposable[..disabled] {
            assert_eq!(node.ask(client, GRANT).status, 401, "an acknowledged change");
        }
        assert_eq!(node.ask_patiently(&disposable[disabled], GRANT).status, 200, "one that nobody disabled");
    }
}
