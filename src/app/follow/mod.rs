//! Follows the store: what another process changed acts here within a second, and an outage is noticed.
//!
//! One task beside the workers polls the change feed. It drops changed clients from memory, reloads the signing
//! keys, tells readiness and metrics how the store does, and lets memory serve through an outage only for the
//! grace. No request waits for it. `chores` are what it does to the store by the way, `preload` is what it reads
//! before anybody asks.

mod chores;
mod preload;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::begin;
use super::snapshots::{Confirmed, Snapshots};
use super::soundness::Soundness;
use super::steadiness::Steadiness;
use super::{App, Survey};
use crate::admin::AdminError;
use crate::keys::{KeySet, MasterKey};
use crate::oauth::{Algorithm, ClientId};
use crate::store::snapshot::Snapshot;
use crate::store::{Change, Changes, Cursor, News, Revocations, Store, StoreError};

/// How often the change feed is read; half of what the promise of one second leaves room for.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// How often it is read while the store tells of changes by itself. What it tells may be lost, so this keeps the promise
/// as well, just.
const POLL_WHEN_TOLD: Duration = Duration::from_millis(500);
/// The shortest pause between two readings, however much there is to tell.
const POLL_APART: Duration = Duration::from_millis(20);

/// The revision of keys that were never read.
const NEVER_READ: u64 = 0;

/// How many revocations one reading takes.
const REVOCATIONS_AT_ONCE: usize = 10_000;
/// Whether the store's keys were unlocked since the start.
#[derive(Clone, Copy, Debug)]
enum Unlocked {
    Yes,
    /// The store did not answer yet; `is_known` when it had keys before this start.
    NotYet {
        is_known: bool,
    },
}

/// The task that keeps an [`App`] up to date.
#[derive(Debug)]
pub struct Follower {
    app: Arc<App>,
    store: Arc<dyn Store>,
    master: Arc<MasterKey>,
    key_revision: u64,
    keys_changed: bool,
    cursor: Option<Cursor>,
    revocations: Cursor,
    purge: Option<JoinHandle<()>>,
    flush: Option<JoinHandle<()>>,
    rotation: Option<JoinHandle<()>>,
    preload: Option<JoinHandle<()>>,
    steadiness: Steadiness,
    last_answer: Instant,
    /// How long before this start the store had answered last.
    unseen: Duration,
    /// Whether the store's keys were unlocked, and if not, whether it must have some.
    unlocked: Unlocked,
    lost: bool,
    survey: Survey,
    snapshots: Snapshots,
    soundness: Soundness,
}

impl Follower {
    pub(super) fn new(app: Arc<App>, store: Arc<dyn Store>, master: MasterKey, key_revision: u64) -> Self {
        let (master, revocations, last_answer) = (Arc::new(master), Cursor::default(), Instant::now());
        let steadiness = Steadiness::new(app.clock.now());
        let survey = Survey::new(Arc::clone(&store));
        let settings = &app.config.store;
        let snapshots = Snapshots::new(settings.snapshot_file.clone(), settings.outage_grace);
        Self {
            app,
            store,
            master,
            key_revision,
            keys_changed: false,
            cursor: None,
            revocations,
            purge: None,
            flush: None,
            rotation: None,
            preload: None,
            steadiness,
            last_answer,
            unseen: Duration::ZERO,
            unlocked: Unlocked::Yes,
            lost: false,
            survey,
            snapshots,
            soundness: Soundness::default(),
        }
    }

    /// Goes on with a look over the store that was begun before.
    pub fn take_over(&mut self, survey: Survey) {
        self.survey = survey;
    }

    /// Begins with what was known when the store had answered last, `age` ago.
    pub fn recall(&mut self, snapshot: Snapshot, age: Duration) {
        let clients = self.app.authenticator.clients();
        clients.take_in(snapshot.clients, clients.forgotten());
        self.app.revoked.insert(&snapshot.revocations);
        self.unlocked = Unlocked::NotYet { is_known: true };
        self.unseen = age;
    }

