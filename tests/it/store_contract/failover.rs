//! The contract through a failover: each clause on a store that was opened when another server was the master, half of them
//! after a crash of the master, half after a failover that was ordered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jeton::store::{Cursor, RedisOptions, Store, StoreOptions};

use super::{CLAUSES, Fixture, client, end_of_feed, options};
use crate::support::faults::block_on;
use crate::support::sentinel::Sentinels;
use crate::support::wait_for;

/// A clause by its name.
pub(super) type Clause = (&'static str, fn(&Fixture));
/// What is to be proved, and of which store.
type Due = (Clause, Fixture);

/// A write is acknowledged once a replica has it, and the sentinels say that its master stays.
fn waiting() -> StoreOptions {
    let usual = options();
    StoreOptions { redis: RedisOptions { wait_replicas: 1, ..usual.redis }, seal: usual.seal }
}

fn store(sentinels: &Sentinels, name: &str) -> Fixture {
    Fixture::remote(&format!("{}?prefix={name}", sentinels.url()), waiting(), None)
}

#[test]
fn every_clause_holds_on_a_store_whose_master_was_changed() {
    let mut sentinels = Sentinels::start();
    let (first, second) = CLAUSES.split_at(CLAUSES.len() / 2);
    prove(open(&sentinels, first, "early"));
    let (due, witness) = (open(&sentinels, second, "crash"), Witness::write(&sentinels));
    let old = sentinels.master();
    sentinels.nodes[old].kill();
    go_on(&sentinels, old, &due);
    witness.expect_all();
    prove(due);

    sentinels.nodes[old].start_again();
    wait_for("the old master follows", || sentinels.nodes[old].is_replica().then_some(()));
    prove(open(&sentinels, second, "late"));
    let (due, witness) = (open(&sentinels, first, "order"), Witness::write(&sentinels));
    let old = sentinels.master();
    sentinels.fail_over();
    go_on(&sentinels, old, &due);
    witness.expect_all();
    prove(due);
}

/// A store for each, of which nothing was asked but that it is made.
fn open(sentinels: &Sentinels, clauses: &[Clause], time: &str) -> Vec<Due> {
    let named = clauses.iter().enumerate();
    named.map(|(number, clause)| (*clause, store(sentinels, &format!("{time}-{number}")))).collect()
}

/// Says which one does not hold.
fn prove(due: Vec<Due>) {
    for ((name, clause), fixture) in due {
        let proved = catch_unwind(AssertUnwindSafe(|| clause(&fixture)));
        assert!(proved.is_ok(), "{name}");
    }
}

/// Until another server is the master, has a replica, and every store has found it: it sees what is only there.
fn go_on(sentinels: &Sentinels, old: usize, due: &[Due]) {
    let (new, _) = sentinels.wait_until_promoted(old);
    let master = &sentinels.nodes[new];
    sentinels.wait_until_replicated();
    for ((name, _), fixture) in due {
        let notes = format!("{{{}}}:notes", fixture.url.to_string().split_once("prefix=").unwrap().1);
        master.cli(&["HSET", &notes, "master", "new"]);
        wait_for(name, || {
            let found = block_on(async { fixture.store.find_note("master").await });
            (found.ok()?.as_deref() == Some("new")).then_some(())
        });
        master.cli(&["DEL", &notes]);
    }
}

/// What was acknowledged before, and the place in the feed where that ended.
struct Witness {
    fixture: Fixture,
    cursor: Cursor,
}

impl Witness {
    fn write(sentinels: &Sentinels) -> Self {
        let fixture = store(sentinels, &format!("witness-{}", sentinels.master_port()));
        let cursor = block_on(async {
            fixture.store.put_client(client("c_kept")).await.unwrap();
            end_of_feed(&*fixture.store).await
        });
        // One replica has it, by the promise; a feed without a gap needs it on whichever is promoted.
        let key = format!("{{witness-{}}}:client:c_kept", sentinels.master_port());
        for node in &sentinels.nodes {
            wait_for("all have it", || (node.cli(&["EXISTS", &key]) == "1").then_some(()));
        }
        Self { fixture, cursor }
    }

    /// It is there, for the handle of before and for a new one, and the feed goes on where it was.
    fn expect_all(&self) {
        let handles: [Arc<dyn Store>; 2] = [Arc::clone(&self.fixture.store), self.fixture.again()];
        for store in handles {
            wait_for("it is found", || {
                let found = block_on(async { store.find_client("c_kept").await });
                found.ok()?.map(|found| assert_eq!(found.revision, 1))
            });
            let changes = block_on(async { store.changes_since(Some(self.cursor)).await.unwrap() });
            assert!(!changes.gap && changes.entries.is_empty(), "{changes:?}");
        }
    }
}
