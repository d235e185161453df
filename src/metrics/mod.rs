//! Every metric: its name, labels and help; and the handles that count.
//!
//! Counting costs the token path no lock, no label lookup and no cache line that another worker writes: each
//! worker owns a [`Shard`], and a scrape adds them up. Labels come from closed sets, never from a request.
//! What is counted rarely (the store) uses the Prometheus crate's own types.

mod collect;
mod count;
mod shard;
mod stages;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus::{
    Encoder as _, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

pub use prometheus::Error as MetricsError;
pub use shard::{CacheResult, Endpoint, Shard};
pub use stages::{Laps, Stage};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    shards: Arc<[Shard]>,
    spare: Shard,
    connections: Arc<AtomicI64>,
    store: StoreMetrics,
    signing_key_age: Gauge,
    audit_dropped: IntCounter,
}

/// What is counted of the store.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    operations: HistogramVec,
    errors: IntCounterVec,
    up: IntGauge,
    backend: &'static str,
}

/// Every operation of the store, so that its series are there from the start.
const STORE_OPERATIONS: [&str; 22] = [
    "find_client",
    "list_clients",
    "put_client",
    "copy_client",
    "remove_client",
    "find_keys",
    "put_keys",
    "changes_since",
    "put_revocation",
    "revocations_since",
    "purge_revocations",
    "put_token",
    "find_token",
    "list_tokens",
    "purge_tokens",
    "put_secret_uses",
    "list_secret_uses",
    "put_secret_uses_since",
    "find_note",
    "put_note",
    "check",
    "backup",
];

impl StoreMetrics {
    /// Counts one operation and how long it took.
    pub fn observe(&self, operation: &'static str, took: Duration, error: Option<&'static str>) {
        self.operations.with_label_values(&[self.backend, operation]).observe(took.as_secs_f64());
        if let Some(kind) = error {
            self.errors.with_label_values(&[self.backend, kind]).inc();
        }
    }

    /// Notes whether the store answers.
    pub fn set_up(&self, up: bool) {
        self.up.set(up.into());
    }
}

impl Metrics {
    /// The metrics of a process with this many workers on the store `backend`.
    ///
    /// # Errors
    /// When a metric is declared twice or badly, which a test would find first.
    pub fn new(workers: usize, backend: &'static str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let shards: Arc<[Shard]> = (0..workers.max(1)).map(|_| Shard::default()).collect();
        let connections = Arc::new(AtomicI64::new(0));
        registry.register(Box::new(collect::Shards::new(Arc::clone(&shards), Arc::clone(&connections))?))?;
        let store = StoreMetrics {
            operations: HistogramVec::new(
                HistogramOpts::new("jeton_store_operation_duration_seconds", "Time that the store took to answer.")
                    .buckets(vec![
                        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 2.5,
                    ]),
                &["backend", "operation"],
            )?,
            errors: IntCounterVec::new(
                Opts::new("jeton_store_errors_total", "Operations that the store failed, by kind."),
                &["backend", "kind"],
            )?,
            up: IntGauge::new("jeton_store_up", "1 while the store answers, 0 while it does not.")?,
            backend,
        };
        let signing_key_age =
            Gauge::new("jeton_signing_key_age_seconds", "How long the oldest signing key that is active has been so.")?;
        for operation in STORE_OPERATIONS {
            store.operations.get_metric_with_label_values(&[backend, operation])?;
        }
        registry.register(Box::new(store.operations.clone()))?;
        registry.register(Box::new(store.errors.clone()))?;
        registry.register(Box::new(store.up.clone()))?;
        let audit_dropped = IntCounter::new("jeton_audit_dropped_total", "Events that the audit log had no room for.")?;
        registry.register(Box::new(audit_dropped.clone()))?;
        registry.register(Box::new(signing_key_age.clone()))?;
        registry.register(Box::new(build_info()?))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, shards, spare: Shard::default(), connections, store, signing_key_age, audit_dropped })
    }

    /// The shard of one worker, the only one that may count in it. There is one for every declared worker; any
    /// other counts where nobody looks.
    #[must_use]
    pub fn shard(&self, worker: usize) -> &Shard {
        self.shards.get(worker).unwrap_or(&self.spare)
    }

    /// How many connections are open on the public listener.
    #[must_use]
    pub const fn connections(&self) -> &Arc<AtomicI64> {
        &self.connections
    }

    /// What is counted of the store.
    #[must_use]
    pub const fn store(&self) -> &StoreMetrics {
        &self.store
    }

    /// Notes the age of the key that signs.
    pub fn set_signing_key_age(&self, age: Duration) {
        self.signing_key_age.set(age.as_secs_f64());
    }

    /// Notes how many events the audit log has dropped so far; called by the one thread that scrapes.
    pub fn set_audit_dropped(&self, total: u64) {
        self.audit_dropped.inc_by(total.saturating_sub(self.audit_dropped.get()));
    }

    /// All metrics in the text format 0.0.4.
    ///
    /// # Errors
    /// When the encoder finds a metric inconsistent.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> i64 {
        self.connections.load(Ordering::Relaxed)
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
    use std::time::Instant;

    use super::*;
    use crate::oauth::{Algorithm, ErrorCode};

    #[test]
    fn a_scrape_adds_the_workers_up() {
        let metrics = Metrics::new(2, "memory").unwrap();
        for worker in 0..2 {
            let shard = metrics.shard(worker);
            shard.count_token_request(None, Duration::from_micros(30));
            shard.count_token_request(Some(ErrorCode::InvalidClient), Duration::from_millis(2));
            shard.count_http(Endpoint::Token, 200);
            shard.count_client(CacheResult::Hit);
            shard.count_signatures(Algorithm::EdDsa, 5);
            shard.count_batch(5);
            shard.note_sign_queue(3);
            let laps = shard.laps(Instant::now());
            laps.end(Stage::Parse);
            shard.count_stages(&laps);
        }
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
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
            "jeton_connections 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn x02_series_are_constant_whatever_is_counted() {
        let metrics = Metrics::new(1, "memory").unwrap();
        let series = || {
            let text = String::from_utf8(metrics.render().unwrap()).unwrap();
            text.lines().filter(|line| line.starts_with("jeton_") && !line.contains("jeton_http_requests")).count()
        };
        let before = series();
        for status in 0..2000 {
            metrics.shard(0).count_http(Endpoint::Other, status);
        }
        assert_eq!(series(), before);
    }
}
