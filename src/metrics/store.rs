//! What is counted of the store. Its operations are rare, so the Prometheus crate's own types do.

use std::time::Duration;

use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Every operation of the store, so that its series are there from the start.
const OPERATIONS: [&str; 18] = [
    "find_client",
    "list_clients",
    "put_client",
    "remove_client",
    "find_keys",
    "put_keys",
    "changes_since",
    "news_since",
    "put_revocation",
    "revocations_since",
    "purge_revocations",
    "put_token",
    "find_token",
    "purge_tokens",
    "put_secret_uses",
    "list_secret_uses",
    "check",
    "backup",
];

/// The counters of one store.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    operations: HistogramVec,
    errors: IntCounterVec,
    under_way: IntGaugeVec,
    up: IntGauge,
    age: Gauge,
    backend: &'static str,
}

/// An operation that is not over; given back when dropped, also when whoever asked has gone.
#[derive(Debug)]
pub struct UnderWay(IntGauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry, backend: &'static str) -> Result<Self, prometheus::Error> {
        let buckets = vec![0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 2.5];
        let timed = HistogramOpts::new("jeton_store_operation_duration_seconds", "Time that the store took to answer.");
        let failed = Opts::new("jeton_store_errors_total", "Operations that the store failed, by kind.");
        let waits = Opts::new("jeton_store_operations_in_flight", "Operations that wait for the store now.");
        let store = Self {
            operations: HistogramVec::new(timed.buckets(buckets), &["backend", "operation"])?,
            errors: IntCounterVec::new(failed, &["backend", "kind"])?,
            under_way: IntGaugeVec::new(waits, &["backend"])?,
            up: IntGauge::new("jeton_store_up", "1 while the store answers, 0 while it does not.")?,
            age: Gauge::new(
                "jeton_store_age_seconds",
                "Time since the store last answered: how old what is served from memory may be.",
            )?,
            backend,
        };
        for operation in OPERATIONS {
            store.operations.get_metric_with_label_values(&[backend, operation])?;
        }
        registry.register(Box::new(store.operations.clone()))?;
        registry.register(Box::new(store.errors.clone()))?;
        registry.register(Box::new(store.under_way.clone()))?;
        registry.register(Box::new(store.up.clone()))?;
        registry.register(Box::new(store.age.clone()))?;
        Ok(store)
    }

    /// Which store it is.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        self.backend
    }

    /// Makes the series of these kinds of errors, so that the first of each is seen as one more than none.
    pub fn declare_errors(&self, kinds: &[&str]) {
        for kind in kinds {
            self.errors.with_label_values(&[self.backend, kind]);
        }
    }

    /// Counts an operation as being under way until what is returned is dropped.
    #[must_use]
    pub fn begin(&self) -> UnderWay {
        let under_way = self.under_way.with_label_values(&[self.backend]);
        under_way.inc();
        UnderWay(under_way)
    }

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

    /// Notes how long ago the store last answered.
    pub fn set_age(&self, age: Duration) {
        self.age.set(age.as_secs_f64());
    }
}
