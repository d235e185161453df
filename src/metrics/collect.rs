//! Adds up at scrape time what the workers and the listener count, and gives it to the Prometheus crate.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::count::{Bounds, Count, Distribution};
use super::family::{Labels, Unit, counter, counters, family, float, histogram, seconds, sole_gauge};
use super::listener::{ConnectionEvent, Connections};
use super::occupancy::{Shed, WAITS};
use super::shard::{AuthMethod, BATCHES, DURATIONS, Endpoint, STAGES, STATUSES, Shard, UNANSWERED, Verdict};
use super::stages::Stage;
use crate::oauth::{Algorithm, AuthFailure, ErrorCode};

/// The collector of all shards.
pub struct Shards {
    workers: Arc<[Shard]>,
    connections: Arc<Connections>,
    descs: Vec<Desc>,
}

impl Shards {
    /// # Errors
    /// When a name or label is not one of Prometheus's alphabet.
    pub fn new(workers: Arc<[Shard]>, connections: Arc<Connections>) -> Result<Self, prometheus::Error> {
        let mut shards = Self { workers, connections, descs: Vec::new() };
        let desc = |family: &MetricFamily| {
            let (name, help) = (family.name().to_owned(), family.help().to_owned());
            Desc::new(name, help, Vec::new(), std::collections::HashMap::new())
        };
        shards.descs = shards.families().iter().map(desc).collect::<Result<_, _>>()?;
        Ok(shards)
    }

    fn families(&self) -> Vec<MetricFamily> {
        [self.of_requests(), self.of_clients(), self.of_tokens(), self.of_workers(), self.of_connections()].concat()
    }

    fn of_requests(&self) -> Vec<MetricFamily> {
        vec![
            counters(
                "jeton_token_requests_total",
                "Token requests by outcome: issued, or the error code that was answered.",
                self.token_requests(),
            ),
            family(
                MetricType::HISTOGRAM,
                ("jeton_token_request_duration_seconds", "Time from a whole head to the reply of a token request."),
                vec![self.histogram((&[], seconds), &DURATIONS, |shard| Some(&shard.durations))],
            ),
            family(
                MetricType::HISTOGRAM,
                (
                    "jeton_stage_duration_seconds",
                    "Time of each stage of a token request that got its token; one request in 16 per worker is timed.",
                ),
                Stage::ALL.map(|stage| self.stage(stage)).into(),
            ),
            counters(
                "jeton_http_requests_total",
                "Requests of the public listener by the status of the reply; none: whoever sent it had gone.",
                self.http_requests(),
            ),
        ]
    }

    fn of_clients(&self) -> Vec<MetricFamily> {
        let methods = AuthMethod::ALL.map(|method| (method.as_str(), method as usize));
        let reasons = AuthFailure::ALL.map(|reason| (reason.as_str(), reason as usize));
        vec![
            counters(
                "jeton_client_cache_total",
                "Clients found in memory (hit) or asked of the store (miss).",
                vec![
                    counter(&[("result", "hit")], self.sum(|shard| Some(&shard.hits))),
                    counter(&[("result", "miss")], self.sum(|shard| Some(&shard.misses))),
                ],
            ),
            counters(
                "jeton_client_authentications_total",
                "Clients that proved who they are, at any endpoint, by method.",
                self.each("method", &methods, |shard| &shard.authenticated),
            ),
            counters(
                "jeton_authentication_failures_total",
                "Clients that did not, by the reason that they are never told.",
                self.each("reason", &reasons, |shard| &shard.failures),
            ),
        ]
    }