    /// Begins without knowing anything, not even keys.
    pub fn begin_unaware(&mut self) {
        self.unlocked = Unlocked::NotYet { is_known: false };
        self.unseen = Duration::MAX;
    }

    /// Follows until the task is dropped.
    pub async fn run(mut self) {
        let store = Arc::clone(&self.store);
        loop {
            let began = Instant::now();
            self.step().await;
            let pause = if store.tells_changes() && !self.lost { POLL_WHEN_TOLD } else { POLL_EVERY };
            tokio::select! {
                () = tokio::time::sleep_until(began + pause) => {}
                _ = store.changed() => tokio::time::sleep_until(began + POLL_APART).await,
            }
        }
    }

    /// One look at the store and at the clock.
    pub async fn step(&mut self) {
        self.soundness.note(self.app.keys.load().ed25519_path());
        let asked = Instant::now();
        let outcome = self.follow().await;
        if outcome.is_ok() {
            let confirmed = Confirmed { at: asked, key_revision: self.key_revision };
            self.snapshots.step(&self.app, &self.master, confirmed).await;
        }
        self.note(outcome);
        self.app.metrics.store().set_age(self.last_answer.elapsed());
        self.look_over().await;
        self.advance_keys();
        // What a wrong clock would remove or plan stays so when the clock is right again.
        let is_steady = self.steadiness.is_steady(self.app.clock.now());
        self.app.clock_jumped.store(!is_steady, Ordering::Relaxed);
        if is_steady {
            self.purge_revocations();
            self.rotate_keys();
        }
    }

    /// Clients and revocations come first: nothing that is wrong with a key may keep a disabled client in.
    async fn follow(&mut self) -> Result<(), StoreError> {
        self.unlock().await?;
        let asked = Instant::now();
        let News { changes, revocations } =
            self.store.news_since(self.cursor, self.revocations, REVOCATIONS_AT_ONCE).await?;
        // Before the first answer anything may have changed since the keys were read.
        self.keys_changed |= self.cursor.is_none() || changes.gap || changes.entries.contains(&Change::Keys);
        self.forget_changed(&changes);
        self.follow_revocations(revocations).await?;
        if self.cursor.is_none() || changes.gap {
            self.preload_clients();
        }
        self.cursor = Some(changes.cursor);
        self.app.revoked.note_current(asked);
        if self.keys_changed {
            self.reload_keys().await?;
            self.keys_changed = false;
        }
        self.flush_secret_uses();
        Ok(())
    }

    /// What a start does with a store that answers: this one began without. A store that was known has keys, and is not
    /// made anew.
    async fn unlock(&mut self) -> Result<(), StoreError> {
        let Unlocked::NotYet { is_known } = self.unlocked else { return Ok(()) };
        if is_known && self.store.find_keys().await?.is_none() {
            return Err(keys_are_gone());
        }
        let (lead, now) = (self.app.config.lead(), self.app.clock.now());
        match begin(&self.store, &self.master, lead, now).await {
            Ok(_) => self.unlocked = Unlocked::Yes,
            Err(AdminError::Store(error)) => return Err(error),
            Err(error) => return Err(StoreError::Unusable(error.to_string())),
        }
        // A start looks the store over, too.
        self.survey.start();
        Ok(())
    }

    /// Takes over what was revoked since the last look; all of it at the first, and after a gap, when the store may
    /// be another one than before.
    async fn follow_revocations(&mut self, mut news: Revocations) -> Result<(), StoreError> {
        loop {
            self.app.revoked.insert(&news.entries);
            self.revocations = news.cursor;
            if news.entries.len() < REVOCATIONS_AT_ONCE {
                return Ok(());
            }
            news = self.store.revocations_since(self.revocations, REVOCATIONS_AT_ONCE).await?;
        }
    }

