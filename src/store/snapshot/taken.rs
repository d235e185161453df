//! How old something on the disk is, whatever happened to the wall clock.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;

/// Changes at each start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Seconds since then, those in which it slept included.
const UPTIME: &str = "/proc/uptime";

/// An instant by the clocks of this machine: the one that people set, and the one that nobody can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    at: UnixTime,
    /// Which start of the machine, and the seconds since; absent where the system does not say.
    uptime: Option<(String, u64)>,
}

impl Taken {
    /// The instant `ago` before now.
    #[must_use]
    pub fn before(now: UnixTime, ago: Duration) -> Self {
        // A second is lost in each that is not whole: the age must not be too small.
        let ago = ago.as_secs() + 1;
        let uptime = uptime().map(|(boot, seconds)| (boot, seconds.saturating_sub(ago)));
        Self { at: now.minus(Duration::from_secs(ago)), uptime }
    }

    /// How long ago it was; `None` when that cannot be told, since the clock was set back.
    #[must_use]
    pub fn age(&self, now: UnixTime) -> Option<Duration> {
        self.age_by(now, uptime().map(|(boot, seconds)| (boot, seconds + 1)))
    }

    fn age_by(&self, now: UnixTime, uptime: Option<(String, u64)>) -> Option<Duration> {
        let by_clock = (now >= self.at).then(|| now.since(self.at));
        let since_start = match (&self.uptime, uptime) {
            (Some((then, before)), Some((boot, now))) if *then == boot && now >= *before => {
                return Some(by_clock.unwrap_or_default().max(Duration::from_secs(now - before)));
            }
            // Taken before this start of the machine.
            (_, Some((_, now))) => Duration::from_secs(now),
            (_, None) => Duration::ZERO,
        };
        by_clock.map(|age| age.max(since_start))
    }
}

fn uptime() -> Option<(String, u64)> {
    let boot = fs::read_to_string(BOOT_ID).ok()?;
    let seconds = fs::read_to_string(UPTIME).ok()?.split('.').next()?.parse().ok()?;
    Some((boot.trim().to_owned(), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(name: &str, seconds: u64) -> (String, u64) {
        (name.to_owned(), seconds)
    }

    #[test]
    fn p08_the_age_is_never_too_small_and_unknown_where_it_cannot_be_told() {
        let at = UnixTime::from_seconds;
        let taken = Taken { at: at(1000), uptime: Some(boot("a", 500)) };
        for (what, now, uptime, age) in [
            ("time went by", at(1060), Some(boot("a", 560)), Some(60)),
            ("the wall clock was set back", at(400), Some(boot("a", 560)), Some(60)),
            ("the wall clock was set forward", at(5000), Some(boot("a", 560)), Some(4000)),
            ("the machine was started again", at(1060), Some(boot("b", 20)), Some(60)),
            ("and its clock was set back before the snapshot", at(900), Some(boot("b", 20)), None),
            ("and its clock was set back, but not so far", at(1001), Some(boot("b", 20)), Some(20)),
            ("a container was", at(1060), Some(boot("a", 20)), Some(60)),
            ("a system that does not say", at(1060), None, Some(60)),
            ("a system that does not say, set back", at(999), None, None),
        ] {
            assert_eq!(taken.age_by(now, uptime), age.map(Duration::from_secs), "{what}");
        }
        let unknown = Taken { at: at(1000), uptime: None };
        assert_eq!(unknown.age_by(at(1060), Some(boot("a", 20))), Some(Duration::from_mins(1)));
    }

    #[test]
    fn an_instant_is_as_old_as_it_is() {
        let now = crate::clock::Clock::System.now();
        let age = Taken::before(now, Duration::from_secs(3)).age(now).unwrap();
        assert!((Duration::from_secs(3)..=Duration::from_secs(7)).contains(&age), "{age:?}");
        assert!(uptime().is_some(), "this machine says when it was started");
    }
}
