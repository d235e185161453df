//! What became of the requests, and how long that took.
//!
//! A latency runs from the instant at which the request was **due** to the last byte of its token. Percentiles are of
//! all requests that were due: one without a token is slower than any other. Beside them stands the generator's own
//! lag, which says whether to believe them.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::units::float;

/// Latencies are told apart to three digits up to two minutes; what is longer counts as that.
const BOUNDS_NANOS: (u64, u64) = (1, 120_000_000_000);
const DIGITS: u8 = 3;

/// Counts of one thread in one second, or of any number of both together.
#[derive(Clone, Debug)]
pub struct Tally {
    offered: u64,
    latency: Histogram<u64>,
    lag: Histogram<u64>,
    failures: Failures,
    connects: u64,
}

/// Requests without a token, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failures {
    /// Answered otherwise, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Sent, and not answered in time.
    pub timed_out: u64,
    /// Not even sent in time, for want of a free connection.
    pub unsent: u64,
    /// The connection broke, or what came was no answer.
    pub broken: u64,
}

impl Failures {
    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.timed_out + self.unsent + self.broken
    }
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { offered: 0, latency: histogram(), lag: histogram(), failures: Failures::default(), connects: 0 }
    }

    /// A request is due.
    pub const fn note_due(&mut self) {
        self.offered += 1;
    }

    /// A request went out this long after it was due although a line was free.
    pub fn note_lag(&mut self, nanos: u64) {
        self.lag.saturating_record(nanos);
    }

    /// A token came this long after its request was due.
    pub fn note_issued(&mut self, nanos: u64) {
        self.latency.saturating_record(nanos);
    }

    /// Another answer came.
    pub fn note_refused(&mut self, status: u16) {
        *self.failures.refused.entry(status).or_default() += 1;
    }

    /// No answer came in time.
    pub const fn note_timed_out(&mut self) {
        self.failures.timed_out += 1;
    }

    /// No line was free in time.
    pub const fn note_unsent(&mut self) {
        self.failures.unsent += 1;
    }

    /// The connection broke.
    pub const fn note_broken(&mut self) {
        self.failures.broken += 1;
    }

    /// A connection was opened.
    pub const fn note_connect(&mut self) {
        self.connects += 1;
    }

    /// Adds what another thread or second counted.
    pub fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.connects += other.connects;
        // Both have the same bounds, the only thing that could be in the way.
        for (ours, theirs) in [(&mut self.latency, &other.latency), (&mut self.lag, &other.lag)] {
            ours.add(theirs).unwrap_or_default();
        }
        for (status, count) in &other.failures.refused {
            *self.failures.refused.entry(*status).or_default() += count;
        }
        self.failures.timed_out += other.failures.timed_out;
        self.failures.unsent += other.failures.unsent;
        self.failures.broken += other.failures.broken;
    }

    /// Requests that were due.
    #[must_use]
    pub const fn offered(&self) -> u64 {
        self.offered
    }

    /// Those that got a token.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.latency.len()
    }

    /// Those that got none.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.sum()
    }

    /// Those that got none, by kind.
    #[must_use]
    pub const fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Answers of any kind: what the server had to work for.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.issued() + self.failures.refused.values().sum::<u64>()
    }

    /// Connections that were opened.
    #[must_use]
    pub const fn connects(&self) -> u64 {
        self.connects
    }

    /// Within what time this percentage of all requests had their token; `None` where they never had.
    #[must_use]
    pub fn percentile_micros(&self, percent: f64) -> Option<f64> {
        let all = float(self.issued() + self.failed());
        let rank = (all * percent / 100.0).ceil().max(1.0);
        let issued = float(self.issued());
        (issued > 0.0 && rank <= issued).then(|| micros(self.latency.value_at_quantile(rank / issued)))
    }

    /// The longest, or `None` when one never had its token.
    #[must_use]
    pub fn max_micros(&self) -> Option<f64> {
        (self.issued() > 0 && self.failed() == 0).then(|| micros(self.latency.max()))
    }

    /// The longest of those that got a token.
    #[must_use]
    pub fn longest_issued_micros(&self) -> Option<f64> {
        (self.issued() > 0).then(|| micros(self.latency.max()))
    }

    /// How late the generator itself was, at this percentage of what it could send at once.
    #[must_use]
    pub fn lag_micros(&self, percent: f64) -> f64 {
        micros(self.lag.value_at_percentile(percent))
    }
}

/// Rounded to a hundredth: no clock here knows more.
fn micros(nanos: u64) -> f64 {
    (float(nanos) / 10.0).round() / 100.0
}

fn histogram() -> Histogram<u64> {
    // The bounds are constants, and sound.
    Histogram::new_with_bounds(BOUNDS_NANOS.0, BOUNDS_NANOS.1, DIGITS)
        .unwrap_or_else(|_| unreachable!("the bounds of the histogram"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_three_digits_from_a_microsecond_to_a_minute() {
        let mut tally = Tally::new();
        for nanos in [1_500, 97_000, 250_000, 4_321_000, 60_000_000_000] {
            tally.note_due();
            tally.note_issued(nanos);
        }
        for (percent, micros) in [(20.0, 1.5), (40.0, 97.0), (60.0, 250.0), (80.0, 4321.0), (100.0, 60e6)] {
            let found = tally.percentile_micros(percent).unwrap();
            assert!((found / micros - 1.0).abs() < 1e-3, "{percent}: {found}");
        }
        assert_eq!(tally.percentile_micros(0.001), tally.percentile_micros(20.0));
    }

    #[test]
    fn what_got_no_token_counts_as_the_slowest() {
        let mut tally = Tally::new();
        for _ in 0..98 {
            tally.note_issued(1_000_000);
        }
        tally.note_refused(503);
        tally.note_unsent();
        assert!(tally.percentile_micros(98.0).is_some_and(|micros| (micros - 1000.0).abs() < 1.0));
        assert_eq!(
            (tally.percentile_micros(98.5), tally.percentile_micros(99.0), tally.max_micros()),
            (None, None, None)
        );
        assert!(tally.longest_issued_micros().is_some());
        assert_eq!((tally.issued(), tally.failed(), tally.answered()), (98, 2, 99));
    }

    #[test]
    fn sums_of_threads_and_seconds_lose_nothing() {
        let mut sum = Tally::new();
        for part in 1..=3_u64 {
            let mut tally = Tally::new();
            for number in 0..part {
                tally.note_due();
                tally.note_lag(1000 * number);
                tally.note_issued(1_000_000 * part);
                tally.note_connect();
            }
            tally.note_refused(401);
            tally.note_timed_out();
            tally.note_broken();
            sum.add(&tally);
        }
        assert_eq!((sum.offered(), sum.issued(), sum.connects()), (6, 6, 6));
        let failures = Failures { refused: BTreeMap::from([(401, 3)]), timed_out: 3, unsent: 0, broken: 3 };
        assert_eq!((sum.failures(), sum.failed()), (&failures, 9));
        assert!((sum.lag_micros(100.0) - 2.0).abs() < 0.01);
        assert_eq!(Tally::new().percentile_micros(50.0), None);
    }
}
