//! Where the clients in memory are found: a hash table that is read without a lock, and waits for memory once.
//!
//! Among a million entries, what a look-up does is wait for memory, once for each place that it learns of from another.
//! Here it reads one line of the processor's cache, on which the tags of seven entries stand beside their addresses, and
//! goes from there to the entry itself, which can be asked for before it is needed. Tags, and the count of those that had
//! to go on to the next line, are ideas of F14 (Bronson and Shi, "Open-sourcing F14 for faster, more memory-efficient hash
//! tables", 2019).
//!
//! Invariants:
//! - An entry that is there all the time is found at any time. It is never moved: a shard that grows gets other lines,
//!   and whoever still reads the former ones misses nothing that was there when the reading began.
//! - A tag is set after its entry and cleared before it. What a tag leads to is only a candidate: its key decides.
//! - A shard has more places than entries, and a line knows whether others went on past it, so that every search ends.
//!
//! Leaves what stands on a line to `line`.

mod line;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard, RefCnt};

use line::{Line, Places, Tags};

pub use line::Seen;

/// Growing takes as long as a shard has entries, and whoever adds one waits for it.
const SHARDS: usize = 64;
/// So many entries per line are too many: one of eight lines has passed others on by then.
const CROWDED: usize = 5;

/// What is found by a key of its own, which never changes.
pub trait Keyed: RefCnt {
    /// The key.
    fn key(&self) -> &str;
}

/// Entries by their keys.
pub struct Table<T: Keyed, S = RandomState> {
    shards: [Shard<T>; SHARDS],
    len: AtomicUsize,
    hasher: S,
}

struct Shard<T: Keyed> {
    lines: ArcSwap<Lines<T>>,
    /// How many entries it has; locked by whoever writes.
    count: Mutex<usize>,
}

type Lines<T> = Box<[Line<T>]>;

impl<T: Keyed> Default for Shard<T> {
    fn default() -> Self {
        Self { lines: ArcSwap::from_pointee(empty(1)), count: Mutex::default() }
    }
}

fn empty<T: Keyed>(lines: usize) -> Lines<T> {
    (0..lines).map(|_| Line::default()).collect()
}

/// What decides where an entry stands.
#[derive(Clone, Copy)]
struct Hash(u64);

#[expect(clippy::cast_possible_truncation, reason = "of all bits each takes only as many as it needs")]
impl Hash {
    /// By the highest bits.
    const fn shard(self) -> usize {
        (self.0 >> (u64::BITS - SHARDS.ilog2())) as usize
    }

    /// By those in between, of a power of two.
    const fn line(self, lines: usize) -> usize {
        (self.0 >> u8::BITS) as usize & lines.wrapping_sub(1)
    }

    /// By the lowest; never zero, which is the tag of an empty place.
    const fn tag(self) -> u8 {
        if self.0 as u8 == 0 { 1 } else { self.0 as u8 }
    }
}

impl<T: Keyed> Default for Table<T> {
    fn default() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<T: Keyed, S> fmt::Debug for Table<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.len())
    }
}

impl<T: Keyed, S> Table<T, S> {
    /// An empty one.
    pub fn with_hasher(hasher: S) -> Self {
        Self { shards: std::array::from_fn(|_| Shard::default()), len: AtomicUsize::new(0), hasher }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Every entry, in no particular order.
    pub fn all(&self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            all.extend(shard.lines.load().iter().flat_map(Line::entries));
        }
        all
    }

    /// Removes every entry.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut count = shard.writing();
            shard.lines.store(Arc::new(empty(1)));
            self.len.fetch_sub(std::mem::take(&mut *count), Ordering::Relaxed);
        }
    }
}

impl<T: Keyed, S: BuildHasher> Table<T, S> {
    /// The entries that may have this key: the one that has, if there is one, and seldom another besides. Nothing of them was
    /// looked at yet.
    pub fn candidates(&self, key: &str) -> Candidates<T> {
        let hash = self.hash(key);
        Candidates::new(self.shard(hash).lines.load(), hash)
    }

    /// The entry of this key.
    pub fn get(&self, key: &str) -> Option<T> {
        self.candidates(key).find_map(|seen| seen.as_ref().filter(|entry| entry.key() == key).cloned())
    }

