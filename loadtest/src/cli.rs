//! Commands to exit codes: 0 done and kept, 1 failed or an SLO missed, 2 usage.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;

use crate::arguments::{Cli, Command, Common, CompareArgs, FindLimitArgs, RunArgs};
use crate::drive::drive;
use crate::find_limit::Search;
use crate::machine::{self, Machine};
use crate::report::{Report, Run};
use crate::units::show_count;
use crate::{compare, html, summary};

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run_once(&args),
        Command::FindLimit(args) => find_limit(&args),
        Command::Compare(args) => compare_two(&args),
        Command::Report(args) => {
            Report::read(&args.result).and_then(|report| write_page(&report, &args.output)).map(|()| true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(sentence) => {
            note(&format!("loadgen: {sentence}"));
            ExitCode::from(1)
        }
    }
}

/// Writes what was asked for.
fn write(common: &Common, started_at: u64, runs: Vec<Run>) -> Result<(), String> {
    let report = Report {
        title: common.title.clone(),
        started_at,
        machine: Machine::here(),
        commit: machine::commit(),
        commands: vec![command_line()],
        runs,
        ..Report::default()
    };
    if let Some(file) = &common.json {
        report.write(file)?;
    }
    common.html.as_ref().map_or(Ok(()), |file| write_page(&report, file))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The command as it was given: no secret can stand in it.
fn command_line() -> String {
    std::iter::once("loadgen".to_owned()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ")
}

fn write_page(report: &Report, file: &Path) -> Result<(), String> {
    std::fs::write(file, html::page(report)).map_err(|error| format!("{}: {error}", file.display()))
}

fn run_once(args: &RunArgs) -> Result<bool, String> {
    let started_at = now();
    let plan = args.common.plan(&args.name, args.rate, args.slo.clone())?;
    let run = drive(&plan, &mut summary::show_progress)?;
    summary::end_progress();
    tell(&summary::of(&run))?;
    let kept = run.missed.is_empty();
    write(&args.common, started_at, vec![run])?;
    Ok(kept)
}

fn find_limit(args: &FindLimitArgs) -> Result<bool, String> {
    let started_at = now();
    let mut search = Search::new(args.from, args.most, args.precision / 100.0);
    let mut runs = Vec::new();
    while let Some(rate) = search.next() {
        let plan = args.common.plan(&format!("{rate:.0}/s"), (rate, rate), Some(args.slo.clone()))?;
        let run = drive(&plan, &mut summary::show_progress)?;
        summary::end_progress();
        search.note(run.missed.is_empty());
        let verdict = if run.missed.is_empty() { "kept".to_owned() } else { run.missed.join("; ") };
        tell(&format!("{:>10}/s  p99 {:>9}  {verdict}", show_count(rate), summary::shown(run.latency_us.p99)))?;
        runs.push(run);
    }
    write(&args.common, started_at, runs)?;
    match search.found() {
        Some(rate) => tell(&format!("the highest rate that kept {}: {}/s", args.slo, show_count(rate))).map(|()| true),
        None => tell(&format!("no rate kept {}", args.slo)).map(|()| false),
    }
}

fn compare_two(args: &CompareArgs) -> Result<bool, String> {
    let (before, after) = (Report::read(&args.before)?, Report::read(&args.after)?);
    if before.machine.processor != after.machine.processor {
        note("note: the two results are of different machines");
    }
    let rows = compare::compare(&before, &after, args.tolerance / 100.0)?;
    tell(compare::table(&rows).trim_end())?;
    Ok(!rows.iter().any(|row| row.is_worse))
}

/// Prints a result.
fn tell(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| format!("the output was closed: {error}"))
}

/// Tells whoever looks on; a closed standard error has nobody to tell.
fn note(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap_or_default();
}
