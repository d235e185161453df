//! Bounds failed authentications, per source and client and per source, without ever locking a client out.
//!
//! Two buckets (GCRA, the leaky bucket as one instant): one for a client as asked for by a source address, one for
//! the source address. Once either is empty, the source no longer makes the store confirm its failures: it is told to
//! slow down. Clients that are known from memory and whose secret is right are served all the same, so neither
//! a neighbour behind the same address nor whoever guesses keeps a client out; against 256 random bits, guesses that
//! are answered from memory are no danger.
//!
//! Memory is fixed: buckets live in tables of atomics; where two keys meet in one cell, the newer takes it.
//! While nobody fails, a request costs one relaxed load here.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Cells of each table.
const CELLS: usize = 16 * 1024;
/// A cell is the key's tag above this many bits of milliseconds since the start (34 years).
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// How many failures are free, and how fast they are forgiven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Failures in a row before the bucket is empty; 0 switches the limit off.
    pub burst: u32,
    /// Failures that are forgiven per second.
    pub per_second: u32,
}

/// The limiter of one process.
#[derive(Debug)]
pub struct FailureLimiter {
    pairs: Buckets,
    sources: Buckets,
    hasher: RandomState,
    start: Instant,
    /// Until when, in milliseconds since the start, any bucket may be other than full.
    watched_until: AtomicU64,
}

impl FailureLimiter {
    /// A limiter with these allowances per source and client, and per source.
    #[must_use]
    pub fn new(per_client: Allowance, per_source: Allowance) -> Self {
        Self {
            pairs: Buckets::new(per_client),
            sources: Buckets::new(per_source),
            hasher: RandomState::new(),
            start: Instant::now(),
            watched_until: AtomicU64::new(0),
        }
    }

    /// Asks before a client authenticates from `source`: for how many seconds the store is not to be asked for them.
    #[must_use]
    pub fn ask(&self, source: IpAddr, client: &str, now: Instant) -> Option<u32> {
        let now = self.millis(now);
        if now >= self.watched_until.load(Ordering::Relaxed) {
            return None;
        }
        let pair = self.pairs.wait(self.pair_key(source, client), now);
        let wait = pair.max(self.sources.wait(self.source_key(source), now))?;
        Some(u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Notes a failed authentication. One that the source bucket no longer pays for is not charged to the pair, so
    /// that one source cannot fill the table.
    pub fn note_failure(&self, source: IpAddr, client: &str, now: Instant) {
        let now = self.millis(now);
        let until = now + self.pairs.longest().max(self.sources.longest());
        self.watched_until.fetch_max(until, Ordering::Relaxed);
        if self.sources.charge(self.source_key(source), now) {
            self.pairs.charge(self.pair_key(source, client), now);
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX) & TIME_MASK
    }

    fn pair_key(&self, source: IpAddr, client: &str) -> u64 {
        self.hasher.hash_one((network(source), client))
    }

    fn source_key(&self, source: IpAddr) -> u64 {
        self.hasher.hash_one(network(source))
    }
}

/// One subscriber of IPv6 has a whole /64.
fn network(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()) | 1 << 63,
        IpAddr::V6(ip) => u64::try_from(ip.to_bits() >> 64).unwrap_or_default(),
    }
}

#[derive(Debug)]
struct Buckets {
    cells: Box<[AtomicU64]>,
    interval: u64,
    depth: u64,
}

impl Buckets {
    fn new(allowance: Allowance) -> Self {
        let interval = 1000 / u64::from(allowance.per_second.max(1));
        let cells = if allowance.burst == 0 { 0 } else { CELLS };
        Self {
            cells: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            interval: interval.max(1),
            depth: interval.max(1) * u64::from(allowance.burst),
        }
    }

    /// The longest time until an untouched bucket is full again.
    const fn longest(&self) -> u64 {
        self.depth + self.interval
    }

    fn cell(&self, key: u64) -> Option<&AtomicU64> {
        self.cells.get(usize::try_from(key).unwrap_or(usize::MAX) % self.cells.len().max(1))
    }

    /// When the bucket of `key` will be full again; now, if the cell is somebody else's.
    fn full_at(held: u64, key: u64, now: u64) -> u64 {
        if held >> TIME_BITS == key >> TIME_BITS { (held & TIME_MASK).max(now) } else { now }
    }

    /// Milliseconds until one more failure is allowed; `None` when it is allowed now.
    fn wait(&self, key: u64, now: u64) -> Option<u64> {
        let full_at = Self::full_at(self.cell(key)?.load(Ordering::Relaxed), key, now);
        (full_at + self.interval).checked_sub(now + self.depth).filter(|wait| *wait > 0)
    }

    /// Takes one failure out of the bucket; false when it was empty.
    fn charge(&self, key: u64, now: u64) -> bool {
        let Some(cell) = self.cell(key) else { return true };
        let tag = key & !TIME_MASK;
        let charged = cell.try_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            let full_at = Self::full_at(held, key, now) + self.interval;
            (full_at <= now + self.depth).then_some(tag | full_at & TIME_MASK)
        });
        charged.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    fn limiter() -> FailureLimiter {
        FailureLimiter::new(Allowance { burst: 3, per_second: 1 }, Allowance { burst: 10, per_second: 10 })
    }

    #[test]
    fn t090_a_source_is_throttled_for_one_client_and_for_a_time() {
        let (limiter, now) = (limiter(), Instant::now());
        for _ in 0..3 {
            assert_eq!(limiter.ask(HERE, "c", now), None);
            limiter.note_failure(HERE, "c", now);
        }
        assert_eq!(limiter.ask(HERE, "c", now), Some(1));
        assert_eq!(limiter.ask(HERE, "d", now), None, "another client from the same source");
        assert_eq!(limiter.ask(THERE, "c", now), None, "the same client from elsewhere");
        assert_eq!(limiter.ask(HERE, "c", now + Duration::from_millis(1001)), None);
    }

    #[test]
    fn t220_a_spraying_source_loses_the_store_but_not_its_right_clients() {
        let (limiter, now) = (limiter(), Instant::now());
        for n in 0..100_000 {
            limiter.note_failure(HERE, &n.to_string(), now);
        }
        assert_eq!(limiter.ask(HERE, "right", now), Some(1));
        assert_eq!(limiter.ask(THERE, "right", now), None);
    }

    #[test]
    fn a_burst_of_zero_switches_a_limit_off() {
        let off = Allowance { burst: 0, per_second: 0 };
        let (limiter, now) = (FailureLimiter::new(off, off), Instant::now());
        for _ in 0..1000 {
            limiter.note_failure(HERE, "c", now);
        }
        assert_eq!(limiter.ask(HERE, "c", now), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one_source() {
        let ip = |text: &str| network(text.parse().unwrap());
        assert_eq!(ip("2001:db8::1"), ip("2001:db8::2"));
        assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
        assert_eq!(ip("::ffff:127.0.0.1"), ip("127.0.0.1"));
    }
}
