//! What a scrape is told of the service: read where the truth is, without a lock that a request may wait for.

use std::sync::atomic::Ordering;

use super::{App, Readiness};
use crate::audit::WhenFull;
use crate::clock::UnixTime;
use crate::config::AuditOutput;
use crate::keys::rotation::{last_rotation, next_rotation};
use crate::keys::{KeyRecord, KeySet, KeyState, PATHS};
use crate::metrics::{AuditState, Held, Ring, State};
use crate::oauth::Algorithm;

impl App {
    /// The service as of now.
    #[must_use]
    pub fn state(&self) -> State {
        let Readiness { draining, store_lost, store_damaged, no_key } = &self.readiness;
        let reasons =
            [("draining", draining), ("store_lost", store_lost), ("store_damaged", store_damaged), ("no_key", no_key)];
        let (now, keys) = (self.clock.now(), self.keys.load());
        let ring = |algorithm| ring_of(&keys, algorithm, self.config.keys.rotate_every, now);
        State {
            not_ready: reasons.map(|(reason, holds)| (reason, holds.load(Ordering::Relaxed))),
            held: self.held(),
            rings: Algorithm::ALL.into_iter().filter_map(ring).collect(),
            eddsa_path: eddsa_path(&keys),
            audit: AuditState {
                dropped: self.audit.dropped(),
                queued: self.audit.queued(),
                is_written: self.audit.is_written(),
            },
            clock: now,
            is_steady: !self.clock_jumped.load(Ordering::Relaxed),
            told: self.told(),
        }
    }

    fn held(&self) -> Held {
        let (serve, clients) = (&self.config.serve, self.authenticator.clients());
        Held {
            clients: (clients.len(), self.config.store.cache_clients),
            signing_line: self.tokens.line_length(),
            max_connections: serve.max_connections,
            max_in_flight: serve.max_in_flight,
            workers: serve.workers(),
            revocations: self.revoked.len(),
        }
    }

    fn told(&self) -> [(&'static str, &'static str); 3] {
        let audit = &self.config.audit;
        let output = match audit.output {
            AuditOutput::Off => "off",
            AuditOutput::Stdout => "stdout",
            AuditOutput::File(_) => "file",
        };
        let when_full = match audit.policy.when_full {
            WhenFull::Drop => "drop",
            WhenFull::Block => "block",
        };
        [("store", self.metrics.store().backend()), ("audit", output), ("audit_when_full", when_full)]
    }
}

fn eddsa_path(keys: &KeySet) -> [(&'static str, bool); PATHS.len()] {
    let taken = keys.ed25519_path();
    PATHS.map(|(name, path)| (name, taken == Some(path)))
}

/// The keys of one algorithm; the default one is told of also when it has none.
fn ring_of(keys: &KeySet, algorithm: Algorithm, every: std::time::Duration, now: UnixTime) -> Option<Ring> {
    let is_of_ring = |record: &&KeyRecord| *record.alg == *algorithm.as_str();
    let ring = || keys.records().filter(is_of_ring);
    let in_state = |state: KeyState| ring().filter(move |record| KeyState::of(record, now) == state);
    let keys = [KeyState::Published, KeyState::Active, KeyState::Retired]
        .map(|state| (state.as_str(), in_state(state).count()));
    let is_any = keys.iter().any(|(_, count)| *count > 0);
    (is_any || algorithm.is_default()).then(|| Ring {
        algorithm,
        keys,
        age: in_state(KeyState::Active).map(|record| now.since(record.activated_at)).next(),
        next_at: next_rotation(ring(), every, now),
        rotated_at: last_rotation(ring(), now),
    })
}
