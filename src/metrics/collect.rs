//! Adds the workers' shards up at scrape time and gives them to the Prometheus crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::count::{Bounds, Count, Distribution};
use super::shard::{BATCHES, DURATIONS, Endpoint, STAGES, STATUSES, Shard};
use super::stages::Stage;
use crate::oauth::{Algorithm, ErrorCode};

/// `(name, help, variable labels)` of each family, in the order in which they are collected.
const FAMILIES: [(&str, &str, &[&str]); 9] = [
    ("jeton_token_requests_total", "Token requests by outcome: issued, or the error code.", &["outcome"]),
    ("jeton_token_request_duration_seconds", "Time from a parsed head to the reply of a token request.", &[]),
    (
        "jeton_stage_duration_seconds",
        "Time that one stage of a token request took; of one in 16 requests per worker, if it got its token.",
        &["stage"],
    ),
    ("jeton_http_requests_total", "Replies of the public listener.", &["endpoint", "status"]),
    ("jeton_connections", "Open connections of the public listener.", &[]),
    ("jeton_client_cache_total", "Clients found in memory (hit) or asked of the store (miss).", &["result"]),
    ("jeton_signatures_total", "Signatures made, by algorithm.", &["alg"]),
    ("jeton_sign_batch_size", "Signatures that a worker made together.", &[]),
    ("jeton_sign_queue_length", "Requests that wait for a worker to sign.", &[]),
];

/// Names and values.
type Labels<'a> = [(&'a str, &'a str)];
/// What a count is in the unit of its metric.
type Unit = fn(u64) -> f64;

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

    /// A histogram of what the shards count, in `unit`s of it.
    fn histogram<const N: usize>(
        &self,
        (labels, unit): (&Labels<'_>, Unit),
        bounds: &Bounds<N>,
        pick: impl Fn(&Shard) -> Option<&Distribution<N>>,
    ) -> Metric {
        let (mut counts, mut sum) = (vec![0; N + 1], 0);
        for (buckets, total) in self.workers.iter().filter_map(pick).map(Distribution::read) {
            counts.iter_mut().zip(buckets).for_each(|(count, more)| *count += more);
            sum += total;
        }
        let bucket = |below: &mut u64, (bound, count): (&u64, &u64)| {
            *below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(unit(*bound));
            bucket.set_cumulative_count(*below);
            Some(bucket)
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(bounds.0.iter().zip(&counts).scan(0, bucket).collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(unit(sum));
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        metric
    }

    fn stage(&self, stage: Stage) -> Metric {
        self.histogram((&[("stage", stage.as_str())], seconds), &STAGES, |shard| shard.stages.get(stage as usize))
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
        gauge(f64::from(self.connections.load(Ordering::Relaxed).try_into().unwrap_or(u32::MAX)))
    }
}

impl Collector for Shards {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let kinds = [
            (MetricType::COUNTER, self.token_requests()),
            (MetricType::HISTOGRAM, vec![self.histogram((&[], seconds), &DURATIONS, |shard| Some(&shard.durations))]),
            (MetricType::HISTOGRAM, Stage::ALL.map(|stage| self.stage(stage)).into()),
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
            (MetricType::HISTOGRAM, vec![self.histogram((&[], float), &BATCHES, |shard| Some(&shard.batches))]),
            (MetricType::GAUGE, vec![gauge(float(self.sum(|shard| Some(&shard.sign_queue))))]),
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

fn pairs(labels: &Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    Metric::from_gauge(gauge)
}

fn counter(labels: &Labels<'_>, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(float(value));
    let mut metric = Metric::from_label(pairs(labels));
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
