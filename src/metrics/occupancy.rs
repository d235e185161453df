//! How busy one worker is: what it has begun, what it waits for, and how long its requests wait to be looked at.

use std::time::Duration;

use super::count::{Bounds, Count, Distribution, nanos};

/// Upper bounds of the waits, in nanoseconds. Requests are refused when they wait longer than 50 ms, and again admitted
/// below 25 ms.
pub(super) const WAITS: Bounds<10> =
    Bounds([50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 25_000_000, 50_000_000, 250_000_000]);

/// Why a request was refused early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// Requests wait too long to be looked at.
    RunQueue,
    /// Too many are begun already.
    InFlight,
    /// Too many slow signatures wait.
    SigningLine,
    /// The audit log has no room, and nothing is done that it does not hold.
    AuditFull,
}

impl Shed {
    /// Every reason, in the order of its counters.
    pub(super) const ALL: [Self; 4] = [Self::RunQueue, Self::InFlight, Self::SigningLine, Self::AuditFull];

    /// The metric label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::RunQueue => "run_queue",
            Self::InFlight => "in_flight",
            Self::SigningLine => "signing_line",
            Self::AuditFull => "audit_full",
        }
    }
}

/// What one worker has to do. Its worker alone writes it.
#[derive(Debug, Default)]
pub struct Occupancy {
    pub(super) in_flight: Count,
    pub(super) bodies: Count,
    pub(super) waits: Distribution<10>,
}

impl Occupancy {
    /// How many requests are begun.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.read()
    }

    /// Notes how many requests are begun now.
    pub fn set_in_flight(&self, requests: u64) {
        self.in_flight.set(requests);
    }

    /// Notes how many bodies are on their way now.
    pub fn set_bodies(&self, bodies: usize) {
        self.bodies.set(bodies as u64);
    }

    /// Notes how long a request waits now before it is looked at.
    pub fn note_wait(&self, waited: Duration) {
        self.waits.observe(&WAITS, nanos(waited));
    }
}
