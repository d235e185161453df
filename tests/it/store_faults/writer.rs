//! A process that writes to a store and says what was acknowledged, and the comparison with what is there later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jeton::clock::UnixTime;
use jeton::oauth::{Algorithm, Client, ClientId, Scope, Secrets, TokenFormat};
use jeton::store::{OpenMode, Store, StoreError, StoreUrl};

use crate::support::Home;
use crate::support::faults::{Helper, block_on, say};

/// How many tasks of a writer write at once.
const TASKS: usize = 4;

/// Starts a writer on the store of `home`; `name` tells its clients from those of others.
pub fn start(home: &Home, name: &str, wrapper: &[&str], log: Option<&std::path::Path>) -> Helper {
    let environment = [("JETON_TEST_WRITER", name), ("JETON_TEST_STORE", &home.url())];
    Helper::start("store_faults::writer::writes_until_it_is_killed", wrapper, &environment, log)
}

#[test]
#[ignore = "a process that other tests start"]
fn writes_until_it_is_killed() {
    let url = StoreUrl::parse(&std::env::var("JETON_TEST_STORE").unwrap()).unwrap();
    let name = std::env::var("JETON_TEST_WRITER").unwrap();
    block_on(async {
        let store = url.open(OpenMode::MustExist).unwrap();
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(write(Arc::clone(&store), format!("{name}-{task}")))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Creates, changes, disables and removes clients of its own. Only an acknowledged write is said, with what the
/// store must hold from then on; what failed is written again, made from what is found there.
async fn write(store: Arc<dyn Store>, prefix: String) {
    for n in 0.. {
        let id = ClientId::parse(&format!("{prefix}-{n}")).unwrap();
        let mut client = new(&id);
        let mut step = 0_u32;
        while step < 6 {
            let began = Instant::now();
            client.lifetime_seconds = Some(step);
            client.enabled = step.is_multiple_of(2);
            let is_removal = step == 5 && n % 2 == 0;
            let written = if is_removal {
                store.remove_client(&id, client.revision).await.map(|()| 0)
            } else {
                store.put_client(client.clone()).await
            };
            match written {
                Ok(revision) => {
                    client.revision = revision;
                    say(&format!("ack {id} {revision} {step}"));
                    step += 1;
                }
                Err(error) => {
                    say(&format!("failed {} {}", error.kind(), began.elapsed().as_millis()));
                    // Nobody else writes these clients: a conflict means that a write that failed was done after all.
                    client.revision = recover(&*store, &id).await;
                    if is_removal && client.revision == 0 {
                        break;
                    }
                }
            }
        }
    }
}

async fn recover(store: &dyn Store, id: &ClientId) -> u64 {
    loop {
        match store.find_client(id.as_str()).await {
            Ok(found) => return found.map_or(0, |client| client.revision),
            Err(error) => {
                say(&format!("unread {}", error.kind()));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

pub fn new(id: &ClientId) -> Client {
    Client {
        id: id.clone(),
        name: "n".repeat(300).into(),
        enabled: true,
        may_request_tokens: true,
        scope: Scope::parse("read").unwrap(),
        default_scope: None,
        audience: Vec::new(),
        serves: Vec::new(),
        tokens_revoked_at: None,
        lifetime_seconds: None,
        alg: Algorithm::default(),
        format: TokenFormat::default(),
        secrets: Secrets::new(),
        keys: Vec::new(),
        accepts_endpoint_audience: false,
        created_at: UnixTime::from_seconds(0),
        revision: 0,
    }
}

/// What was acknowledged last of each client: its revision (0 when removed) and its step.
#[derive(Debug, Default)]
pub struct Acknowledged(BTreeMap<String, (u64, u32)>, pub usize);

impl Acknowledged {
    pub fn note(&mut self, lines: &[String]) {
        for line in lines {
            if let Some((id, revision, step)) = parse(line) {
                self.0.insert(id.to_owned(), (revision, step));
                self.1 += 1;
            }
        }
    }

    /// Everything acknowledged is there; at most the one write of each client that was under way came after it.
    pub fn check(&self, store: &dyn Store) {
        block_on(async {
            for (id, &(revision, step)) in &self.0 {
                let found = store.find_client(id).await.unwrap();
                match found {
                    None if revision == 0 => {}
                    Some(found) if revision > 0 && found.revision == revision => {
                        assert_eq!(found.lifetime_seconds, Some(step), "{id}");
                        assert_eq!(found.enabled, step.is_multiple_of(2), "{id}");
                    }
                    Some(found) if revision > 0 && found.revision == revision + 1 => {
                        assert_eq!(found.lifetime_seconds, Some(step + 1), "{id}");
                    }
                    // The removal was under way.
                    None if step == 4 => {}
                    found => panic!("{id}: acknowledged were revision {revision}, step {step}; found {found:?}"),
                }
            }
            let report = store.check().await.unwrap();
            assert!(report.problems.is_empty(), "{report:?}");
        });
    }
}

fn parse(line: &str) -> Option<(&str, u64, u32)> {
    let mut words = line.split(' ');
    let (Some("ack"), Some(id), Some(revision), Some(step)) = (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    Some((id, revision.parse().unwrap(), step.parse().unwrap()))
}

/// The kinds of failures that a writer spoke of. A lock that was waited for to the end of its bound on a busy
/// machine is none; one that was not waited for is.
pub fn failures(lines: &[String]) -> Vec<String> {
    let failed = lines.iter().filter_map(|line| line.strip_prefix("failed ")?.split_once(' '));
    let waited = |(kind, millis): &(&str, &str)| *kind == "busy" && millis.parse::<u32>().unwrap() >= 1500;
    let mut kinds: Vec<String> = failed.filter(|failed| !waited(failed)).map(|(kind, _)| kind.to_owned()).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// True once something was acknowledged after the last failure.
pub fn is_writing_again(lines: &[String]) -> bool {
    let last_failure = lines.iter().rposition(|line| line.starts_with("failed"));
    last_failure.is_some_and(|at| lines[at..].iter().filter(|line| line.starts_with("ack")).count() > 5)
}

/// A store error, by its kind.
pub fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> &'static str {
    result.expect_err("an error").kind()
}
