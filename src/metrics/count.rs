//! Numbers with one writer, and histograms of them.
//!
//! Since there is one writer, an addition is a load and a store, not a locked instruction; a scrape on another
//! thread reads values that may lag by one event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Goes up; only ever by its one writer.
    pub fn add(&self, amount: u64) {
        self.set(self.0.load(Ordering::Relaxed).wrapping_add(amount));
    }

    /// Becomes another number; only ever by its one writer.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number as of a moment ago.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of a histogram, in the unit of what it counts.
#[derive(Debug)]
pub struct Bounds<const N: usize>(pub [u64; N]);

/// How many values fell below each bound, how many above all, and their sum.
#[derive(Debug)]
pub struct Distribution<const N: usize> {
    below: [Count; N],
    above: Count,
    sum: Count,
}

impl<const N: usize> Default for Distribution<N> {
    fn default() -> Self {
        Self { below: std::array::from_fn(|_| Count::default()), above: Count::default(), sum: Count::default() }
    }
}

impl<const N: usize> Distribution<N> {
    /// Counts one value.
    pub fn observe(&self, bounds: &Bounds<N>, value: u64) {
        let bucket = bounds.0.iter().zip(&self.below).find(|(bound, _)| value <= **bound);
        bucket.map_or(&self.above, |(_, count)| count).add(1);
        self.sum.add(value);
    }

    /// The counts of every bucket, the last one being for what is above all bounds, and the sum.
    pub fn read(&self) -> (impl Iterator<Item = u64>, u64) {
        (self.below.iter().chain([&self.above]).map(Count::read), self.sum.read())
    }
}

/// Nanoseconds, which an hour-long wait does not exhaust.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_holds_it() {
        let (bounds, counted) = (Bounds([10, 100]), Distribution::default());
        for value in [0, 10, 11, 100, 101, 5000] {
            counted.observe(&bounds, value);
        }
        let (buckets, sum) = counted.read();
        assert_eq!((buckets.collect::<Vec<_>>(), sum), (vec![2, 2, 2], 5222));
    }
}
