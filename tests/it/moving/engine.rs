//! What a copy does to the records, whatever the backends.

use std::cell::Cell;
use std::time::Duration;

use jeton::admin::{self, AdminError};
use jeton::keys::MasterKey;
use jeton::store::memory::MemoryStore;
use jeton::store::transfer::{Followed, Objection};
use jeton::store::{Change, Cursor};

use super::failing::Failing;
use super::*;

pub async fn everything(store: &dyn Store, count: u32) -> (Vec<Client>, Vec<TokenRecord>, usize, Vec<SecretUse>) {
    let mut uses = Vec::new();
    for number in 0..count {
        uses.extend(store.list_secret_uses(&id(number)).await.unwrap().last);
    }
    let revocations = store.revocations_since(Cursor::default(), 100_000).await.unwrap().entries.len();
    let (clients, tokens) = (store.list_clients(None, 100_000).await, store.list_tokens(None, 100_000).await);
    (clients.unwrap(), tokens.unwrap(), revocations, uses)
}

#[test]
fn everything_is_there_as_it_was_and_nothing_is_left_to_be_done() {
    run(async {
        // More than one page of each.
        let (source, target, count) = (MemoryStore::default(), MemoryStore::default(), 1_203);
        fill(&source, count).await;
        let outcome = copy(&source, &target, terms()).await.unwrap();
        let all = u64::from(count);
        let counts = outcome.pass.parts().map(|(name, part)| (name, part.written, part.source.count()));
        let of_all = ["clients", "secret_uses", "tokens", "revocations", "assertions"].map(|name| (name, all, all));
        assert_eq!(counts[..5], of_all);
        assert_eq!((counts[5], outcome.passes), (("keys", 1, 2), 2), "the check of the master key counts as one");
        assert!(outcome.pass.parts().iter().all(|(_, part)| part.is_same()));
        let found = everything(&target, count).await;
        assert_eq!(found, everything(&source, count).await);
        assert!(found.0.iter().all(|client| client.revision == 2), "revisions are kept");
        let used = target.list_assertions(None, 10_000).await.unwrap();
        assert_eq!(used, source.list_assertions(None, 10_000).await.unwrap());
        assert!(
            target.put_assertion(assertion(7)).await.is_err(),
            "T-131: what was used before a move is no good after it"
        );
        assert_eq!(target.find_keys().await.unwrap(), source.find_keys().await.unwrap());
        assert_eq!(Objection::find(&target).await.unwrap(), None, "the copy was ended");
    });
}

#[test]
fn a_copy_that_is_broken_off_at_any_operation_is_completed_by_the_same_command() {
    run(async {
        let count = 4;
        let (source, needed) = (MemoryStore::default(), 1_000_000);
        fill(&source, count).await;
        let whole = Failing::default();
        whole.allow(needed);
        let expected = copy(&source, &whole, terms()).await.unwrap();
        let operations = needed - whole.left();
        assert!(operations > 50, "{operations}");
        for broken_at in 0..operations {
            let target = Failing::default();
            target.allow(broken_at);
            let error = copy(&source, &target, terms()).await.unwrap_err();
            assert!(matches!(error, TransferError::Target(_)), "{error}");
            target.allow(needed);
            let is_marked = target.find_note("copy").await.unwrap().is_some();
            let is_served = admin::unlock(&target, &MasterKey::from_random([1; 32]), UnixTime::from_seconds(9)).await;
            if is_marked && target.find_keys().await.unwrap().is_none() {
                assert!(matches!(is_served, Err(AdminError::Moving(Objection::Unfinished { .. }))), "at {broken_at}");
            } else if !is_marked {
                // Nothing was written yet; a server made it its own.
                continue;
            }
            let again = copy(&source, &target, terms()).await.unwrap();
            let digests = |outcome: &Outcome| outcome.pass.parts().map(|(_, part)| part.target.digest());
            assert_eq!(digests(&again), digests(&expected), "broken off at {broken_at}");
            assert_eq!(everything(&target, count).await, everything(&source, count).await);
        }
        // Nor does it matter to the source.
        for broken_at in 0..70 {
            let (source, target) = (Failing::default(), MemoryStore::default());
            source.allow(needed);
            fill(&source, count).await;
            source.allow(broken_at);
            let outcome = copy(&source, &target, terms()).await;
            assert!(outcome.is_ok() || matches!(outcome, Err(TransferError::Source(_))), "{outcome:?}");
            source.allow(needed);
            if outcome.is_err() {
                copy(&source, &target, terms()).await.unwrap();
            }
            assert_eq!(everything(&target, count).await, everything(&source, count).await);
        }
    });
}

