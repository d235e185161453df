//! Every metric: its name, labels and help; and the handles that count.
//!
//! Counting costs the token path no lock, no label lookup and no cache line that another worker writes: each
//! worker owns a [`Shard`], and a scrape adds them up (`collect`). Labels come from closed sets, never from a request.
//! What is counted rarely (`store`, `listener`) is shared; what is known elsewhere is read when it is asked for
//! (`state`). No scrape takes a lock that a request may wait for.

mod collect;
mod count;
mod family;
mod listener;
mod occupancy;
mod process;
mod shard;
mod stages;
mod state;
mod store;

use std::sync::Arc;

use prometheus::{Encoder as _, IntGauge, Opts, Registry, TextEncoder};

pub use listener::{ConnectionEvent, Connections};
pub use occupancy::{Occupancy, Shed};
pub use prometheus::Error as MetricsError;
pub use shard::{AuthMethod, CacheResult, Endpoint, Shard, UNANSWERED, Verdict};
pub use stages::{Laps, Stage};
pub use state::{AuditState, Held, Ring, State};
pub use store::{StoreMetrics, UnderWay};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    shards: Arc<[Shard]>,
    spare: Shard,
    connections: Arc<Connections>,
    store: StoreMetrics,
}

impl Metrics {
    /// The metrics of a process with this many workers on the store `backend`.
    ///
    /// # Errors
    /// When a metric is declared twice or badly, which a test would find first.
    pub fn new(workers: usize, backend: &'static str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let shards: Arc<[Shard]> = (0..workers.max(1)).map(|_| Shard::default()).collect();
        let connections = Arc::new(Connections::default());
        registry.register(Box::new(collect::Shards::new(Arc::clone(&shards), Arc::clone(&connections))?))?;
        let store = StoreMetrics::new(&registry, backend)?;
        registry.register(Box::new(build_info()?))?;
        Ok(Self { registry, shards, spare: Shard::default(), connections, store })
    }

    /// The shard of one worker, the only one that may count in it. There is one for every declared worker; any
    /// other counts where nobody looks.
    #[must_use]
    pub fn shard(&self, worker: usize) -> &Shard {
        self.shards.get(worker).unwrap_or(&self.spare)
    }

    /// The connections of the public listener.
    #[must_use]
    pub const fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// What is counted of the store.
    #[must_use]
    pub const fn store(&self) -> &StoreMetrics {
        &self.store
    }

    /// All metrics in the text format 0.0.4: what was counted, and what the service is like now, if that is given.
    ///
    /// # Errors
    /// When the encoder finds a metric inconsistent.
    pub fn render(&self, state: Option<&State>) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(32 * 1024);
        let mut families = self.registry.gather();
        families.extend(state.into_iter().flat_map(State::families));
        families.extend(process::families());
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

fn build_info() -> Result<IntGauge, prometheus::Error> {
    let opts = Opts::new("jeton_build_info", "Always 1; the labels tell which build runs.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("commit", option_env!("JETON_COMMIT").unwrap_or("unknown"));
    let info = IntGauge::with_opts(opts)?;
    info.set(1);
    Ok(info)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::clock::UnixTime;
    use crate::oauth::{Algorithm, ErrorCode};

    fn state() -> State {
        State {
            not_ready: [("draining", false), ("store_lost", true), ("store_damaged", false), ("no_key", false)],
            held: Held {
                clients: (3, 10),
                signing_line: (0, 64),
                max_connections: 100,
                max_in_flight: 50,
                workers: 2,
                revocations: 1,
            },
            rings: vec![Ring {
                algorithm: Algorithm::EdDsa,
                keys: [("published", 0), ("active", 1), ("retired", 2)],
                age: Some(Duration::from_mins(1)),
                next_at: Some(UnixTime::from_seconds(900)),
                rotated_at: None,
            }],
            eddsa_path: [
                ("lanes", false),
                ("switched_off", false),
                ("unsupported", false),
                ("self_test_failed", false),
                ("fault_found", true),
            ],
            audit: AuditState { dropped: 7, queued: (5, 10), is_written: true },
            clock: UnixTime::from_seconds(1000),
            is_steady: true,
            told: [("store", "memory"), ("audit", "off"), ("audit_when_full", "drop")],
        }
    }

    #[test]
    fn a_scrape_adds_the_workers_up() {
        let metrics = Metrics::new(2, "memory").unwrap();
        metrics.connections().opened();
        for worker in 0..2 {
            let shard = metrics.shard(worker);
            shard.count_token_request(None, Duration::from_micros(30));
            shard.count_token_request(Some(ErrorCode::InvalidClient), Duration::from_millis(2));
            shard.count_http(Endpoint::Token, 200);
            shard.count_client(CacheResult::Hit);
            shard.count_signatures(Algorithm::EdDsa, 5);
            shard.count_batch(5);
            shard.note_sign_queue(3);
            shard.count_verdict(Verdict::Unknown);
            shard.occupancy().set_in_flight(4);
            shard.occupancy().note_wait(Duration::from_millis(3));
            let laps = shard.laps(Instant::now());
            laps.end(Stage::Parse);
            shard.count_stages(&laps);
        }
        let text = String::from_utf8(metrics.render(Some(&state())).unwrap()).unwrap();
        for line in [
            "jeton_token_requests_total{outcome=\"issued\"} 2",
            "jeton_token_requests_total{outcome=\"invalid_client\"} 2",
            "jeton_token_requests_total{outcome=\"invalid_scope\"} 0",
            "jeton_http_requests_total{endpoint=\"token\",status=\"200\"} 2",
            "jeton_client_cache_total{result=\"hit\"} 2",
            "jeton_signatures_total{alg=\"EdDSA\"} 10",
            "jeton_sign_batch_size_bucket{le=\"4\"} 0",
            "jeton_sign_batch_size_bucket{le=\"8\"} 2",
            "jeton_sign_batch_size_sum 10",
            "jeton_sign_batch_size_count 2",
            "jeton_sign_queue_length 6",
            "jeton_signatures_total{alg=\"PS256\"} 0",
            "jeton_token_request_duration_seconds_count 4",
            "jeton_stage_duration_seconds_count{stage=\"parse\"} 2",
            "jeton_connections 1",
            "jeton_connection_events_total{event=\"accepted\"} 1",
            "jeton_revocations_total{result=\"unknown\"} 2",
            "jeton_introspections_total{result=\"active\"} 0",
            "jeton_requests_in_flight 8",
            "jeton_run_queue_wait_seconds_bucket{le=\"0.01\"} 2",
            "jeton_not_ready{reason=\"store_lost\"} 1",
            "jeton_signing_keys{alg=\"EdDSA\",state=\"retired\"} 2",
            "jeton_signing_key_next_rotation_seconds{alg=\"EdDSA\"} -100",
            "jeton_eddsa_path{path=\"fault_found\"} 1",
            "jeton_eddsa_path{path=\"lanes\"} 0",
            "jeton_audit_dropped_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn x02_series_are_constant_whatever_is_counted() {
        let metrics = Metrics::new(1, "memory").unwrap();
        let series = || {
            let text = String::from_utf8(metrics.render(Some(&state())).unwrap()).unwrap();
            text.lines().filter(|line| line.starts_with("jeton_") && !line.contains("jeton_http_requests")).count()
        };
        let before = series();
        for status in 0..2000 {
            metrics.shard(0).count_http(Endpoint::Other, status);
        }
        assert_eq!(series(), before);
    }
}
