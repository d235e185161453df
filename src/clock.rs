//! Wall-clock time as a value, and where it is read.
//!
//! Owns [`UnixTime`], the instants that tokens and records carry, [`UnixDay`], and [`Clock`], read once per request at the edge.
//! Durations inside the process (deadlines, rates) use a monotonic `Instant` instead: that of the standard library on the
//! path of a request, that of tokio in what waits beside it, so that a simulation can let it pass faster.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

const SECONDS_PER_DAY: u64 = 86_400;

/// Whole seconds since 1970-01-01T00:00:00Z, the `NumericDate` of RFC 7519 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The instant `seconds` after the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// This instant moved into the future; fractions of a second are dropped.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// This instant moved into the past, never before the epoch.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// The day that this instant falls on, in UTC.
    #[must_use]
    pub fn day(self) -> UnixDay {
        UnixDay(u32::try_from(self.0 / SECONDS_PER_DAY).unwrap_or(u32::MAX))
    }

    /// How long from `earlier` to this instant; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC, as people read it: `2026-01-31T12:00:00Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second_of_day) = (self.0 / SECONDS_PER_DAY, self.0 % SECONDS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Whole days since 1970-01-01 in UTC, for what is known no closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixDay(pub u32);

impl UnixDay {
    /// The first instant after this day.
    #[must_use]
    pub fn end(self) -> UnixTime {
        UnixTime((u64::from(self.0) + 1) * SECONDS_PER_DAY)
    }
}

/// The full-date of RFC 3339: `2026-01-31`.
impl fmt::Display for UnixDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The proleptic Gregorian date of a day count, by eras of 400 years that begin in March.
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Where the wall-clock time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is set; tests move it.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn manual(now: UnixTime) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now.0)))
    }

    /// Reads the clock. A machine whose clock stands before 1970 reads as the epoch, so that every token it
    /// would sign is long expired rather than valid for decades.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        match self {
            Self::System => UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
            Self::Manual(seconds) => UnixTime(seconds.load(Ordering::Relaxed)),
        }
    }

    /// Sets a manual clock; the system clock is nobody's to set.
    pub fn set(&self, now: UnixTime) {
        if let Self::Manual(seconds) = self {
            seconds.store(now.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(UnixTime::from_seconds(seconds).to_string(), text);
        }
    }

    #[test]
    fn a_day_ends_where_the_next_begins() {
        let last = UnixTime::from_seconds(951_782_399);
        assert_eq!(last.day().to_string(), "2000-02-28");
        assert_eq!(last.day().end(), UnixTime::from_seconds(951_782_400));
        assert_eq!(last.day().end().day().to_string(), "2000-02-29");
        assert_eq!(UnixTime::from_seconds(u64::MAX).day(), UnixDay(u32::MAX));
    }

    #[test]
    fn p08_a_step_backwards_gives_no_negative_duration() {
        let (early, late) = (UnixTime::from_seconds(10), UnixTime::from_seconds(20));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.minus(Duration::from_mins(1)), UnixTime::from_seconds(0));
    }
}
