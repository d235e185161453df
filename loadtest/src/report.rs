//! The result as JSON: what `loadgen run` writes, what `loadtest/run` puts together, what `compare` and `report` read.
//!
//! Fields that this program does not know are kept, so that a page can be made of a richer result.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::drive::Plan;
use crate::machine::Machine;
use crate::schedule::Spacing;
use crate::tally::{Failures, Tally};
use crate::target::Kind;
use crate::units::float;
use crate::verify::Verified;

/// Percentages at which a latency curve has its points: evenly by the number of nines.
const CURVE_POINTS: u32 = 50;
/// Nines per decade are the scale, this many decades of them.
const CURVE_DECADES: f64 = 5.0;

/// A whole result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What it is about.
    pub title: String,
    /// When it began, in seconds since 1970.
    pub started_at: u64,
    /// On what.
    pub machine: Machine,
    /// Of what.
    pub commit: String,
    /// How to repeat it.
    pub commands: Vec<String>,
    /// The figures to see first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<Card>,
    /// What had to be kept, and was or was not.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
    /// Tables of other tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// Of the open loop.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// What is not known here.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// A figure and what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// What.
    pub label: String,
    /// How much.
    pub value: String,
    /// In other words.
    #[serde(default)]
    pub note: String,
}

/// A bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What had to be kept.
    pub name: String,
    /// Whether it was.
    pub kept: bool,
    /// The figures.
    #[serde(default)]
    pub detail: String,
}

/// A table, with bars where they say more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// How to read it.
    #[serde(default)]
    pub note: String,
    /// Its head.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Its rows.
    #[serde(default)]
    pub rows: Vec<Vec<String>>,
    /// Its bars.
    #[serde(default)]
    pub bars: Vec<Bar>,
    /// What the bars count.
    #[serde(default)]
    pub unit: String,
}

/// A bar.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bar {
    /// What.
    pub label: String,
    /// How much.
    pub value: f64,
    /// Whether it is what the page is about.
    #[serde(default)]
    pub ours: bool,
}

/// One run of the open loop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// What it is called.
    pub name: String,
    /// What was asked.
    pub request: Kind,
    /// Requests per second at the beginning and at the end.
    pub rate: (f64, f64),
    /// Whether they came evenly or at random.
    pub spacing: String,
    /// Seconds, without the warm-up.
    pub duration_s: f64,
    /// Connections.
    pub connections: usize,
    /// Distinct clients.
    pub clients: usize,
    /// How long a request waits for a connection, and then for its answer.
    pub timeout_ms: f64,
    /// Requests that were due.
    pub offered: u64,
    /// Those that got a token.
    pub issued: u64,
    /// Tokens per second.
    pub tokens_per_second: f64,
    /// Those that got none.
    pub failed: Failures,
    /// Connections that were opened.
    pub connects: u64,
    /// From the due instant to the last byte, over all requests; `null` where so many never got a token.
    pub latency_us: Latency,
    /// How late the generator itself was: where this is no small part of the latency, the figures are its own.
    pub lag_us: Lag,
    /// The latency by percentage.
    pub curve: Vec<(f64, f64)>,
    /// The course of it.
    pub seconds: Vec<Second>,
    /// What was found of the tokens.
    pub verified: Option<Verified>,
    /// What the server spent.
    pub server: Option<ServerTime>,
    /// What it had to keep.
    pub slo: Option<String>,
    /// The bounds that it broke.
    pub missed: Vec<String>,
}

/// Percentiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of all.
    pub p50: Option<f64>,
    /// 90 %.
    pub p90: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// 99.9 %.
    pub p999: Option<f64>,
    /// All.
    pub max: Option<f64>,
}

/// Percentiles of the generator's lag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// Half of what could be sent at once.
    pub p50: f64,
    /// 99 %.
    pub p99: f64,
    /// All.
    pub max: f64,
}

/// A point of the course.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the measurement began.
    pub at: u64,
    /// Requests that were due per second.
    pub offered: f64,
    /// Tokens per second.
    pub issued: f64,
    /// Requests per second that got none.
    pub failed: f64,
    /// Latencies of the tokens that came, in microseconds.
    pub p50_us: Option<f64>,
    /// 99 %.
    pub p99_us: Option<f64>,
    /// The longest.
    pub max_us: Option<f64>,
}

/// Processor time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerTime {
    /// Nanoseconds per answer, whatever its status.
    pub cpu_ns_per_answer: f64,
    /// Of one core.
    pub percent_of_a_core: f64,
}

