//! The store of one simulated server: what [`MemoryStore`] says, at the price and with the delays of Redis. It stands
//! behind the breaker and the pauses between tries that the Redis backend has.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jeton::clock::{UnixDay, UnixTime};
use jeton::oauth::{Client, ClientId, SecretHash};
use jeton::store::assertions::UsedAssertion;
use jeton::store::memory::MemoryStore;
use jeton::store::{
    Backoff, Breaker, Changes, Cursor, KeyRecords, News, Pending, Revocation, Revocations, SecretUse, SecretUses,
    Store, StoreError, StoreReport, TokenPosition, TokenRecord,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::costs::Cost;
use crate::model::{Machine, Turn};
use crate::world::Place;

/// How long a lookup may take: the default of `store.redis_deadline`, unless Redis is far away.
const DEADLINE: Duration = Duration::from_millis(250);
/// How long what has a connection to itself may take; longer here than in the backend, where it is asked again.
const LEISURE: Duration = Duration::from_hours(24);

/// A server's way to the one store.
#[derive(Debug)]
pub struct NodeStore {
    memory: Arc<MemoryStore>,
    pub machine: Arc<Machine>,
    deadline: Duration,
    /// How many clients a look over the whole store finds, which may be more than the memory holds, and how many of these
    /// stand in the list of those that were used last.
    registered: usize,
    recent: usize,
    breaker: Breaker<()>,
    called: Arc<Notify>,
    is_live: AtomicBool,
}

impl NodeStore {
    /// Begins to connect to the store of this place.
    pub fn open(memory: &Arc<MemoryStore>, machine: &Arc<Machine>, place: Place) -> Arc<Self> {
        let store = Arc::new(Self {
            memory: Arc::clone(memory),
            machine: Arc::clone(machine),
            deadline: DEADLINE.max(place.round_trip * 3),
            registered: place.registered,
            recent: place.recent,
            breaker: Breaker::default(),
            called: Arc::default(),
            is_live: AtomicBool::default(),
        });
        tokio::spawn(Arc::clone(&store).supervise());
        store
    }

    /// Begins to listen for calls.
    pub fn follow(self: &Arc<Self>) {
        tokio::spawn(Arc::clone(self).listen());
    }

    /// Connects, and again whenever the connection breaks, as the backend does.
    async fn supervise(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let ended = self.machine.ended.notified();
            let connected = self.connect(self.machine.costs.connect).await;
            let is_good = connected.is_ok();
            match connected {
                Ok(()) => {
                    self.breaker.set_up((), "epoch".into());
                    tokio::select! {
                        () = self.breaker.until_broken() => {}
                        () = ended => self.breaker.break_any(),
                    }
                }
                Err(error) => self.breaker.set_down(error),
            }
            backoff.wait(is_good).await;
        }
    }

    /// Waits for calls, as the backend does.
    async fn listen(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let ended = self.machine.ended.notified();
            let was_live = self.connect(self.machine.costs.listen).await.is_ok();
            if was_live {
                self.machine.listen(Arc::clone(&self.called));
                self.set_live(true);
                tokio::select! {
                    () = ended => {}
                    () = self.idle() => {}
                }
                self.set_live(false);
            }
            backoff.wait(was_live).await;
        }
    }

    async fn connect(&self, cost: Cost) -> Result<(), StoreError> {
        let mut turn = Turn::begin(Some(Duration::from_secs(2)));
        self.machine.work(&mut turn, cost).await?;
        self.machine.answer(&mut turn).await?;
        self.machine.connected();
        Ok(())
    }

    /// What its connections do by themselves.
    async fn idle(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.machine.charge(self.machine.costs.idle);
        }
    }

    fn set_live(&self, is_live: bool) {
        self.is_live.store(is_live, Ordering::Relaxed);
        self.called.notify_one();
    }

    /// Does `act` at the server, within the deadline and behind the breaker.
    async fn ask<'a, T>(
        &'a self,
        (cost, deadline): (Cost, Duration),
        act: impl FnOnce(&'a MemoryStore) -> Pending<'a, T>,
        more: impl FnOnce(&T) -> Cost,
    ) -> Result<(T, Duration), StoreError> {
        self.breaker.has_started().await;
        let live = self.breaker.acquire(Instant::now() + self.deadline).await?;
        let mut turn = Turn::begin(Some(deadline));
        let outcome = self.attempt(&mut turn, cost, act, more).await;
        match &outcome {
            Err(StoreError::Deadline) => self.breaker.was_late(&live),
            Err(StoreError::Unreachable(_)) => self.breaker.broke(&live),
            _ => self.breaker.answered(),
        }
        outcome
    }

    async fn attempt<'a, T>(
        &'a self,
        turn: &mut Turn,
        cost: Cost,
        act: impl FnOnce(&'a MemoryStore) -> Pending<'a, T>,
        more: impl FnOnce(&T) -> Cost,
    ) -> Result<(T, Duration), StoreError> {
        self.machine.work(turn, cost).await?;
        let found = act(&self.memory).await?;
        let more = more(&found);
        if more.micros > 0.0 {
            self.machine.work(turn, Cost { trips: 0.0, ..more }).await?;
        }
        Ok((found, self.machine.answer(turn).await?))
    }

    async fn read<'a, T>(
        &'a self,
        cost: Cost,
        act: impl FnOnce(&'a MemoryStore) -> Pending<'a, T>,
    ) -> Result<T, StoreError> {
        Ok(self.ask((cost, self.deadline), act, |_| Cost::default()).await?.0)
    }

    async fn write<'a, T>(
        &'a self,
        cost: Cost,
        act: impl FnOnce(&'a MemoryStore) -> Pending<'a, T>,
    ) -> Result<T, StoreError> {
        let done = self.read(cost, act).await?;
        self.machine.call();
        Ok(done)
    }

    /// What takes its time and has it.
    async fn survey<'a, T>(
        &'a self,
        cost: Cost,
        act: impl FnOnce(&'a MemoryStore) -> Pending<'a, T>,
    ) -> Result<T, StoreError> {
        Ok(self.ask((cost, LEISURE), act, |_| Cost::default()).await?.0)
    }
}

