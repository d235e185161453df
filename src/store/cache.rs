//! What stands between the token path and a backend: the clients that were asked for, ready to use.
//!
//! Hot reads take no lock and write no shared memory but the entry's own mark. A miss, and every refusal, reads
//! the store through one flight per client, however many requests wait for it.
//!
//! Invariants:
//! - Bounded: beyond the capacity, the entry that was not used for longest (by CLOCK) goes.
//! - An absent client is never answered from memory: the store is asked, so that a client registered a moment ago
//!   works, and an unknown id and a wrong secret cost the same. The failure limiter bounds how often.
//! - What was read before a change never outlives it: [`ClientCache::forget`] also taints the flights under way, and what
//!   is taken in beside them.
//! - While the store is gone, what is known is served for the outage grace, then nothing is.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::cached::{CachedClient, Known, Shared, TokenDefaults};
use super::table::{Seen, Table};
use super::{Store, StoreError};
use crate::oauth::{Client, ClientId};

/// How many used entries one newcomer may pass over, since it holds the lock meanwhile.
const SECOND_CHANCES: u32 = 64;
/// How many entries are looked at for having been forgotten, whenever something is remembered or forgotten.
const TIDIED: usize = 4;

/// What one reading of the store found, for all who wait for it.
pub type Found = Result<Option<CachedClient>, Arc<StoreError>>;

#[derive(Debug, Default)]
struct Flight {
    landed: OnceCell<Found>,
}

/// Somebody who waits for a flight. When the last one leaves before it has landed, nobody is left to clear it away.
struct Waits<'a> {
    cache: &'a ClientCache,
    key: Option<&'a ClientId>,
    flight: &'a Arc<Flight>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.filter(|_| !self.flight.landed.initialized()) else { return };
        let mut misses = self.cache.misses();
        let is_this = misses.flights.get(key).is_some_and(|current| Arc::ptr_eq(current, self.flight));
        // The map's own and that of whoever leaves now.
        if is_this && Arc::strong_count(self.flight) <= 2 {
            misses.flights.remove(key);
        }
    }
}

/// The state of the miss path; one lock, held for a few steps and never across a wait.
#[derive(Debug, Default)]
struct Misses {
    flights: HashMap<ClientId, Arc<Flight>>,
    /// Every entry of the map, oldest first, and some that are gone already.
    hand: VecDeque<CachedClient>,
    /// How often something was forgotten.
    forgotten: u64,
}

/// The bounded map of known clients.
#[derive(Debug)]
pub struct ClientCache {
    store: Arc<dyn Store>,
    defaults: TokenDefaults,
    capacity: usize,
    entries: Table<Shared>,
    misses: Mutex<Misses>,
    serves: AtomicBool,
}

