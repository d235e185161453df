//! The six stages of a token request, and the stop watch that times them.
//!
//! A look at the clock costs as much as a whole stage, so only one request in [`SAMPLED`] per worker is timed, and only
//! if a token comes of it; every stage is then counted once. A stage that is returned to, as authenticating is around
//! loading, adds up.

use std::cell::Cell;
use std::time::Instant;

use super::count::nanos;

/// One token request in so many of each worker is timed.
pub const SAMPLED: u64 = 16;

/// The way of a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the whole body to a request that is none in doubt.
    Parse,
    /// The client, from memory or the store.
    Load,
    /// Who it is.
    Authenticate,
    /// What it gets.
    Authorize,
    /// The claims and their signature, waiting for it included.
    Sign,
    /// The reply's head and body, before they are sent.
    Reply,
}

impl Stage {
    /// Every stage in its order, which is that of the counters.
    pub const ALL: [Self; 6] = [Self::Parse, Self::Load, Self::Authenticate, Self::Authorize, Self::Sign, Self::Reply];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Load => "load",
            Self::Authenticate => "authenticate",
            Self::Authorize => "authorize",
            Self::Sign => "sign",
            Self::Reply => "reply",
        }
    }
}

/// The stop watch of one request; it stands still unless the request is one of the sample.
#[derive(Debug, Default)]
pub struct Laps {
    since: Cell<Option<Instant>>,
    took: [Cell<u32>; Stage::ALL.len()],
}

impl Laps {
    /// Of a request that is timed from `start` on, or not at all.
    #[must_use]
    pub fn new(start: Option<Instant>) -> Self {
        Self { since: Cell::new(start), ..Self::default() }
    }

    /// The first stage begins at `start`: what was before is none.
    pub fn restart(&self, start: Instant) {
        self.since.set(self.since.get().map(|_| start));
    }

    /// A stage ends and the next one begins.
    pub fn end(&self, stage: Stage) {
        if let Some(since) = self.since.get() {
            self.note(stage, since);
        }
    }

    #[cold]
    fn note(&self, stage: Stage, since: Instant) {
        let now = Instant::now();
        self.since.set(Some(now));
        if let Some(took) = self.took.get(stage as usize) {
            let more = u32::try_from(nanos(now.saturating_duration_since(since))).unwrap_or(u32::MAX);
            took.set(took.get().saturating_add(more));
        }
    }

    /// How many nanoseconds each stage took, once all are over; `None` when nobody looked.
    #[must_use]
    pub fn taken(&self) -> Option<impl Iterator<Item = u64>> {
        self.since.get().map(|_| self.took.iter().map(|took| u64::from(took.get())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stage_that_is_returned_to_adds_up_and_a_watch_that_stands_still_says_nothing() {
        let long_ago = Instant::now().checked_sub(Duration::from_millis(5)).unwrap();
        let laps = Laps::new(Some(long_ago));
        laps.restart(long_ago);
        laps.end(Stage::Authenticate);
        laps.end(Stage::Load);
        laps.restart(long_ago);
        laps.end(Stage::Authenticate);
        let taken: Vec<u64> = laps.taken().unwrap().collect();
        assert!(taken[2] >= 10_000_000 && taken[1] < taken[2] && taken[0] == 0, "{taken:?}");
        let still = Laps::new(None);
        still.restart(long_ago);
        still.end(Stage::Parse);
        assert!(still.taken().is_none());
    }
}
