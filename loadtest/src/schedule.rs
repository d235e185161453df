//! When each request is due: at a fixed rate or one that rises or falls steadily, evenly or at random.
//!
//! The schedule is made beforehand and knows nothing of the answers; that is what makes the loop open. Arrivals at
//! random are a Poisson process, as the requests of many independent clients are. Both kinds are repeatable: the
//! same schedule is the same instants.

use std::time::Duration;

use crate::units::float;

/// Arrivals over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Requests per second at the beginning.
    pub from: f64,
    /// Requests per second at the end; on the way it changes linearly.
    pub to: f64,
    /// How long.
    pub duration: Duration,
    /// Between the arrivals.
    pub spacing: Spacing,
}

/// How the arrivals follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Spacing {
    /// One like the other.
    Even,
    /// By chance, as independent clients come.
    Random,
}

impl Schedule {
    /// How many requests it is about.
    #[must_use]
    pub fn expected(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.duration.as_secs_f64()
    }

    /// The share of thread `index` of `threads`: their even arrivals interleave, their random ones are independent.
    pub fn arrivals(&self, index: usize, threads: usize) -> Arrivals {
        let (share, index) = (float(threads.max(1) as u64), index as u64);
        let rate = |rate: f64| rate / share;
        Arrivals {
            from: rate(self.from),
            slope: (rate(self.to) - rate(self.from)) / self.duration.as_secs_f64(),
            end: self.duration.as_secs_f64(),
            // Even arrivals start in the middle of their first interval, each thread at its part of it.
            at: if self.spacing == Spacing::Even { (float(index) + 0.5) / share - 1.0 } else { 0.0 },
            random: (self.spacing == Spacing::Random).then(|| Random::new(index)),
        }
    }
}

/// The instants of one thread in order, as durations from the start.
#[derive(Debug)]
pub struct Arrivals {
    from: f64,
    slope: f64,
    end: f64,
    /// How many arrivals there should have been so far.
    at: f64,
    random: Option<Random>,
}

impl Iterator for Arrivals {
    type Item = Duration;

    /// The instant at which the integral of the rate reaches the next count: `from·t + slope·t²/2 = at`, solved in
    /// the form that has no difference of nearly equal numbers.
    fn next(&mut self) -> Option<Duration> {
        self.at += self.random.as_mut().map_or(1.0, Random::exponential);
        let root = self.from * self.from + 2.0 * self.slope * self.at;
        if root < 0.0 {
            return None;
        }
        let instant = 2.0 * self.at / (self.from + root.sqrt());
        (instant < self.end).then(|| Duration::from_secs_f64(instant))
    }
}

/// A small generator (splitmix64): quick, repeatable, and no more than that.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this number.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `count`, nearly evenly.
    pub fn below(&mut self, count: usize) -> usize {
        let place = (u128::from(self.bits()) * count as u128) >> 64;
        usize::try_from(place).unwrap_or_default()
    }

    /// The time to the next of events that come once per unit of time.
    fn exponential(&mut self) -> f64 {
        // 53 bits: in (0, 1].
        let uniform = (float(self.bits() >> 11) + 1.0) / float(1 << 53);
        -uniform.ln()
    }
}

/// Which of several is next.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Any of them, by chance.
    AtRandom(Random),
    /// One after the other, from the first to the last and again.
    InTurn(usize),
}

impl Choice {
    /// The number of one of `count`.
    pub fn of(&mut self, count: usize) -> usize {
        match self {
            Self::AtRandom(random) => random.below(count),
            Self::InTurn(next) => {
                let chosen = next.checked_rem(count).unwrap_or_default();
                *next = chosen + 1;
                chosen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(from: f64, to: f64, seconds: u64, spacing: Spacing) -> Schedule {
        Schedule { from, to, duration: Duration::from_secs(seconds), spacing }
    }

    fn instants(schedule: &Schedule, threads: usize) -> Vec<f64> {
        let mut all: Vec<f64> = (0..threads)
            .flat_map(|index| schedule.arrivals(index, threads).map(|due| due.as_secs_f64()).collect::<Vec<_>>())
            .collect();
        all.sort_by(f64::total_cmp);
        all
    }

    #[test]
    fn a_fixed_rate_is_evenly_spaced_over_all_threads() {
        for threads in [1, 2, 3] {
            let all = instants(&schedule(1000.0, 1000.0, 2, Spacing::Even), threads);
            assert_eq!(all.len(), 2000, "{threads}");
            let gaps = all.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.into_iter().all(|gap| (gap - 1e-3).abs() < 1e-8), "{threads}");
        }
    }

    #[test]
    fn a_ramp_has_as_many_arrivals_as_the_area_under_it_and_most_where_it_is_high() {
        for (from, to) in [(0.0, 1000.0), (1000.0, 0.0), (200.0, 800.0)] {
            let ramp = schedule(from, to, 10, Spacing::Even);
            let all = instants(&ramp, 1);
            assert!((float(all.len() as u64) - ramp.expected()).abs() <= 1.0, "{}", all.len());
            let first_half = all.iter().filter(|due| **due < 5.0).count();
            let expected = f64::midpoint(from, f64::midpoint(from, to)) * 5.0;
            assert!((float(first_half as u64) - expected).abs() <= 1.0, "{first_half}, {expected}");
            assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn random_arrivals_have_the_rate_and_the_spread_of_a_poisson_process_and_come_again_the_same() {
        let random = schedule(5000.0, 5000.0, 20, Spacing::Random);
        let all = instants(&random, 2);
        let count = float(all.len() as u64);
        assert!((count / 100_000.0 - 1.0).abs() < 0.02, "{count}");
        // The standard deviation of the gaps is their mean.
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / count;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count).sqrt();
        assert!((deviation / mean - 1.0).abs() < 0.03, "{deviation} {mean}");
        assert_eq!(all, instants(&random, 2));
    }

    #[test]
    fn choices_stay_below_their_bound_and_reach_all() {
        let mut random = Random::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[random.below(10)] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn those_that_are_asked_in_turn_are_asked_once_before_any_is_asked_again() {
        let mut choice = Choice::InTurn(0);
        let chosen: Vec<usize> = (0..7).map(|_| choice.of(3)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(choice.of(0), 0);
    }
}
