//! The highest rate that keeps an SLO: doubles until it does not, then halves the distance.
//!
//! A machine that others use misses now and then by no fault of the server, so a rate is given up only when it was
//! missed twice. What is found is a rate that **was** kept, never one between two that were tried.

/// The search, one question at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The highest rate that was kept.
    kept: Option<f64>,
    /// The lowest that was not.
    missed: Option<f64>,
    /// What is being tried, and whether it was missed before.
    trying: Option<(f64, bool)>,
    /// How close the two must come, as a part.
    precision: f64,
    most: f64,
}

/// Requests per second below which nobody wants to know.
const LEAST_RATE: f64 = 1.0;

impl Search {
    /// Begins at `first`; ends when what was kept and what was not differ by less than this part, or when `most` is
    /// kept.
    #[must_use]
    pub fn new(first: f64, most: f64, precision: f64) -> Self {
        Self { kept: None, missed: None, trying: Some((first.min(most), false)), precision, most }
    }

    /// The rate to try next; `None` when it is found.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        self.trying.map(|(rate, _)| rate)
    }

    /// The highest rate that was kept.
    #[must_use]
    pub const fn found(&self) -> Option<f64> {
        self.kept
    }

    /// Says how it went at the rate that was to be tried.
    pub fn note(&mut self, is_kept: bool) {
        let Some((rate, missed_before)) = self.trying else { return };
        if !is_kept && !missed_before {
            self.trying = Some((rate, true));
            return;
        }
        if is_kept {
            self.kept = Some(rate);
        } else {
            self.missed = Some(rate);
        }
        self.trying = self.following().map(|rate| (rate, false));
    }

    fn following(&self) -> Option<f64> {
        match (self.kept, self.missed) {
            (Some(kept), None) => (kept < self.most).then(|| (kept * 2.0).min(self.most)),
            (None, Some(missed)) => (missed / 2.0 >= LEAST_RATE).then_some(missed / 2.0),
            (Some(kept), Some(missed)) => {
                (missed / kept - 1.0 > self.precision).then(|| f64::midpoint(kept, missed).round())
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches on a server that keeps up to `limit`; what was found and how many were tried.
    fn search(first: f64, most: f64, limit: f64) -> (Option<f64>, usize) {
        let mut search = Search::new(first, most, 0.02);
        let mut tried = 0;
        while let Some(rate) = search.next() {
            search.note(rate <= limit);
            tried += 1;
            assert!(tried < 100);
        }
        (search.found(), tried)
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for first in [100.0, 5_000.0, 37_000.0, 300_000.0] {
            let (found, tried) = search(first, 1e6, 37_000.0);
            let found = found.unwrap();
            assert!(found <= 37_000.0 && found * 1.02 >= 37_000.0, "{first}: {found}");
            assert!(tried < 30, "{tried}");
        }
    }

    #[test]
    fn a_server_that_keeps_everything_or_nothing_ends_the_search() {
        assert_eq!(search(1000.0, 8000.0, 1e9), (Some(8000.0), 4));
        assert_eq!(search(1000.0, 8000.0, 0.0).0, None);
    }

    #[test]
    fn one_miss_alone_is_tried_again() {
        let mut search = Search::new(1000.0, 1000.0, 0.02);
        search.note(false);
        assert_eq!(search.next(), Some(1000.0));
        search.note(true);
        assert_eq!((search.next(), search.found()), (None, Some(1000.0)));
    }
}