#[test]
fn what_changed_at_the_source_since_it_was_broken_off_is_carried_over() {
    run(async {
        let (source, target) = (MemoryStore::default(), MemoryStore::default());
        fill(&source, 6).await;
        let progress = Progress::default();
        let mut transfer = Transfer::begin((&source, &target), terms(), &progress).await.unwrap();
        transfer.copy().await.unwrap();
        source.put_client(Client { revision: 2, enabled: true, ..client(3) }).await.unwrap();
        source.remove_client(&id(4), 2).await.unwrap();
        source.put_client(client(7)).await.unwrap();
        source.put_revocation(revocation(77)).await.unwrap();
        target.put_revocation(revocation(88)).await.unwrap();
        target.put_secret_uses(vec![use_of(1, 30_000)]).await.unwrap();
        let outcome = copy(&source, &target, terms()).await.unwrap();
        let clients = outcome.pass.clients;
        assert_eq!((clients.written, clients.removed), (2, 1));
        assert_eq!(target.list_clients(None, 99).await.unwrap(), source.list_clients(None, 99).await.unwrap());
        let revocations = target.revocations_since(Cursor::default(), 99).await.unwrap().entries;
        assert!(revocations.contains(&revocation(77)) && revocations.contains(&revocation(88)), "none is ever lost");
        assert_eq!(target.list_secret_uses(&id(1)).await.unwrap().last, [use_of(1, 30_000)], "the later day stays");
    });
}

#[test]
fn t131_an_assertion_that_both_sides_took_with_other_ends_is_used_on_both() {
    run(async {
        let (source, target) = (MemoryStore::default(), MemoryStore::default());
        fill(&source, 3).await;
        let same = UsedAssertion { expires_at: UnixTime::from_seconds(NEVER + 99), ..assertion(1) };
        target.put_assertion(same).await.unwrap();
        let mut replacing = terms();
        replacing.replaces = true;
        let outcome = copy(&source, &target, replacing).await.unwrap();
        assert_eq!((outcome.pass.assertions.written, outcome.pass.assertions.target.count()), (2, 3));
        let held = target.list_assertions(None, 9).await.unwrap();
        assert_eq!(held.len(), 3);
        assert!(held.contains(&same), "as it was");
    });
}

#[test]
fn a_target_that_holds_anything_else_is_refused_and_replaced_only_on_demand() {
    run(async {
        let (source, other, mut replacing) = (MemoryStore::default(), MemoryStore::default(), terms());
        fill(&source, 3).await;
        fill(&other, 2).await;
        other.put_client(client(9)).await.unwrap();
        replacing.replaces = true;
        for part in 0..5 {
            let target = MemoryStore::default();
            match part {
                0 => drop(target.put_client(client(9)).await.unwrap()),
                1 => drop(target.put_keys(keys(2)).await.unwrap()),
                2 => target.put_token(token(9)).await.unwrap(),
                3 => target.put_assertion(assertion(9)).await.unwrap(),
                _ => target.put_revocation(revocation(9)).await.unwrap(),
            }
            let refused = copy(&source, &target, terms()).await;
            assert!(matches!(refused, Err(TransferError::NotEmpty)), "{part}: {refused:?}");
            assert!(target.find_note("copy").await.unwrap().is_none(), "nothing was written");
            let outcome = copy(&source, &target, replacing).await.unwrap();
            assert_eq!(outcome.pass.clients.removed, u64::from(part == 0));
            assert_eq!(target.list_clients(None, 99).await.unwrap(), source.list_clients(None, 99).await.unwrap());
            assert_eq!(target.find_keys().await.unwrap().unwrap().keys, keys(1).keys);
            assert_eq!(target.find_token(token(9).digest).await.unwrap().is_some(), part == 2, "requests made it");
        }
        let unfinished = MemoryStore::default();
        let progress = Progress::default();
        Transfer::begin((&other, &unfinished), terms(), &progress).await.unwrap();
        let refused = copy(&source, &unfinished, terms()).await;
        assert!(matches!(refused, Err(TransferError::OfAnother(_))), "{refused:?}");
        copy(&other, &unfinished, terms()).await.unwrap();
        let refused = copy(&other, &unfinished, terms()).await;
        assert!(matches!(refused, Err(TransferError::NotEmpty)), "once it was ended it is a store like any other");
    });
}