impl ClientCache {
    /// An empty cache before `store` for up to `capacity` clients.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, defaults: TokenDefaults, capacity: usize) -> Self {
        Self {
            store,
            defaults,
            capacity: capacity.max(1),
            entries: Table::default(),
            misses: Mutex::default(),
            serves: AtomicBool::new(true),
        }
    }

    /// What the claims of narrowed tokens are made with.
    #[must_use]
    pub const fn defaults(&self) -> &TokenDefaults {
        &self.defaults
    }

    /// Shows a client to `look` if it is in memory: no lock, no I/O, no shared counter.
    pub fn with_known<T>(&self, id: &str, look: impl FnOnce(Known<'_>) -> T) -> Option<T> {
        self.with(id, || (), |known, ()| known.inspect(|known| known.note_use()).map(look))
    }

    /// Shows a client to `look`, or nobody where it is not in memory, with what was done `meanwhile`: its memory was on
    /// its way. Whoever is served by it notes that it was used.
    pub fn with<M, T>(
        &self,
        id: &str,
        meanwhile: impl FnOnce() -> M,
        look: impl FnOnce(Option<Known<'_>>, M) -> T,
    ) -> T {
        // Asked first: while this says no, what is there may be out of date.
        let serves = self.serves.load(Ordering::Acquire);
        let mut candidates = self.entries.candidates(id);
        let first = candidates.next();
        first.as_ref().and_then(known).inspect(|known| known.prefetch());
        let made = meanwhile();
        let is_meant = |seen: &Seen<Shared>| known(seen).is_some_and(|known| known.client().id.as_str() == id);
        // Its key is compared only now, since that waits for it.
        let found = first.into_iter().chain(candidates).find(is_meant);
        look(found.as_ref().and_then(known).filter(|_| serves), made)
    }

    /// Reads a client from the store, with all others who wait for the same one, and remembers it.
    ///
    /// # Errors
    /// What the store reports.
    pub async fn load(&self, id: &str) -> Found {
        // No client of ours has such an id, but it takes the same way as one that might.
        let key = ClientId::parse(id).ok();
        let flight = match &key {
            Some(key) => Arc::clone(self.misses().flights.entry(key.clone()).or_default()),
            None => Arc::default(),
        };
        let waits = Waits { cache: self, key: key.as_ref(), flight: &flight };
        let found = flight.landed.get_or_init(|| self.fetch(id)).await.clone();
        if let Some(key) = &key {
            self.land(key, &flight, &found);
        }
        drop(waits);
        found
    }

    async fn fetch(&self, id: &str) -> Found {
        let client = self.store.find_client(id).await.map_err(Arc::new)?;
        Ok(client.map(|client| self.ready(client)))
    }

    fn ready(&self, client: Client) -> CachedClient {
        CachedClient::new(client, &self.defaults)
    }

    /// The first of those who waited stores the result, unless the flight was tainted meanwhile.
    fn land(&self, id: &ClientId, flight: &Arc<Flight>, found: &Found) {
        let mut misses = self.misses();
        if misses.flights.get(id).is_none_or(|current| !Arc::ptr_eq(current, flight)) {
            return;
        }
        misses.flights.remove(id);
        match found {
            Ok(Some(entry)) => self.remember(&mut misses, entry),
            Ok(None) => drop(self.entries.remove(id.as_str())),
            Err(_) => {}
        }
    }

    fn remember(&self, misses: &mut Misses, entry: &CachedClient) {
        let id = entry.client().id.as_str();
        if self.entries.get(id).is_some_and(|known| Known::new(&known).client() == entry.client()) {
            return;
        }
        self.entries.insert(entry.shared().clone());
        misses.hand.push_back(entry.clone());
        self.tidy(misses);
        let mut chances = SECOND_CHANCES;
        while self.entries.len() > self.capacity {
            let Some(oldest) = misses.hand.pop_front() else { return };
            let current = self.is_current(&oldest);
            if current && chances > 0 && oldest.known().take_use() {
                chances -= 1;
                misses.hand.push_back(oldest);
            } else if current {
                self.entries.remove(oldest.client().id.as_str());
            }
        }
    }

    /// Lets go of what was forgotten, some of it at a time, so that it does not pile up beside what is known.
    fn tidy(&self, misses: &mut Misses) {
        for _ in 0..TIDIED {
            if misses.hand.len() <= self.entries.len() {
                return;
            }
            let oldest = misses.hand.pop_front().filter(|oldest| self.is_current(oldest));
            misses.hand.extend(oldest);
        }
    }

    /// Whether it is what is known of the client, not what was.
    fn is_current(&self, entry: &CachedClient) -> bool {
        let known = self.entries.get(entry.client().id.as_str());
        known.is_some_and(|known| Known::new(&known).is(entry.known()))
    }

    /// Every client in memory, in no particular order.
    #[must_use]
    pub fn all_known(&self) -> Vec<CachedClient> {
        self.entries.all().iter().map(Known::new).map(CachedClient::of).collect()
    }

    /// How often something was forgotten so far: for whoever reads clients beside requests.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.misses().forgotten
    }

    /// Takes clients into memory, as far as there is room, that were read since so much was `forgotten`. False, and none is
    /// taken, when more was since: it may be what changed after the reading.
    pub fn take_in(&self, clients: Vec<Client>, forgotten: u64) -> bool {
        // Ready before the lock, on which requests wait.
        let ready: Vec<_> = clients.into_iter().map(|client| self.ready(client)).collect();
        let mut misses = self.misses();
        if misses.forgotten != forgotten {
            return false;
        }
        for entry in ready.into_iter().take(self.capacity.saturating_sub(self.entries.len())) {
            // One that is there was asked for, and read, later.
            if self.entries.get(entry.client().id.as_str()).is_none() {
                self.remember(&mut misses, &entry);
            }
        }
        true
    }

    /// Drops what is known of a client that was changed; its next request reads the store. True when it was known.
    pub fn forget(&self, id: &ClientId) -> bool {
        let mut misses = self.misses();
        misses.flights.remove(id);
        misses.forgotten += 1;
        let was_known = self.entries.remove(id.as_str());
        self.tidy(&mut misses);
        was_known
    }

    /// Drops everything, after a gap in the change feed.
    pub fn forget_all(&self) {
        let mut misses = self.misses();
        *misses = Misses { forgotten: misses.forgotten + 1, ..Misses::default() };
        self.entries.clear();
    }

    /// Whether clients in memory may be served: false once the store was gone for longer than the outage grace.
    pub fn set_serving(&self, serves: bool) {
        self.serves.store(serves, Ordering::Release);
    }

    /// How many clients are in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when no client is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every step under the lock leaves the state whole, so a panic elsewhere cannot have broken it.
    fn misses(&self) -> MutexGuard<'_, Misses> {
        self.misses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at what was found, if it is still there.
fn known(seen: &Seen<Shared>) -> Option<Known<'_>> {
    seen.as_ref().map(Known::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    fn client(number: u32) -> Client {
        let text = format!(
            r#"{{"id":"c_{number}","name":"n","enabled":true,"may_request_tokens":true,"scope":"a","created_at":5,"revision":7}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn cache(capacity: usize) -> ClientCache {
        ClientCache::new(Arc::new(MemoryStore::default()), TokenDefaults::example(), capacity)
    }

    #[test]
    fn what_was_read_before_anything_was_forgotten_is_not_taken_in() {
        let cache = cache(10);
        let forgotten = cache.forgotten();
        assert!(cache.take_in(vec![client(1)], forgotten));
        cache.forget(&client(2).id);
        assert!(!cache.take_in(vec![client(2), client(3)], forgotten), "it may have changed after the reading");
        assert!(cache.take_in(vec![client(3)], cache.forgotten()));
        assert_eq!(cache.len(), 2);
        let forgotten = cache.forgotten();
        cache.forget_all();
        assert!(!cache.take_in(vec![client(4)], forgotten) && cache.is_empty());
    }

    #[test]
    fn what_is_taken_in_takes_no_room_from_others_and_replaces_none() {
        let cache = cache(3);
        assert!(cache.take_in(vec![client(1), client(2)], cache.forgotten()));
        let changed = Client { name: "changed".into(), ..client(1) };
        assert!(cache.take_in(vec![changed], cache.forgotten()));
        assert!(cache.take_in((3..9).map(client).collect(), cache.forgotten()));
        let name = cache.with_known("c_1", |known| known.client().name.clone());
        assert_eq!((cache.len(), name.as_deref()), (3, Some("n")));
    }

    #[test]
    fn of_many_each_is_found_and_nobody_else() {
        let cache = cache(5000);
        assert!(cache.take_in((0..5000).map(client).collect(), cache.forgotten()));
        for number in 0..10_000 {
            let id = format!("c_{number}");
            let found = cache.with(&id, || 7, |known, made| (known.map(|known| known.client().id.clone()), made));
            assert_eq!(found, (Some(client(number).id).filter(|_| number < 5000), 7));
        }
        cache.set_serving(false);
        assert!(cache.with_known("c_1", |_| ()).is_none());
    }

    #[test]
    fn what_was_forgotten_does_not_pile_up() {
        let cache = cache(100_000);
        let take_in = |number| assert!(cache.take_in(vec![client(number)], cache.forgotten()));
        (0..100).for_each(take_in);
        for _ in 0..1000 {
            assert!(cache.forget(&client(7).id));
            take_in(7);
        }
        assert_eq!(cache.len(), 100);
        assert!(cache.misses().hand.len() <= 150, "{}", cache.misses().hand.len());
        (0..100).for_each(|number| assert!(cache.forget(&client(number).id)));
        assert_eq!((cache.len(), cache.misses().hand.len()), (0, 0));
    }
}
