//! A run for eyes: one line that is written over while it goes on, a few lines at its end.

use std::io::{IsTerminal as _, Write as _};

use crate::drive::Progress;
use crate::report::Run;
use crate::units::{float, show_count, show_micros};

/// A latency, or that there is none.
#[must_use]
pub fn shown(micros: Option<f64>) -> String {
    micros.map_or_else(|| "never".to_owned(), show_micros)
}

/// What is to be said of a run.
#[must_use]
pub fn of(run: &Run) -> String {
    let latency = &run.latency_us;
    let mut text = format!(
        "{}: {} of {} requests got a token, {}/s\n",
        run.name,
        show_count(float(run.issued)),
        show_count(float(run.offered)),
        show_count(run.tokens_per_second)
    );
    text += &format!("latency    p50 {}, p90 {}, p99 {}, ", shown(latency.p50), shown(latency.p90), shown(latency.p99));
    text += &format!("p99.9 {}, max {}\n", shown(latency.p999), shown(latency.max));
    text += &format!(
        "generator  late by {} at p99, {} at most\n",
        show_micros(run.lag_us.p99),
        show_micros(run.lag_us.max)
    );
    if run.failed.sum() > 0 {
        let failed = &run.failed;
        let refused: Vec<String> = failed.refused.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        text += &format!(
            "failed     refused: {}; timed out: {}, unsent: {}, broken: {}\n",
            if refused.is_empty() { "0".to_owned() } else { refused.join(", ") },
            failed.timed_out,
            failed.unsent,
            failed.broken
        );
    }
    if let Some(server) = &run.server {
        let (nanos, percent) = (show_count(server.cpu_ns_per_answer), server.percent_of_a_core);
        text += &format!("server     {nanos} ns of CPU per answer, {percent:.0} % of a core\n");
    }
    if let Some(verified) = &run.verified {
        let (checked, compared) = (show_count(float(verified.checked)), show_count(float(verified.compared)));
        text +=
            &format!("tokens     {checked} verified ({}), {compared} all different\n", verified.algorithms.join(", "));
    }
    if let Some(slo) = &run.slo {
        let verdict = if run.missed.is_empty() { "kept".to_owned() } else { run.missed.join("; ") };
        text += &format!("{slo}: {verdict}\n");
    }
    text.trim_end().to_owned()
}

/// One line that is written over each second, for whoever looks on.
pub fn show_progress(progress: &Progress<'_>) {
    const BAR: usize = 24;
    if !std::io::stderr().is_terminal() {
        return;
    }
    let (done, of, tally) = (progress.second + 1, progress.of, progress.tally);
    let full = usize::try_from(BAR as u64 * done.min(of) / of).unwrap_or(BAR);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    let (rate, failed) = (show_count(float(tally.issued())), tally.failed());
    let (p50, p99) = (shown(tally.percentile_micros(50.0)), shown(tally.percentile_micros(99.0)));
    let line = format!("{bar} {done:>4}/{of} s  {rate:>8}/s  p50 {p50:>8}  p99 {p99:>8}  failed {failed}");
    write!(std::io::stderr(), "\r\x1b[K{line}").unwrap_or_default();
}

/// Wipes that line.
pub fn end_progress() {
    if std::io::stderr().is_terminal() {
        write!(std::io::stderr(), "\r\x1b[K").unwrap_or_default();
    }
}
