//! What the service is like when it is scraped: gauges that nobody keeps, read from where the truth is.

use std::time::Duration;

use prometheus::proto::MetricFamily;

use super::family::{counter, counters, float, gauge, gauges, sole_gauge};
use crate::clock::UnixTime;
use crate::oauth::Algorithm;

/// The service as of now.
#[derive(Debug)]
pub struct State {
    /// By reason, whether it keeps the service from being ready.
    pub not_ready: [(&'static str, bool); 4],
    /// What is held, and how much may be.
    pub held: Held,
    /// The signing keys of each algorithm that has any.
    pub rings: Vec<Ring>,
    /// By every way to sign by Ed25519, whether it is the one that is taken. None is while there is no such key.
    pub eddsa_path: [(&'static str, bool); 5],
    /// The audit log.
    pub audit: AuditState,
    /// The wall clock.
    pub clock: UnixTime,
    /// False for a while after it jumped.
    pub is_steady: bool,
    /// What the process was told, as label and value.
    pub told: [(&'static str, &'static str); 3],
}

/// How much there is of what has a bound, each as (now, at most), and of what has none.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Clients in memory.
    pub clients: (usize, usize),
    /// Slow signatures that wait or are being made.
    pub signing_line: (usize, usize),
    /// Most connections.
    pub max_connections: usize,
    /// Most requests in flight.
    pub max_in_flight: usize,
    /// Worker threads.
    pub workers: usize,
    /// Revoked tokens that have not expired.
    pub revocations: usize,
}

/// The signing keys of one algorithm.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Which.
    pub algorithm: Algorithm,
    /// How many keys are in each state.
    pub keys: [(&'static str, usize); 3],
    /// How long the one that signs has done so.
    pub age: Option<Duration>,
    /// When the next one takes over, if that is planned.
    pub next_at: Option<UnixTime>,
    /// When the newest one was published.
    pub rotated_at: Option<UnixTime>,
}

/// The audit log.
#[derive(Clone, Copy, Debug)]
pub struct AuditState {
    /// Events that were dropped so far.
    pub dropped: u64,
    /// Bytes that wait to be written, and how many may.
    pub queued: (usize, usize),
    /// Whether the last writing went well.
    pub is_written: bool,
}

impl State {
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.of_service();
        families.extend(self.of_bounds());
        families.extend(self.of_keys());
        families.extend(self.of_audit());
        families
    }

    fn of_service(&self) -> Vec<MetricFamily> {
        let reasons = self.not_ready.map(|(reason, holds)| gauge(&[("reason", reason)], truth(holds)));
        vec![
            gauges("jeton_not_ready", "1 for each reason why readyz says no.", reasons.into()),
            gauges("jeton_config_info", "Always 1; the labels tell how it was set up.", vec![gauge(&self.told, 1.0)]),
            sole_gauge("jeton_workers", "Worker threads, each on a core of its own at best.", size(self.held.workers)),
            sole_gauge("jeton_clock_seconds", "The wall clock, as tokens are stamped by it.", {
                float(self.clock.seconds())
            }),
            sole_gauge(
                "jeton_clock_steady",
                "0 for an hour after the wall clock jumped: no signing key is planned meanwhile.",
                truth(self.is_steady),
            ),
        ]
    }

    fn of_bounds(&self) -> Vec<MetricFamily> {
        let Held { clients, signing_line, max_connections, max_in_flight, revocations, .. } = self.held;
        vec![
            sole_gauge("jeton_connections_limit", "Connections beyond this are refused.", size(max_connections)),
            sole_gauge("jeton_requests_in_flight_limit", "Requests beyond this are shed.", size(max_in_flight)),
            sole_gauge("jeton_client_cache_entries", "Clients in memory.", size(clients.0)),
            sole_gauge("jeton_client_cache_limit", "Clients that may be in memory.", size(clients.1)),
            sole_gauge("jeton_signing_line_length", "RSA signatures that wait or are made now.", size(signing_line.0)),
            sole_gauge("jeton_signing_line_limit", "RSA signatures beyond this are shed.", size(signing_line.1)),
            sole_gauge("jeton_revocations_held", "Revoked tokens that have not expired yet.", size(revocations)),
        ]
    }

    fn of_keys(&self) -> Vec<MetricFamily> {
        let rings = || self.rings.iter();
        let each = |figure: &dyn Fn(&Ring) -> Option<f64>| {
            rings().filter_map(|ring| Some(gauge(&[("alg", ring.algorithm.as_str())], figure(ring)?))).collect()
        };
        let states = rings().flat_map(|ring| {
            let alg = ring.algorithm.as_str();
            ring.keys.map(|(state, keys)| gauge(&[("alg", alg), ("state", state)], size(keys)))
        });
        let path = self.eddsa_path.map(|(path, is_taken)| gauge(&[("path", path)], truth(is_taken)));
        let families = vec![
            gauges(
                "jeton_eddsa_path",
                "1 for the code by which EdDSA tokens are signed: vector lanes, or the reason why there are none.",
                path.into(),
            ),
            gauges("jeton_signing_keys", "Keys in the JWKS by algorithm and state.", states.collect()),
            gauges(
                "jeton_signing_key_age_seconds",
                "How long the key that signs has done so, by algorithm.",
                each(&|ring| ring.age.map(|age| age.as_secs_f64())),
            ),
            gauges(
                "jeton_signing_key_next_rotation_seconds",
                "Time until another key takes over, negative when that is overdue; absent when nothing is planned.",
                each(&|ring| ring.next_at.map(|at| float(at.seconds()) - float(self.clock.seconds()))),
            ),
            gauges(
                "jeton_signing_key_last_rotation_timestamp_seconds",
                "When the newest key was published, by algorithm.",
                each(&|ring| ring.rotated_at.map(|at| float(at.seconds()))),
            ),
        ];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }

    fn of_audit(&self) -> Vec<MetricFamily> {
        let AuditState { dropped, queued, is_written } = self.audit;
        vec![
            counters(
                "jeton_audit_dropped_total",
                "Events that the audit log had no room for.",
                vec![counter(&[], dropped)],
            ),
            sole_gauge("jeton_audit_queue_bytes", "What waits to be written to the audit log.", size(queued.0)),
            sole_gauge("jeton_audit_queue_limit_bytes", "What may wait for it at the most.", size(queued.1)),
            sole_gauge(
                "jeton_audit_up",
                "1 while the audit log can be written, or is off; 0 while it cannot.",
                truth(is_written),
            ),
        ]
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn size(number: usize) -> f64 {
    float(number as u64)
}
