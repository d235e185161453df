//! Adds the workers' shards up at scrape time and gives them to the Prometheus crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::shard::{BOUNDS_NANOS, Count, Endpoint, STATUSES, Shard};
use crate::oauth::{Algorithm, ErrorCode};

/// `(name, help, variable labels)` of each family, in the order in which they are collected.
const FAMILIES: [(&str, &str, &[&str]); 6] = [
    ("jeton_token_requests_total", "Token requests by outcome: issued, or the error code.", &["outcome"]),
    ("jeton_token_request_duration_seconds", "Time from a parsed head to the reply of a token request.", &[]),
    ("jeton_http_requests_total", "Replies of the public listener.", &["endpoint", "status"]),
    ("jeton_connections", "Open connections of the public listener.", &[]),
    ("jeton_client_cache_total", "Clients found in memory (hit) or asked of the store (miss).", &["result"]),
    ("jeton_signatures_total", "Signatures made, by algorithm.", &["alg"]),
];

/// The collector of all shards.
pub struct Shards {
    workers: Arc<[Shard]>,
    connections: Arc<AtomicI64>,
    descs: Vec<Desc>,
}

impl Shards {
    /// # Errors
    /// When a name or label is not one of Prometheus's alphabet.
    pub fn new(shards: Arc<[Shard]>, connections: Arc<AtomicI64>) -> Result<Self, prometheus::Error> {
        let desc = |(name, help, labels): (&str, &str, &[&str])| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, std::collections::HashMap::new())
        };
        let descs = FAMILIES.into_iter().map(desc).collect::<Result<_, _>>()?;
        Ok(Self { workers: shards, connections, descs })
    }

    fn sum(&self, pick: impl Fn(&Shard) -> Option<&Count>) -> u64 {
        self.workers.iter().filter_map(pick).map(Count::read).sum()
    }

    fn token_requests(&self) -> Vec<Metric> {
        let names = std::iter::once("issued").chain(ErrorCode::ALL.into_iter().map(ErrorCode::as_str));
        let count =
            |(position, name)| counter(&[("outcome", name)], self.sum(|shard: &Shard| shard.outcomes.get(position)));
        names.enumerate().map(count).collect()
    }

    fn durations(&self) -> Metric {
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(BOUNDS_NANOS.len());
        for (position, bound) in BOUNDS_NANOS.into_iter().enumerate() {
            cumulative += self.sum(|shard| shard.buckets.get(position));
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(bound));
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(cumulative + self.sum(|shard| shard.buckets.get(BOUNDS_NANOS.len())));
        histogram.set_sample_sum(seconds(self.sum(|shard| Some(&shard.nanos))));
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        metric
    }

    /// Only what was counted, since most pairs of endpoint and status never occur.
    fn http_requests(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for endpoint in Endpoint::ALL {
            for position in 0..=STATUSES.len() {
                let count = self.sum(|shard| shard.http.get(endpoint as usize).and_then(|row| row.get(position)));
                if count > 0 {
                    let status = STATUSES.get(position).map_or_else(|| "other".to_owned(), u16::to_string);
                    metrics.push(counter(&[("endpoint", endpoint.as_str()), ("status", &status)], count));
                }
            }
        }
        metrics
    }

    fn signatures(&self, algorithm: Algorithm) -> Metric {
        counter(&[("alg", algorithm.as_str())], self.sum(|shard| shard.signatures.get(algorithm.index())))
    }

    fn open_connections(&self) -> Metric {
        let mut gauge = Gauge::default();
        let open = self.connections.load(Ordering::Relaxed).try_into().unwrap_or(u32::MAX);
        gauge.set_value(f64::from(open));
        Metric::from_gauge(gauge)
    }
}

impl Collector for Shards {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let kinds = [
            (MetricType::COUNTER, self.token_requests()),
            (MetricType::HISTOGRAM, vec![self.durations()]),
            (MetricType::COUNTER, self.http_requests()),
            (MetricType::GAUGE, vec![self.open_connections()]),
            (
                MetricType::COUNTER,
                vec![
                    counter(&[("result", "hit")], self.sum(|shard| Some(&shard.hits))),
                    counter(&[("result", "miss")], self.sum(|shard| Some(&shard.misses))),
                ],
            ),
            (MetricType::COUNTER, Algorithm::ALL.map(|algorithm| self.signatures(algorithm)).into()),
        ];
        let families = FAMILIES.into_iter().zip(kinds).map(|((name, help, _), (kind, metrics))| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family.set_metric(metrics);
            family
        });
        families.filter(|family| !family.get_metric().is_empty()).collect()
    }
}

fn counter(labels: &[(&str, &str)], value: u64) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut counter = Counter::default();
    counter.set_value(float(value));
    let mut metric = Metric::from_label(labels.iter().map(pair).collect());
    metric.set_counter(counter);
    metric
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus counts in doubles; 2^53 events take millennia")]
const fn float(value: u64) -> f64 {
    value as f64
}

fn seconds(nanos: u64) -> f64 {
    float(nanos) / 1e9
}