impl Run {
    /// What is known of a run when its counts are.
    #[must_use]
    pub fn of(plan: &Plan, tally: &Tally) -> Self {
        let (schedule, seconds) = (&plan.schedule, plan.schedule.duration.as_secs_f64());
        let spacing = if schedule.spacing == Spacing::Even { "even" } else { "random" };
        Self {
            name: plan.name.clone(),
            request: plan.kind,
            rate: (schedule.from, schedule.to),
            spacing: spacing.to_owned(),
            duration_s: seconds,
            connections: plan.connections,
            clients: plan.clients.len(),
            timeout_ms: plan.timeout.as_secs_f64() * 1e3,
            offered: tally.offered(),
            issued: tally.issued(),
            tokens_per_second: float(tally.issued()) / seconds,
            failed: tally.failures().clone(),
            connects: tally.connects(),
            latency_us: Latency::of(tally),
            lag_us: Lag { p50: tally.lag_micros(50.0), p99: tally.lag_micros(99.0), max: tally.lag_micros(100.0) },
            curve: curve(tally),
            seconds: Vec::new(),
            verified: None,
            server: None,
            slo: plan.slo.as_ref().map(ToString::to_string),
            missed: plan.slo.as_ref().map_or_else(Vec::new, |slo| slo.missed_by(tally, schedule.duration)),
        }
    }
}

impl Latency {
    fn of(tally: &Tally) -> Self {
        let at = |percent| tally.percentile_micros(percent);
        Self { p50: at(50.0), p90: at(90.0), p99: at(99.0), p999: at(99.9), max: tally.max_micros() }
    }
}

impl Second {
    /// The counts of one point, which is this long.
    #[must_use]
    pub fn of(at: u64, tally: &Tally, width: Duration) -> Self {
        let per_second = |count: u64| (float(count) / width.as_secs_f64()).round();
        // Of those that came: what did not is a line of its own.
        let share = float(tally.issued()) / float(tally.issued() + tally.failed()).max(1.0);
        let issued = |percent: f64| tally.percentile_micros(percent * share);
        Self {
            at,
            offered: per_second(tally.offered()),
            issued: per_second(tally.issued()),
            failed: per_second(tally.failed()),
            p50_us: issued(50.0),
            p99_us: issued(99.0),
            max_us: tally.longest_issued_micros(),
        }
    }
}

impl ServerTime {
    /// Of this much processor time for these answers.
    #[must_use]
    pub fn of(nanos: u64, tally: &Tally, duration: Duration) -> Self {
        Self {
            cpu_ns_per_answer: (float(nanos) / float(tally.answered().max(1))).round(),
            percent_of_a_core: (float(nanos) / duration.as_secs_f64() / 1e6).round() / 10.0,
        }
    }
}

/// Percentages and latencies up to the last that is known.
fn curve(tally: &Tally) -> Vec<(f64, f64)> {
    let all = float(tally.issued() + tally.failed());
    let percents = (0..=CURVE_POINTS).map(|point| {
        let nines = CURVE_DECADES * f64::from(point) / f64::from(CURVE_POINTS);
        100.0 * (1.0 - 10_f64.powf(-nines))
    });
    // Beyond one of all there is nothing to know.
    let known = percents.take_while(|percent| all * (1.0 - percent / 100.0) >= 1.0);
    known.map_while(|percent| Some(((percent * 1e5).round() / 1e5, tally.percentile_micros(percent)?))).collect()
}

impl Report {
    /// Reads a result.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Writes it.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn write(&self, file: &Path) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Whether everything was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.kept) && self.runs.iter().all(|run| run.missed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(issued: u64, unsent: u64) -> Tally {
        let mut tally = Tally::new();
        for number in 0..issued {
            tally.note_due();
            tally.note_issued(1000 * (number + 1));
        }
        for _ in 0..unsent {
            tally.note_due();
            tally.note_unsent();
        }
        tally
    }

    #[test]
    fn a_curve_rises_by_nines_and_ends_with_what_is_known() {
        let points = curve(&tally(10_000, 0));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        assert!(points.iter().any(|(percent, _)| (percent - 90.0).abs() < 1e-9));
        assert!(points.last().is_some_and(|(percent, _)| (99.98..=99.99).contains(percent)));
        let lossy = curve(&tally(900, 100));
        assert!(lossy.last().is_some_and(|(percent, _)| *percent <= 90.0));
        assert!(curve(&Tally::new()).is_empty());
    }

    #[test]
    fn a_second_shows_the_latency_of_what_came_and_the_number_of_what_did_not() {
        let second = Second::of(4, &tally(100, 100), Duration::from_secs(2));
        assert_eq!((second.at, second.offered, second.issued, second.failed), (4, 100.0, 50.0, 50.0));
        assert!(second.p99_us.is_some_and(|micros| (micros - 99.0).abs() < 1.1), "{second:?}");
    }

    #[test]
    fn a_result_is_read_as_it_was_written_with_what_is_not_known_here() {
        let text = r#"{"title":"t","started_at":1,"machine":{"processor":"p","cores":2,"memory_mib":1,"kernel":"k",
            "load":0.5},"commit":"c","commands":["x"],"extra":{"a":[1]}}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let report = Report::read(file.path()).unwrap();
        assert!(report.is_kept() && report.runs.is_empty());
        report.write(file.path()).unwrap();
        let again: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
        assert_eq!(again["extra"]["a"][0], 1);
        let verdict = Verdict { name: "n".to_owned(), kept: false, detail: String::new() };
        assert!(!Report { verdicts: vec![verdict], ..report }.is_kept());
        assert!(Report::read(Path::new("no such file")).unwrap_err().contains("no such file"));
    }
}
