//! Two results side by side: what got worse, and by how much.
//!
//! Runs are paired by their names. A figure is worse when it is so by more than the tolerance, which has to be wider
//! than what the machine alone does: compare results of one quiet machine, or none.

use crate::report::{Report, Run};
use crate::units::{float, show_count, show_micros};

/// Shares of requests without a token that differ by less are the same.
const SHARE_TOLERANCE: f64 = 0.001;

/// A figure in both.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Of which run.
    pub run: String,
    /// What.
    pub figure: &'static str,
    /// Before and after, as text.
    pub shown: (String, String),
    /// How much it has grown, as a part; nothing where one of the two is none.
    pub growth: Option<f64>,
    /// Whether that is worse.
    pub is_worse: bool,
}

/// Pairs the runs of two results; a figure may be worse by this part.
///
/// # Errors
/// A sentence, when they have no run in common.
pub fn compare(before: &Report, after: &Report, tolerance: f64) -> Result<Vec<Row>, String> {
    let pair = |run: &Run| after.runs.iter().find(|other| other.name == run.name).cloned();
    let pairs = before.runs.iter().filter_map(|run| Some((run, pair(run)?)));
    let rows: Vec<Row> = pairs.flat_map(|(before, after)| rows(before, &after, tolerance)).collect();
    if rows.is_empty() { Err("the two results have no run of the same name".to_owned()) } else { Ok(rows) }
}

fn rows(before: &Run, after: &Run, tolerance: f64) -> Vec<Row> {
    let share = |run: &Run| 1.0 - float(run.issued) / float(run.offered.max(1));
    let percent = |share: f64| format!("{:.3} %", share * 100.0);
    let mut rows = vec![
        row(before, "tokens/s", (before.tokens_per_second, after.tokens_per_second), (show_count, -tolerance)),
        Row {
            run: before.name.clone(),
            figure: "without a token",
            shown: (percent(share(before)), percent(share(after))),
            growth: None,
            is_worse: share(after) > share(before) + SHARE_TOLERANCE,
        },
    ];
    let latencies = [
        ("p50", before.latency_us.p50, after.latency_us.p50),
        ("p90", before.latency_us.p90, after.latency_us.p90),
        ("p99", before.latency_us.p99, after.latency_us.p99),
        ("p99.9", before.latency_us.p999, after.latency_us.p999),
    ];
    for (figure, old, new) in latencies {
        rows.push(match (old, new) {
            (Some(old), Some(new)) => row(before, figure, (old, new), (show_micros, tolerance)),
            _ => Row {
                run: before.name.clone(),
                figure,
                shown: (old.map_or_else(never, show_micros), new.map_or_else(never, show_micros)),
                growth: None,
                is_worse: old.is_some() && new.is_none(),
            },
        });
    }
    if let (Some(old), Some(new)) = (&before.server, &after.server) {
        let shown: fn(f64) -> String = |nanos| format!("{} ns", show_count(nanos));
        let figures = (old.cpu_ns_per_answer, new.cpu_ns_per_answer);
        rows.push(row(before, "CPU per answer", figures, (shown, tolerance)));
    }
    rows
}

fn never() -> String {
    "never".to_owned()
}

/// A figure that is worse when it grows beyond the tolerance, or when it shrinks below a negative one.
fn row(run: &Run, figure: &'static str, (old, new): (f64, f64), (show, tolerance): (fn(f64) -> String, f64)) -> Row {
    let growth = if old == 0.0 { None } else { Some(new / old - 1.0) };
    let is_worse = growth.is_some_and(|growth| if tolerance < 0.0 { growth < tolerance } else { growth > tolerance });
    Row { run: run.name.clone(), figure, shown: (show(old), show(new)), growth, is_worse }
}

/// The rows as a table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = format!("{:24} {:16} {:>12} {:>12} {:>9}\n", "run", "", "before", "after", "change");
    for row in rows {
        let growth = row.growth.map_or_else(String::new, |growth| format!("{:+.1} %", growth * 100.0));
        let verdict = if row.is_worse { "  WORSE" } else { "" };
        let (before, after) = &row.shown;
        text += &format!("{:24} {:16} {before:>12} {after:>12} {growth:>9}{verdict}\n", row.run, row.figure);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Latency, ServerTime};

    fn report(name: &str, rate: f64, p99: Option<f64>) -> Report {
        let text = r#"{"name":"","request":"basic","rate":[1,1],"spacing":"even","duration_s":1,"connections":1,
            "clients":1,"timeout_ms":1,"offered":1000,"issued":1000,"tokens_per_second":0,"failed":{"refused":{},
            "timed_out":0,"unsent":0,"broken":0},"connects":1,"latency_us":{},"lag_us":{"p50":0,"p99":0,"max":0},
            "curve":[],"seconds":[],"missed":[]}"#;
        let mut run: Run = serde_json::from_str(text).unwrap();
        name.clone_into(&mut run.name);
        run.tokens_per_second = rate;
        run.latency_us = Latency { p50: Some(100.0), p99, ..Latency::default() };
        run.server = Some(ServerTime { cpu_ns_per_answer: 10_000.0, percent_of_a_core: 1.0 });
        Report { runs: vec![run], ..Report::default() }
    }

    fn worse(before: &Report, after: &Report) -> Vec<&'static str> {
        let rows = compare(before, after, 0.1).unwrap();
        rows.into_iter().filter(|row| row.is_worse).map(|row| row.figure).collect()
    }

    #[test]
    fn worse_is_fewer_tokens_or_more_time_beyond_the_tolerance() {
        let before = report("a", 1000.0, Some(500.0));
        assert!(worse(&before, &report("a", 901.0, Some(549.0))).is_empty());
        assert!(worse(&before, &report("a", 2000.0, Some(50.0))).is_empty());
        assert_eq!(worse(&before, &report("a", 899.0, Some(500.0))), ["tokens/s"]);
        assert_eq!(worse(&before, &report("a", 1000.0, Some(551.0))), ["p99"]);
        assert_eq!(worse(&before, &report("a", 1000.0, None)), ["p99"]);
        let mut failing = report("a", 1000.0, Some(500.0));
        failing.runs[0].issued = 990;
        failing.runs[0].server = Some(ServerTime { cpu_ns_per_answer: 12_000.0, percent_of_a_core: 1.0 });
        assert_eq!(worse(&before, &failing), ["without a token", "CPU per answer"]);
        assert!(table(&compare(&before, &failing, 0.1).unwrap()).contains("+20.0 %  WORSE"));
    }

    #[test]
    fn results_without_a_common_run_are_not_compared() {
        let (before, after) = (report("a", 1.0, None), report("b", 1.0, None));
        assert!(compare(&before, &after, 0.1).is_err());
    }
}
