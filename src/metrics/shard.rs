//! What one worker counts: plain numbers that only it writes.
//!
//! Since there is one writer, an addition is a load and a store, not a locked instruction; a scrape on another
//! thread reads values that may lag by one event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::oauth::{Algorithm, ErrorCode};

/// The endpoints that requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /oauth2/token`.
    Token,
    /// `POST /oauth2/introspect`.
    Introspect,
    /// `POST /oauth2/revoke`.
    Revoke,
    /// The JWKS document.
    Jwks,
    /// The metadata document, under either name.
    Metadata,
    /// Everything that leads nowhere.
    Other,
}

impl Endpoint {
    /// Every endpoint, in the order of its counters.
    pub const ALL: [Self; 6] = [Self::Token, Self::Introspect, Self::Revoke, Self::Jwks, Self::Metadata, Self::Other];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
            Self::Other => "other",
        }
    }
}

/// How the client cache answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// From memory.
    Hit,
    /// The store was asked.
    Miss,
}

/// The statuses that are told apart; the last counter is for all others.
pub const STATUSES: [u16; 13] = [200, 204, 304, 400, 401, 404, 405, 408, 413, 415, 429, 500, 503];
/// Upper bounds of the latency histogram, in nanoseconds.
pub const BOUNDS_NANOS: [u64; 14] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    2_500_000_000,
];
/// Refusals by code, and before them the issued tokens.
pub const OUTCOMES: usize = ErrorCode::ALL.len() + 1;

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The number as of a moment ago.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    pub(super) outcomes: [Count; OUTCOMES],
    pub(super) buckets: [Count; BOUNDS_NANOS.len() + 1],
    pub(super) nanos: Count,
    pub(super) http: [[Count; STATUSES.len() + 1]; Endpoint::ALL.len()],
    pub(super) hits: Count,
    pub(super) misses: Count,
    pub(super) signatures: [Count; Algorithm::ALL.len()],
}

impl Shard {
    /// Counts an answered token request: issued, or refused with a code.
    pub fn count_token_request(&self, refused: Option<ErrorCode>, took: Duration) {
        if let Some(outcome) = self.outcomes.get(refused.map_or(0, |code| code.index() + 1)) {
            outcome.add(1);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NANOS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS_NANOS.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.nanos.add(nanos);
    }

    /// Counts a reply of the public listener.
    pub fn count_http(&self, endpoint: Endpoint, status: u16) {
        let position = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        if let Some(count) = self.http.get(endpoint as usize).and_then(|by_status| by_status.get(position)) {
            count.add(1);
        }
    }

    /// Counts a signature.
    pub fn count_signature(&self, algorithm: Algorithm) {
        if let Some(count) = self.signatures.get(algorithm.index()) {
            count.add(1);
        }
    }

    /// Counts an answer of the client cache.
    pub fn count_client(&self, result: CacheResult) {
        match result {
            CacheResult::Hit => self.hits.add(1),
            CacheResult::Miss => self.misses.add(1),
        }
    }
}