    fn of_tokens(&self) -> Vec<MetricFamily> {
        let algorithms = Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm.index()));
        let introspected = [("active", Verdict::Active as usize), ("inactive", Verdict::Inactive as usize)];
        let revoked = [("revoked", Verdict::Revoked as usize), ("unknown", Verdict::Unknown as usize)];
        vec![
            counters(
                "jeton_signatures_total",
                "Signatures made, by algorithm.",
                self.each("alg", &algorithms, |shard| &shard.signatures),
            ),
            family(
                MetricType::HISTOGRAM,
                ("jeton_sign_batch_size", "Signatures that a worker made together."),
                vec![self.histogram((&[], float), &BATCHES, |shard| Some(&shard.batches))],
            ),
            sole_gauge(
                "jeton_sign_queue_length",
                "Requests that wait for a worker to sign.",
                float(self.sum(|shard| Some(&shard.sign_queue))),
            ),
            counters(
                "jeton_introspections_total",
                "Tokens that resource servers asked about, by what they were told.",
                self.each("result", &introspected, |shard| &shard.verdicts),
            ),
            counters(
                "jeton_revocations_total",
                "Tokens that clients cut off; unknown: it was no token of ours, or over already.",
                self.each("result", &revoked, |shard| &shard.verdicts),
            ),
        ]
    }

    fn of_workers(&self) -> Vec<MetricFamily> {
        let reasons = Shed::ALL.map(|reason| (reason.as_str(), reason as usize));
        vec![
            sole_gauge(
                "jeton_requests_in_flight",
                "Requests that are begun and not yet answered.",
                float(self.sum(|shard| Some(&shard.occupancy.in_flight))),
            ),
            sole_gauge(
                "jeton_bodies_awaited",
                "Requests whose body is still on its way.",
                float(self.sum(|shard| Some(&shard.occupancy.bodies))),
            ),
            counters(
                "jeton_requests_shed_total",
                "Requests that were refused early, with 503, so that others are answered in time.",
                self.each("reason", &reasons, |shard| &shard.sheds),
            ),
            family(
                MetricType::HISTOGRAM,
                (
                    "jeton_run_queue_wait_seconds",
                    "Time that a request waits before its worker looks at it; sampled every 5 ms while requests come.",
                ),
                vec![self.histogram((&[], seconds), &WAITS, |shard| Some(&shard.occupancy.waits))],
            ),
        ]
    }

    fn of_connections(&self) -> Vec<MetricFamily> {
        let event = |event: ConnectionEvent| counter(&[("event", event.as_str())], self.connections.counted(event));
        vec![
            sole_gauge("jeton_connections", "Open connections of the public listener.", float(self.connections.open())),
            counters(
                "jeton_connection_events_total",
                "Connections of the public listener: accepted, refused beyond the cap, failed to be accepted, cut for \
                 being late or idle, malformed for sending what is no request.",
                ConnectionEvent::ALL.map(event).into(),
            ),
        ]
    }

    fn sum(&self, pick: impl Fn(&Shard) -> Option<&Count>) -> u64 {
        self.workers.iter().filter_map(pick).map(Count::read).sum()
    }

    /// A sample for each value of a label, from the counter at its position.
    fn each<const N: usize>(
        &self,
        label: &str,
        values: &[(&str, usize)],
        pick: impl Fn(&Shard) -> &[Count; N],
    ) -> Vec<Metric> {
        let sample = |(value, at): &(&str, usize)| counter(&[(label, value)], self.sum(|shard| pick(shard).get(*at)));
        values.iter().map(sample).collect()
    }

    fn token_requests(&self) -> Vec<Metric> {
        let names = std::iter::once("issued").chain(ErrorCode::ALL.into_iter().map(ErrorCode::as_str));
        let values: Vec<(&str, usize)> = names.zip(0..).collect();
        self.each("outcome", &values, |shard| &shard.outcomes)
    }

    /// A histogram of what the shards count, in `unit`s of it.
    fn histogram<const N: usize>(
        &self,
        form: (Labels<'_>, Unit),
        bounds: &Bounds<N>,
        pick: impl Fn(&Shard) -> Option<&Distribution<N>>,
    ) -> Metric {
        let (mut counts, mut sum) = (vec![0; N + 1], 0);
        for (buckets, total) in self.workers.iter().filter_map(pick).map(Distribution::read) {
            counts.iter_mut().zip(buckets).for_each(|(count, more)| *count += more);
            sum += total;
        }
        histogram(form, bounds, &(counts, sum))
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
                    let status = status(position);
                    metrics.push(counter(&[("endpoint", endpoint.as_str()), ("status", &status)], count));
                }
            }
        }
        metrics
    }
}

/// The label of the status at a position of the counters.
fn status(position: usize) -> String {
    match STATUSES.get(position) {
        Some(&UNANSWERED) => "none".to_owned(),
        Some(status) => status.to_string(),
        None => "other".to_owned(),
    }
}

impl Collector for Shards {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.families().into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}
