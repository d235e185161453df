//! What one worker counts: plain numbers that only it writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::count::{Bounds, Count, Distribution, nanos};
use super::occupancy::{Occupancy, Shed};
use super::stages::{Laps, SAMPLED, Stage};
use crate::oauth::{Algorithm, AuthFailure, ErrorCode};

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

/// How a client that came in has proved who it is, as metadata names it (RFC 8414 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt`.
    PrivateKeyJwt,
}

impl AuthMethod {
    pub(super) const ALL: [Self; 3] = [Self::Basic, Self::Post, Self::PrivateKeyJwt];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// What became of a question about a token, or of the wish to cut one off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Introspected: it is good.
    Active,
    /// Introspected: it is not, or not for the caller to know.
    Inactive,
    /// Revoked.
    Revoked,
    /// To be revoked, but no token of ours.
    Unknown,
}

/// The status of a request that got no reply, since whoever sent it had gone.
pub const UNANSWERED: u16 = 0;
/// The statuses that are told apart; the last counter is for all others.
pub const STATUSES: [u16; 14] = [200, 204, 304, 400, 401, 404, 405, 408, 413, 415, 429, 500, 503, UNANSWERED];
/// Upper bounds of the latency histogram, in nanoseconds.
pub const DURATIONS: Bounds<14> = Bounds([
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
]);
/// Upper bounds of the histograms of stages, in nanoseconds: some take less than a look at the clock, and one that
/// waits for the store takes what the store takes.
pub const STAGES: Bounds<15> = Bounds([
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    500_000,
    2_500_000,
    25_000_000,
    250_000_000,
]);
/// Upper bounds of the histogram of signatures that are made together.
pub const BATCHES: Bounds<7> = Bounds([1, 2, 4, 8, 16, 32, 64]);
/// Refusals by code, and before them the issued tokens.
pub const OUTCOMES: usize = ErrorCode::ALL.len() + 1;

/// The counters of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    pub(super) outcomes: [Count; OUTCOMES],
    pub(super) durations: Distribution<14>,
    pub(super) stages: [Distribution<15>; Stage::ALL.len()],
    asked: Count,
    pub(super) http: [[Count; STATUSES.len() + 1]; Endpoint::ALL.len()],
    pub(super) hits: Count,
    pub(super) misses: Count,
    pub(super) signatures: [Count; Algorithm::ALL.len()],
    pub(super) batches: Distribution<7>,
    pub(super) sign_queue: Count,
    pub(super) authenticated: [Count; AuthMethod::ALL.len()],
    pub(super) failures: [Count; AuthFailure::ALL.len()],
    pub(super) verdicts: [Count; 4],
    pub(super) sheds: [Count; Shed::ALL.len()],
    pub(super) occupancy: Arc<Occupancy>,
}

impl Shard {
    /// Counts an answered token request: issued, or refused with a code.
    pub fn count_token_request(&self, refused: Option<ErrorCode>, took: Duration) {
        count(&self.outcomes, refused.map_or(0, |code| code.index() + 1));
        self.durations.observe(&DURATIONS, nanos(took));
    }

    /// The stop watch of the next token request, which began at `start`.
    #[must_use]
    pub fn laps(&self, start: Instant) -> Laps {
        let asked = self.asked.read();
        self.asked.add(1);
        Laps::new(asked.is_multiple_of(SAMPLED).then_some(start))
    }

    /// Counts the stages of a token request that has got its token, if it was timed.
    pub fn count_stages(&self, laps: &Laps) {
        if let Some(taken) = laps.taken() {
            self.stages.iter().zip(taken).for_each(|(stage, took)| stage.observe(&STAGES, took));
        }
    }

    /// Counts a reply of the public listener.
    pub fn count_http(&self, endpoint: Endpoint, status: u16) {
        let position = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        if let Some(by_status) = self.http.get(endpoint as usize) {
            count(by_status, position);
        }
    }

    /// Counts signatures.
    pub fn count_signatures(&self, algorithm: Algorithm, made: usize) {
        if let Some(count) = self.signatures.get(algorithm.index()) {
            count.add(made as u64);
        }
    }

    /// Counts a client that has come in.
    pub fn count_authenticated(&self, method: AuthMethod) {
        count(&self.authenticated, method as usize);
    }

    /// Counts one that has not.
    pub fn count_failure(&self, reason: AuthFailure) {
        count(&self.failures, reason as usize);
    }

    /// Counts an introspection or a revocation that was answered.
    pub fn count_verdict(&self, verdict: Verdict) {
        count(&self.verdicts, verdict as usize);
    }

    /// Counts a request that was refused early.
    pub fn count_shed(&self, reason: Shed) {
        count(&self.sheds, reason as usize);
    }

    /// How busy this worker is.
    #[must_use]
    pub const fn occupancy(&self) -> &Arc<Occupancy> {
        &self.occupancy
    }

    /// Counts signatures that were made together.
    pub fn count_batch(&self, size: usize) {
        self.batches.observe(&BATCHES, size as u64);
    }

    /// Notes how many requests wait for their signatures.
    pub fn note_sign_queue(&self, length: usize) {
        self.sign_queue.set(length as u64);
    }

    /// Counts an answer of the client cache.
    pub fn count_client(&self, result: CacheResult) {
        match result {
            CacheResult::Hit => self.hits.add(1),
            CacheResult::Miss => self.misses.add(1),
        }
    }
}

fn count(counts: &[Count], position: usize) {
    if let Some(count) = counts.get(position) {
        count.add(1);
    }
}