    /// Adds an entry, in the place of the one of its key where there is one.
    pub fn insert(&self, entry: T) {
        let hash = self.hash(entry.key());
        let shard = self.shard(hash);
        let mut count = shard.writing();
        let lines = shard.lines.load();
        if let Some((_, line, place)) = position(&lines, hash, entry.key()) {
            line.replace(place, Some(entry));
            return;
        }
        if *count < lines.len() * CROWDED {
            put(&lines, hash, entry);
        } else {
            let more = empty(lines.len() * 2);
            for entry in lines.iter().flat_map(Line::entries).chain([entry]) {
                put(&more, self.hash(entry.key()), entry);
            }
            shard.lines.store(Arc::new(more));
        }
        *count += 1;
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes the entry of this key; true when there was one.
    pub fn remove(&self, key: &str) -> bool {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let mut count = shard.writing();
        let lines = shard.lines.load();
        let Some((passed, line, place)) = position(&lines, hash, key) else { return false };
        line.clear(place);
        walk(&lines, hash).take(passed).for_each(Line::note_return);
        *count -= 1;
        self.len.fetch_sub(1, Ordering::Relaxed);
        true
    }

    fn hash(&self, key: &str) -> Hash {
        Hash(self.hasher.hash_one(key))
    }

    #[expect(clippy::indexing_slicing, reason = "as many shards as the bits of their number count")]
    const fn shard(&self, hash: Hash) -> &Shard<T> {
        &self.shards[hash.shard()]
    }
}

impl<T: Keyed> Shard<T> {
    /// Every step leaves the shard whole.
    fn writing(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines to look at for a hash, one after the other.
fn walk<T: Keyed>(lines: &[Line<T>], hash: Hash) -> impl Iterator<Item = &Line<T>> {
    let (before, from) = lines.split_at(hash.line(lines.len()));
    from.iter().chain(before)
}

/// Adds an entry that is not there. There is always an empty place, since a shard grows long before it is full.
fn put<T: Keyed>(lines: &[Line<T>], hash: Hash, entry: T) {
    for line in walk(lines, hash) {
        if let Some(place) = line.vacancy() {
            line.fill(place, hash.tag(), entry);
            return;
        }
        line.note_passing();
    }
}

/// Where the entry of this key stands: how many lines were passed, the line and the place.
fn position<'l, T: Keyed>(lines: &'l [Line<T>], hash: Hash, key: &str) -> Option<(usize, &'l Line<T>, usize)> {
    for (passed, line) in walk(lines, hash).enumerate() {
        let tags = line.tags();
        let is = |place: &usize| line.see(*place).is_some_and(|seen| seen.as_ref().is_some_and(|e| e.key() == key));
        if let Some(place) = tags.places(hash.tag()).find(is) {
            return Some((passed, line, place));
        }
        if !tags.is_passed() {
            return None;
        }
    }
    None
}

/// What a look-up finds, line by line.
pub struct Candidates<T: Keyed> {
    lines: Guard<Arc<Lines<T>>>,
    tag: u8,
    /// The line that is looked at, and how many there are besides that were not.
    at: usize,
    left: usize,
    tags: Tags,
    places: Places,
}

impl<T: Keyed> Candidates<T> {
    fn new(lines: Guard<Arc<Lines<T>>>, hash: Hash) -> Self {
        let (at, left) = (hash.line(lines.len()), lines.len().wrapping_sub(1));
        let tags = lines.get(at).map(Line::tags).unwrap_or_default();
        Self { lines, tag: hash.tag(), at, left, tags, places: tags.places(hash.tag()) }
    }

    /// Goes on to the next line, where something passed this one.
    fn turn(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1).filter(|_| self.tags.is_passed())?;
        self.at = if self.at + 1 < self.lines.len() { self.at + 1 } else { 0 };
        self.tags = self.lines.get(self.at)?.tags();
        self.places = self.tags.places(self.tag);
        Some(())
    }
}

impl<T: Keyed> Iterator for Candidates<T> {
    /// What stands at the place now: it may have become empty, or another's.
    type Item = Seen<T>;

    #[inline]
    fn next(&mut self) -> Option<Seen<T>> {
        loop {
            if let Some(place) = self.places.next() {
                return self.lines.get(self.at)?.see(place);
            }
            self.turn()?;
        }
    }
}