fn never<'a, T>() -> Pending<'a, T> {
    Box::pin(async { unreachable!("no scene does this") })
}

impl Store for NodeStore {
    fn backend(&self) -> &'static str {
        "redis"
    }

    fn find_client<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Client>> {
        Box::pin(async move {
            let cost = (self.machine.costs.find_client, self.deadline);
            let (found, took) = self.ask(cost, |memory| memory.find_client(id), |_| Cost::default()).await?;
            self.machine.note_read(took);
            Ok(found)
        })
    }

    fn list_clients<'a>(&'a self, _: Option<&'a ClientId>, _: usize) -> Pending<'a, Vec<Client>> {
        never()
    }

    /// All that are used were used today.
    fn list_recent_clients(&self, skip: usize, limit: usize) -> Pending<'_, Vec<Client>> {
        let count = self.recent.saturating_sub(skip).min(limit);
        Box::pin(async move {
            let cost = self.machine.costs.recent.at(count);
            let all = self.survey(cost, move |memory| memory.list_clients(None, skip + count)).await?;
            Ok(all.into_iter().skip(skip).collect())
        })
    }

    fn take_turn<'a>(&'a self, _: &'a str, period: Duration) -> Pending<'a, bool> {
        Box::pin(async move {
            self.read(self.machine.costs.turn, |_| Box::pin(async { Ok(()) })).await?;
            Ok(self.machine.take_turn(period))
        })
    }

    fn put_client(&self, client: Client) -> Pending<'_, u64> {
        Box::pin(self.write(self.machine.costs.put_client, |memory| memory.put_client(client)))
    }

    fn copy_client(&self, _: Client, _: u64) -> Pending<'_, ()> {
        never()
    }

    fn remove_client<'a>(&'a self, _: &'a ClientId, _: u64) -> Pending<'a, ()> {
        never()
    }

    fn find_keys(&self) -> Pending<'_, Option<KeyRecords>> {
        Box::pin(self.read(self.machine.costs.find_keys, MemoryStore::find_keys))
    }

    fn put_keys(&self, _: KeyRecords) -> Pending<'_, u64> {
        never()
    }

    fn changes_since(&self, _: Option<Cursor>) -> Pending<'_, Changes> {
        never()
    }

    fn put_revocation(&self, revocation: Revocation) -> Pending<'_, ()> {
        Box::pin(self.write(self.machine.costs.put_revocation, move |memory| memory.put_revocation(revocation)))
    }

    fn revocations_since(&self, cursor: Cursor, limit: usize) -> Pending<'_, Revocations> {
        let slope = self.machine.costs.revocations;
        Box::pin(async move {
            let cost = (slope.base, LEISURE);
            let more = |found: &Revocations| slope.each * found.entries.len() as f64;
            Ok(self.ask(cost, |memory| memory.revocations_since(cursor, limit), more).await?.0)
        })
    }

    fn news_since(&self, cursor: Option<Cursor>, revocations: Cursor, limit: usize) -> Pending<'_, News> {
        let costs = &self.machine.costs;
        Box::pin(async move {
            let more = |found: &News| match cursor {
                Some(_) => costs.news.each * (found.changes.entries.len() + found.revocations.entries.len()) as f64,
                None => costs.revocations.at(found.revocations.entries.len()),
            };
            // All revocations are read at leisure.
            let deadline = if cursor.is_some() { self.deadline } else { LEISURE };
            Ok(self
                .ask((costs.news.base, deadline), |memory| memory.news_since(cursor, revocations, limit), more)
                .await?
                .0)
        })
    }

    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.called.notified().await;
            Ok(())
        })
    }

    fn tells_changes(&self) -> bool {
        self.is_live.load(Ordering::Relaxed)
    }

    fn purge_revocations(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        Box::pin(self.survey(self.machine.costs.purge, move |memory| memory.purge_revocations(before, limit)))
    }

    /// Counted with the revocations.
    fn purge_tokens(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        self.memory.purge_tokens(before, limit)
    }

    /// As the tokens.
    fn purge_assertions(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        self.memory.purge_assertions(before, limit)
    }

    fn put_assertion(&self, _: UsedAssertion) -> Pending<'_, ()> {
        never()
    }

    fn list_assertions(&self, _: Option<UsedAssertion>, _: usize) -> Pending<'_, Vec<UsedAssertion>> {
        never()
    }

    fn put_token(&self, _: TokenRecord) -> Pending<'_, ()> {
        never()
    }

    fn find_token(&self, _: SecretHash) -> Pending<'_, Option<TokenRecord>> {
        never()
    }

    fn list_tokens(&self, _: Option<TokenPosition>, _: usize) -> Pending<'_, Vec<TokenRecord>> {
        never()
    }

    fn put_secret_uses(&self, uses: Vec<SecretUse>) -> Pending<'_, ()> {
        let cost = self.machine.uses(&uses);
        Box::pin(self.survey(cost, |memory| memory.put_secret_uses(uses)))
    }

    fn list_secret_uses<'a>(&'a self, _: &'a ClientId) -> Pending<'a, SecretUses> {
        never()
    }

    fn put_secret_uses_since(&self, _: UnixDay) -> Pending<'_, ()> {
        never()
    }

    fn find_note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        Box::pin(self.read(self.machine.costs.find_note, move |memory| memory.find_note(name)))
    }

    fn put_note<'a>(&'a self, name: &'a str, held: Option<&'a str>, text: Option<&'a str>) -> Pending<'a, ()> {
        Box::pin(self.read(self.machine.costs.put_note, move |memory| memory.put_note(name, held, text)))
    }

    fn check(&self) -> Pending<'_, StoreReport> {
        Box::pin(self.survey(self.machine.costs.check.at(self.registered), MemoryStore::check))
    }

    fn backup<'a>(&'a self, _: &'a Path) -> Pending<'a, ()> {
        never()
    }
}