#[test]
fn nothing_is_copied_from_nothing_to_itself_or_by_two_at_a_time() {
    run(async {
        let (source, target, mut replacing) = (MemoryStore::default(), MemoryStore::default(), terms());
        assert!(matches!(copy(&source, &target, terms()).await, Err(TransferError::Nothing)));
        fill(&source, 2).await;
        replacing.replaces = true;
        assert!(matches!(copy(&source, &source, replacing).await, Err(TransferError::Same)));
        assert_eq!(Objection::find(&source).await.unwrap(), None, "the mark is gone again");
        let (one, two) = (Progress::default(), Progress::default());
        let mut first = Transfer::begin((&source, &target), terms(), &one).await.unwrap();
        let mut second = Transfer::begin((&source, &target), terms(), &two).await.unwrap();
        assert!(matches!(first.copy().await, Err(TransferError::TakenOver)));
        second.copy().await.unwrap();
        assert!(matches!(first.finish(None).await, Err(TransferError::TakenOver)));
        second.finish(None).await.unwrap();
    });
}

#[test]
fn a_copy_is_served_once_it_is_whole_and_changed_once_it_was_ended() {
    run(async {
        let (source, target, progress) = (MemoryStore::default(), MemoryStore::default(), Progress::default());
        fill(&source, 2).await;
        let (master, now) = (MasterKey::from_random([1; 32]), UnixTime::from_seconds(9));
        let admin =
            |store: MemoryStore| admin::Admin::new(std::sync::Arc::new(store), MasterKey::from_random([1; 32]), now);
        let mut transfer = Transfer::begin((&source, &target), terms(), &progress).await.unwrap();
        let is_unfinished = |found| matches!(found, Err(AdminError::Moving(Objection::Unfinished { .. })));
        assert!(is_unfinished(admin::unlock(&target, &master, now).await.map(drop)));
        assert!(target.find_keys().await.unwrap().is_none(), "and no key was made for it");
        transfer.copy().await.unwrap();
        admin::unlock(&target, &master, now).await.unwrap();
        let target = admin(target);
        let refused = target.set_enabled(&id(1), false).await.unwrap_err();
        assert!(refused.to_string().contains("change clients and keys there"), "{refused}");
        let lead = jeton::config::Config::from_raw(&jeton::config::RawConfig::default()).unwrap().lead();
        for refused in [
            target.remove_client(&id(1)).await.map(drop),
            target.add_client(jeton::admin::ClientChange::default()).await.map(drop),
            target.rotate_keys(lead).await.map(drop),
            target.remove_key("x").await.map(drop),
        ] {
            assert!(matches!(refused, Err(AdminError::Moving(Objection::Followed { .. }))), "{refused:?}");
        }
    });
}

