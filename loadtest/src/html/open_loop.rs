//! The part of the page about the open loop: its curves over all runs, and the course of each.

use super::chart::{Axis, Chart, HALF, Line, Scale, WIDE};
use super::{escape, table};
use crate::report::{Run, Second};
use crate::units::{float, show_count, show_micros};

/// Microseconds; nobody sees the difference below, and a logarithm needs a floor.
const LEAST_MICROS: f64 = 1.0;

/// What the open loop saw: all runs together, then each by itself.
#[must_use]
pub fn section(runs: &[Run]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let mut html = "<section><h2>Latency in an open loop</h2><p>Requests leave when they are due, whatever becomes of \
                    those before; a latency runs from that instant to the last byte of the token, and a request \
                    without a token counts as slower than all others.</p>"
        .to_owned();
    let steady: Vec<&Run> = runs.iter().filter(|run| is_steady(run)).collect();
    if steady.len() > 1 {
        html += &by_rate(&steady);
    }
    html += &by_percentage(runs);
    html += &table(&RUN_COLUMNS, &runs.iter().map(run_row).collect::<Vec<_>>());
    html += "</section><section><h2>The course of each run</h2>";
    for run in runs {
        html += &course(run);
    }
    html + "</section>"
}

fn is_steady(run: &Run) -> bool {
    (run.rate.0 - run.rate.1).abs() < 1e-9
}

fn by_rate(runs: &[&Run]) -> String {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|one, other| one.rate.0.total_cmp(&other.rate.0));
    let line = |label: &str, of: fn(&Run) -> Option<f64>| {
        let points = sorted.iter().filter_map(|run| Some((run.rate.0, of(run)?.max(LEAST_MICROS)))).collect();
        Line { label: label.to_owned(), points, dots: true }
    };
    Chart {
        title: "Latency by offered rate",
        width: WIDE,
        x: Axis { label: "requests per second", scale: Scale::Linear, show: show_count },
        y: Axis { label: "", scale: Scale::Log, show: show_micros },
        lines: vec![
            line("p50", |run| run.latency_us.p50),
            line("p90", |run| run.latency_us.p90),
            line("p99", |run| run.latency_us.p99),
            line("p99.9", |run| run.latency_us.p999),
        ],
    }
    .svg()
}

fn by_percentage(runs: &[Run]) -> String {
    let points = |run: &Run| run.curve.iter().map(|(percent, micros)| (*percent, micros.max(LEAST_MICROS))).collect();
    Chart {
        title: "Latency by percentage of all requests",
        width: WIDE,
        x: Axis { label: "", scale: Scale::Nines, show: |percent| format!("{percent} %") },
        y: Axis { label: "", scale: Scale::Log, show: show_micros },
        lines: runs.iter().map(|run| Line { label: run.name.clone(), points: points(run), dots: false }).collect(),
    }
    .svg()
}

const RUN_COLUMNS: [&str; 11] =
    ["run", "offered/s", "tokens/s", "without", "p50", "p90", "p99", "p99.9", "max", "CPU/answer", "generator late"];

fn run_row(run: &Run) -> Vec<String> {
    let shown = |micros: Option<f64>| micros.map_or_else(|| "never".to_owned(), show_micros);
    let rate = if is_steady(run) {
        show_count(run.rate.0)
    } else {
        format!("{}…{}", show_count(run.rate.0), show_count(run.rate.1))
    };
    let latency = &run.latency_us;
    let cpu =
        run.server.as_ref().map_or_else(String::new, |server| format!("{} ns", show_count(server.cpu_ns_per_answer)));
    vec![
        run.name.clone(),
        rate,
        show_count(run.tokens_per_second),
        show_count(float(run.failed.sum())),
        shown(latency.p50),
        shown(latency.p90),
        shown(latency.p99),
        shown(latency.p999),
        shown(latency.max),
        cpu,
        if run.lag_us.max > 0.0 { show_micros(run.lag_us.p99) } else { "–".to_owned() },
    ]
}

fn course(run: &Run) -> String {
    let series = |label: &str, of: &dyn Fn(&Second) -> Option<f64>| Line {
        label: label.to_owned(),
        points: run.seconds.iter().filter_map(|second| Some((float(second.at), of(second)?))).collect(),
        dots: false,
    };
    let time = Axis { label: "seconds", scale: Scale::Linear, show: show_count };
    let mut rates =
        vec![series("offered", &|second| Some(second.offered)), series("tokens", &|second| Some(second.issued))];
    if run.failed.sum() > 0 {
        rates.push(series("without a token", &|second| Some(second.failed)));
    }
    let latency = |of: fn(&Second) -> Option<f64>| move |second: &_| of(second).map(|us| us.max(LEAST_MICROS));
    let rates = Chart {
        title: "per second",
        width: HALF,
        x: time,
        y: Axis { label: "", scale: Scale::Linear, show: show_count },
        lines: rates,
    };
    let latencies = Chart {
        title: "latency of the tokens that came",
        width: HALF,
        x: time,
        y: Axis { label: "", scale: Scale::Log, show: show_micros },
        lines: vec![
            series("p50", &latency(|second| second.p50_us)),
            series("p99", &latency(|second| second.p99_us)),
            series("max", &latency(|second| second.max_us)),
        ],
    };
    let open = if run.missed.is_empty() { "" } else { " open" };
    format!(
        "<details{open}><summary>{} <small>{}</small></summary><div class=\"pair\">{}{}</div></details>",
        escape(&run.name),
        escape(&summary(run)),
        rates.svg(),
        latencies.svg()
    )
}

fn summary(run: &Run) -> String {
    let mut text = format!(
        "{} {} requests over {} connections of {} clients, {} s",
        show_count(float(run.offered)),
        run.spacing,
        run.connections,
        show_count(float(run.clients as u64)),
        run.duration_s
    );
    if let Some(verified) = &run.verified {
        text += &format!("; {} signatures verified, ", show_count(float(verified.checked)));
        text += &format!("{} tokens all different", show_count(float(verified.compared)));
    }
    for missed in &run.missed {
        text += &format!("; {missed}");
    }
    text
}
