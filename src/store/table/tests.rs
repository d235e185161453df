//! The table beside a map, beside readers, and with hashes that meet.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::*;

type Entry = Arc<(String, u32)>;

impl Keyed for Entry {
    fn key(&self) -> &str {
        &self.0
    }
}

fn entry(key: u32, value: u32) -> Entry {
    Arc::new((key.to_string(), value))
}

/// Leaves only so many bits of a hash, so that entries meet where they would not for a long time.
#[derive(Clone, Copy, Debug)]
struct Poor(u64);

struct PoorHasher(DefaultHasher, u64);

impl BuildHasher for Poor {
    type Hasher = PoorHasher;

    fn build_hasher(&self) -> PoorHasher {
        PoorHasher(DefaultHasher::new(), self.0)
    }
}

impl Hasher for PoorHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish() & self.1
    }
}

/// All bits; one shard and few lines; few tags; all the same.
const HASHERS: [Poor; 4] = [Poor(u64::MAX), Poor(0x3FF), Poor(0xFC00_0000_0000_FF01), Poor(0)];

fn value<S: BuildHasher>(table: &Table<Entry, S>, key: u32) -> Option<u32> {
    table.get(&key.to_string()).map(|entry| entry.1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_has_what_a_map_has(
        hasher in proptest::sample::select(HASHERS.as_slice()),
        steps in proptest::collection::vec((0..400_u32, 0..5_u32), 0..1500),
    ) {
        let (table, mut map) = (Table::with_hasher(hasher), HashMap::new());
        for (number, (key, kind)) in (0..).zip(steps) {
            if kind == 0 {
                prop_assert_eq!(table.remove(&key.to_string()), map.remove(&key).is_some());
            } else {
                table.insert(entry(key, number));
                map.insert(key, number);
            }
            prop_assert_eq!((value(&table, key), table.len()), (map.get(&key).copied(), map.len()));
        }
        let mut all: Vec<_> = table.all().iter().map(|entry| (entry.0.parse().unwrap(), entry.1)).collect();
        let mut expected: Vec<_> = map.into_iter().collect();
        all.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(all, expected);
        table.clear();
        prop_assert!(table.len() == 0 && table.all().is_empty() && (0..400).all(|key| value(&table, key).is_none()));
    }
}

#[test]
fn a_line_that_nobody_passes_any_more_ends_the_search_again() {
    let table = Table::with_hasher(Poor(0x0F));
    (0..500).for_each(|key| table.insert(entry(key, 0)));
    (20..500).for_each(|key| assert!(table.remove(&key.to_string())));
    let passed =
        |table: &Table<Entry, Poor>| table.shards[0].lines.load().iter().filter(|line| line.tags().is_passed()).count();
    assert!(passed(&table) > 0, "a line that more have passed than it can count stays passed");
    let table = Table::with_hasher(Poor(0x0F));
    (0..100).for_each(|key| table.insert(entry(key, 0)));
    assert!(passed(&table) > 10, "all belong to the first line");
    (0..100).for_each(|key| assert!(table.remove(&key.to_string())));
    assert_eq!(passed(&table), 0);
}

/// A search that goes on to another line waits for memory once more.
#[test]
fn a_shard_grows_before_many_of_its_lines_are_passed() {
    let table = Table::with_hasher(Poor(u64::MAX));
    for key in 0..40_000 {
        table.insert(entry(key, 0));
        if key % 1_000 == 0 {
            let lines: Vec<_> = table.shards.iter().map(|shard| shard.lines.load()).collect();
            let count = lines.iter().map(|lines| lines.len()).sum::<usize>();
            let passed = lines.iter().flat_map(|lines| lines.iter()).filter(|line| line.tags().is_passed()).count();
            assert!(6 * passed < count, "{passed} of {count} with {key} entries");
        }
    }
}

#[test]
fn what_stays_is_found_while_others_come_and_go() {
    let (table, done) = (Table::with_hasher(Poor(0xFC00_0000_0000_3FFF)), AtomicBool::new(false));
    (0..50).for_each(|key| table.insert(entry(key, 0)));
    thread::scope(|scope| {
        let look = || {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) || rounds == 0 {
                assert!((0..50).all(|key| value(&table, key).is_some()), "what is there all the time");
                assert!((50..60).all(|key| value(&table, key).is_none_or(|found| found >= key)), "another's");
                rounds += 1;
            }
        };
        // Whoever fails ends the test: the scope waits for them.
        (0..2).for_each(|_| drop(scope.spawn(look)));
        let were_there = (1..30).all(|round| {
            (0..1500).for_each(|key| table.insert(entry(key, key + round)));
            (50..1500).all(|key| table.remove(&key.to_string()))
        });
        table.insert(entry(3, 7));
        done.store(true, Ordering::Relaxed);
        assert!(were_there);
    });
    assert_eq!((table.len(), value(&table, 3), value(&table, 4)), (50, Some(7), Some(33)));
}

#[test]
fn what_is_removed_is_let_go_at_once() {
    let table = Table::default();
    let (kept, replaced) = (entry(1, 1), entry(2, 1));
    table.insert(Arc::clone(&kept));
    table.insert(Arc::clone(&replaced));
    table.insert(entry(2, 2));
    assert_eq!((Arc::strong_count(&kept), Arc::strong_count(&replaced)), (2, 1));
    (10..1000).for_each(|key| table.insert(entry(key, 0)));
    assert_eq!(Arc::strong_count(&kept), 2, "the lines before the shard grew are gone");
    table.remove("1");
    assert_eq!((Arc::strong_count(&kept), format!("{table:?}").as_str()), (1, "Table(991)"));
}