#[test]
fn a_retired_source_is_neither_served_nor_changed_until_it_is_a_target_again() {
    run(async {
        let (source, target, progress) = (MemoryStore::default(), MemoryStore::default(), Progress::default());
        fill(&source, 2).await;
        let (master, now) = (MasterKey::from_random([1; 32]), UnixTime::from_seconds(9));
        let mut transfer = Transfer::begin((&source, &target), terms(), &progress).await.unwrap();
        transfer.copy().await.unwrap();
        transfer.finish(Some("there")).await.unwrap();
        let refused = admin::unlock(&source, &master, now).await.unwrap_err();
        assert_eq!(refused.to_string(), "this store was moved to there: use that one");
        admin::unlock(&target, &master, now).await.unwrap();
        let mut back = terms();
        back.replaces = true;
        copy(&target, &source, back).await.unwrap();
        admin::unlock(&source, &master, now).await.unwrap();
    });
}

#[test]
fn what_comes_in_while_it_follows_reaches_the_other_side() {
    run(async {
        let (source, target, progress) = (Failing::default(), MemoryStore::default(), Progress::default());
        source.allow(1_000_000);
        fill(&source, 5).await;
        let mut transfer = Transfer::begin((&source, &target), terms(), &progress).await.unwrap();
        let position = transfer.position().await.unwrap();
        source.put_client(Client { revision: 2, ..client(1) }).await.unwrap();
        transfer.copy().await.unwrap();
        let (caught_up, interrupted, resumed) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let tell = |event| {
            let counter = match event {
                Followed::CaughtUp => &caught_up,
                Followed::Interrupted(_) => &interrupted,
                Followed::Resumed => &resumed,
            };
            counter.set(counter.get() + 1);
        };
        let script = async {
            eventually("it has caught up", async || caught_up.get() == 1).await;
            source.put_client(Client { revision: 2, enabled: false, ..client(2) }).await.unwrap();
            source.remove_client(&id(3), 2).await.unwrap();
            source.put_revocation(revocation(100)).await.unwrap();
            source.put_token(token(100)).await.unwrap();
            target.put_revocation(revocation(200)).await.unwrap();
            target.put_token(token(200)).await.unwrap();
            let mut rotated = keys(1);
            rotated.keys.extend(keys(2).keys);
            rotated.revision = 1;
            source.put_keys(rotated).await.unwrap();
            eventually("clients and keys came over", async || {
                let held = target.find_client("c_2").await.unwrap().unwrap();
                let keys = target.find_keys().await.unwrap().unwrap().keys;
                held.revision == 3 && target.find_client("c_3").await.unwrap().is_none() && keys.len() == 2
            })
            .await;
            for number in [100, 200] {
                eventually("tokens and revocations are on both sides", async || {
                    let stores: [&dyn Store; 2] = [&source, &target];
                    let mut found = 0;
                    for store in stores {
                        let revoked = store.revocations_since(Cursor::default(), 999).await.unwrap().entries;
                        found += usize::from(revoked.contains(&revocation(number)));
                        found += usize::from(store.find_token(token(number).digest).await.unwrap().is_some());
                    }
                    found == 4
                })
                .await;
            }
            // An outage is waited for.
            source.allow(0);
            target.put_revocation(revocation(300)).await.unwrap();
            eventually("it is interrupted", async || interrupted.get() > 0).await;
            source.allow(1_000_000);
            eventually("it goes on", async || resumed.get() == interrupted.get()).await;
            let revoked = source.revocations_since(Cursor::default(), 999).await.unwrap().entries;
            assert!(revoked.contains(&revocation(300)), "what was acknowledged meanwhile came over");
        };
        tokio::select! {
            ended = transfer.follow(position, &tell) => panic!("{ended:?}"),
            () = script => {}
        }
        assert!(source.changes_since(Some(position)).await.unwrap().entries.contains(&Change::Client(id(1))));
        let outcome = copy(&source, &target, terms()).await.unwrap();
        assert_eq!(outcome.pass.clients.written + outcome.pass.tokens.written + outcome.pass.keys.written, 0);
    });
}

async fn eventually(what: &str, done: impl AsyncFn() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !done().await {
        assert!(tokio::time::Instant::now() < end, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
