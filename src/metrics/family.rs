//! Families and samples in the Prometheus crate's own form, for what is added up or looked at only when asked.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::count::Bounds;

/// The labels of one sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// What a count is in the unit of its metric.
pub(super) type Unit = fn(u64) -> f64;

/// A metric with all of its samples.
pub(super) fn family(kind: MetricType, (name, help): (&str, &str), samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}

/// A counter of events.
pub(super) fn counters(name: &str, help: &str, samples: Vec<Metric>) -> MetricFamily {
    family(MetricType::COUNTER, (name, help), samples)
}

/// A gauge with one sample and no label.
pub(super) fn sole_gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    gauges(name, help, vec![gauge(&[], value)])
}

/// A gauge.
pub(super) fn gauges(name: &str, help: &str, samples: Vec<Metric>) -> MetricFamily {
    family(MetricType::GAUGE, (name, help), samples)
}

/// A sample of a counter.
pub(super) fn counter(labels: Labels<'_>, value: u64) -> Metric {
    sum(labels, float(value))
}

/// A sample of a counter of what is no event.
pub(super) fn sum(labels: Labels<'_>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_counter(counter);
    metric
}

/// A sample of a gauge.
pub(super) fn gauge(labels: Labels<'_>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_gauge(gauge);
    metric
}

/// A histogram in `unit`s of what was counted, from the counts of each bucket and the sum.
pub(super) fn histogram<const N: usize>(
    (labels, unit): (Labels<'_>, Unit),
    bounds: &Bounds<N>,
    counted: &(Vec<u64>, u64),
) -> Metric {
    let (counts, sum) = counted;
    let bucket = |below: &mut u64, (bound, count): (&u64, &u64)| {
        *below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(unit(*bound));
        bucket.set_cumulative_count(*below);
        Some(bucket)
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(bounds.0.iter().zip(counts).scan(0, bucket).collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(unit(*sum));
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_histogram(histogram);
    metric
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

/// Of nanoseconds.
pub(super) const fn seconds(nanos: u64) -> f64 {
    float(nanos) / 1e9
}

/// As Prometheus counts.
#[allow(clippy::cast_precision_loss, reason = "Prometheus counts in doubles; 2^53 events take millennia")]
pub(super) const fn float(value: u64) -> f64 {
    value as f64
}
