//! Whether the wall clock can be trusted with what cannot be undone: planning keys by it.
//!
//! Tokens follow the wall clock wherever it goes, since all their verifiers do. A key that is planned by a clock that is
//! wrong for a minute would be wrong for years, so after a jump the plans wait.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::UnixTime;

/// How far the wall clock may run from the monotonic one between two looks: more than any slewing does.
const JUMP: Duration = Duration::from_secs(30);
/// How long after a jump nothing is planned.
const SETTLE: Duration = Duration::from_hours(1);

/// Compares the wall clock with the monotonic one.
#[derive(Debug)]
pub struct Steadiness {
    seen: (UnixTime, Instant),
    jumped_at: Option<Instant>,
}

impl Steadiness {
    /// The clock as of now counts as right.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        Self { seen: (now, Instant::now()), jumped_at: None }
    }

    /// Looks at the clock, which says `now`; true when it has not jumped for a while.
    pub fn is_steady(&mut self, now: UnixTime) -> bool {
        self.look(now, Instant::now())
    }

    fn look(&mut self, now: UnixTime, at: Instant) -> bool {
        let (then, looked_at) = std::mem::replace(&mut self.seen, (now, at));
        let expected = then.plus(at.saturating_duration_since(looked_at));
        let seconds = expected.seconds().abs_diff(now.seconds());
        if seconds > JUMP.as_secs() {
            tracing::warn!(seconds, "the wall clock jumped: no signing key is planned for an hour");
            self.jumped_at = Some(at);
        }
        self.jumped_at.is_none_or(|jumped_at| at.saturating_duration_since(jumped_at) >= SETTLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k10_p08_a_jump_either_way_makes_plans_wait() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        for (jump_to, is_jump) in [(1_000_020, false), (1_000_100, true), (999_900, true), (1_000_000, false)] {
            let mut steadiness = Steadiness::new(UnixTime::from_seconds(1_000_000));
            assert!(steadiness.look(UnixTime::from_seconds(1_000_001), after(1)));
            assert_eq!(steadiness.look(UnixTime::from_seconds(jump_to), after(2)), !is_jump, "{jump_to}");
            let later = |seconds| UnixTime::from_seconds(jump_to + seconds);
            assert_eq!(steadiness.look(later(3598), after(3600)), !is_jump);
            assert!(steadiness.look(later(3601), after(3603)), "an hour later it counts as right");
        }
    }
}