    fn forget_changed(&self, changes: &Changes) {
        let clients = self.app.authenticator.clients();
        if self.cursor.is_none() || changes.gap {
            clients.forget_all();
        }
        let client_of = |change: &Change| if let Change::Client(id) = change { Some(id.clone()) } else { None };
        let mut known: Vec<ClientId> = changes.entries.iter().filter_map(client_of).collect();
        known.retain(|id| clients.forget(id));
        if !known.is_empty() {
            // Read again beside the follower, so that who is served from memory goes on being so.
            let authenticator = Arc::clone(&self.app.authenticator);
            tokio::spawn(async move {
                for id in known {
                    // A store that does not answer is asked again by the client's next request.
                    drop(authenticator.clients().load(id.as_str()).await);
                }
            });
        }
    }

    async fn reload_keys(&mut self) -> Result<(), StoreError> {
        let Some(records) = self.store.find_keys().await? else {
            return Err(keys_are_gone());
        };
        if records.revision == self.key_revision {
            return Ok(());
        }
        let (now, policy) = (self.app.clock.now(), self.app.config.keys.signing);
        match KeySet::open_with(&records.keys, &self.master, now, policy) {
            Ok(keys) => {
                self.app.keys.store(Arc::new(keys));
                tracing::info!(keys = records.keys.len(), "signing keys reloaded");
            }
            // Better an old key than none; said once for each writing of them.
            Err(error) => tracing::error!(%error, "the signing keys were not reloaded, those in memory go on"),
        }
        self.key_revision = records.revision;
        Ok(())
    }

    fn note(&mut self, outcome: Result<(), StoreError>) {
        let answered = outcome.is_ok();
        // Such a store does not come back by itself, so it has no grace.
        let replaced = matches!(outcome, Err(StoreError::Unusable(_)));
        if answered {
            self.last_answer = Instant::now();
            self.unseen = Duration::ZERO;
        }
        if let Err(error) = outcome
            && !std::mem::replace(&mut self.lost, true)
        {
            tracing::error!(kind = error.kind(), %error, "the store does not answer; known clients are served from memory");
        } else if answered && std::mem::replace(&mut self.lost, false) {
            tracing::info!("the store answers again");
        }
        let app = &self.app;
        app.metrics.store().set_up(answered);
        let age = self.last_answer.elapsed().saturating_add(self.unseen);
        // An answer is no outage, however short the grace is.
        let within_grace = answered || age <= app.config.store.outage_grace;
        app.authenticator.clients().set_serving(within_grace);
        app.readiness.store_lost.store(replaced || !within_grace, Ordering::Relaxed);
        if !within_grace {
            self.rest_keys();
        }
    }

    /// Beyond the grace others may have removed the key that signs here, so nothing is signed until the keys were read
    /// anew: also not for a request that finds the store back before the follower does.
    fn rest_keys(&mut self) {
        let keys = &self.app.keys;
        if keys.load().may_sign() {
            keys.store(Arc::new(keys.load().at_rest()));
        }
        (self.keys_changed, self.key_revision) = (true, NEVER_READ);
    }

    /// Damage found by any read stays a reason not to be ready until the whole store was looked over without any.
    async fn look_over(&mut self) {
        let damaged = &self.app.readiness.store_damaged;
        match self.survey.poll(damaged.load(Ordering::Relaxed)).await {
            Some(Ok(())) => damaged.store(false, Ordering::Relaxed),
            Some(Err(error)) => {
                tracing::error!(kind = error.kind(), %error, "the store was looked over: it is not well");
                damaged.store(true, Ordering::Relaxed);
            }
            None => {}
        }
    }

    /// Drops keys whose time is over, and tells whether there is one that signs.
    fn advance_keys(&self) {
        let now = self.app.clock.now();
        let keys = &self.app.keys;
        if let Some(advanced) = keys.load().advanced_to(now) {
            keys.store(Arc::new(advanced));
        }
        let keys = keys.load();
        // The one ring that every store has; a client of another that has no key yet is told so by itself.
        self.app.readiness.no_key.store(keys.active(Algorithm::default(), now).is_none(), Ordering::Relaxed);
    }
}

fn keys_are_gone() -> StoreError {
    StoreError::Unusable("the signing keys are gone from the store".to_owned())
}
