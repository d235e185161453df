//! What was found, for people and for programs.

use std::io;

use serde::Serialize;

use super::super::output::{Output, Table, json, record, say};
use super::BenchArgs;
use super::machine::Machine;
use super::rounds::{Figures, Spread};
use super::signing::Signature;
use super::sizing::{self, PLANNED_PERCENT, Row};

/// What the figures leave out.
const NOT_INCLUDED: [&str; 5] = [
    "TLS: what terminates it in front of jeton has its own price",
    "a real network: interrupts, and clients on other machines; here the load is on the same machine",
    "new connections: every token comes over one that is open, as pooling clients and load balancers do",
    "noisy neighbours, and a lower clock when all cores are busy",
    "RS256, PS256 and ES256, opaque tokens, assertions and the audit log, which cost more",
];
/// Below this the server waited for the load.
const BUSY_PERCENT: u64 = 80;

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Findings {
    machine: Machine,
    settings: Settings,
    signature: Signature,
    in_process: Figures,
    loopback: Figures,
    sizing: Sizing,
    notes: Vec<String>,
    not_included: [&'static str; NOT_INCLUDED.len()],
}

#[derive(Debug, Serialize)]
struct Settings {
    seconds: u32,
    clients: u32,
    connections: u16,
}

#[derive(Debug, Serialize)]
struct Sizing {
    planned_percent_of_a_core: u64,
    cpus_of_a_server: usize,
    rows: Vec<Row>,
}

impl Findings {
    #[must_use]
    pub fn new(
        machine: Machine,
        args: &BenchArgs,
        (signature, in_process, loopback): (Signature, Figures, Figures),
    ) -> Self {
        let &BenchArgs { seconds, clients, connections } = args;
        Self {
            notes: notes(&machine, &in_process, &loopback),
            settings: Settings { seconds, clients, connections },
            sizing: Sizing {
                planned_percent_of_a_core: PLANNED_PERCENT,
                cpus_of_a_server: machine.cpus,
                rows: sizing::rows(loopback.cpu_ns_per_token.median, machine.cpus),
            },
            machine,
            signature,
            in_process,
            loopback,
            not_included: NOT_INCLUDED,
        }
    }
}

/// What is to be known before the figures are believed.
fn notes(machine: &Machine, in_process: &Figures, loopback: &Figures) -> Vec<String> {
    let mut notes = Vec::new();
    let refused = in_process.refused + loopback.refused;
    if cfg!(debug_assertions) {
        notes.push("this is a build for development: a release makes several times as much".to_owned());
    }
    if machine.cpus == 1 {
        notes.push(
            "one CPU: server and load shared it, so the measured rate is that of both; the cost of a token is the server's alone"
                .to_owned(),
        );
    } else if loopback.busy_percent < BUSY_PERCENT {
        notes.push(format!(
            "the server was only {} % busy, as the load or something else on this machine was slower: at a lower load a token costs more",
            loopback.busy_percent
        ));
    }
    if machine.threads_per_core > 1 {
        let threads = machine.threads_per_core;
        notes.push(format!("{threads} CPUs share a core here: together they make less than {threads} times as much"));
    }
    if in_process.cpu_ns_per_token.is_wide() || loopback.cpu_ns_per_token.is_wide() {
        notes.push("the rounds differ by more than a tenth: repeat it on a quieter machine".to_owned());
    }
    if refused > 0 {
        notes.push(format!("{refused} requests were refused as overload: the machine paused the process"));
    }
    notes
}

/// Prints it all.
///
/// # Errors
/// When standard output is closed.
pub fn show(output: Output, findings: &Findings) -> io::Result<()> {
    if output == Output::Json {
        return json(findings);
    }
    record(output, &figures(findings), &())?;
    gap(output)?;
    let mut table = Table::new(output, &["tokens/s", "busy cores", "cores to have", "servers like this one"]);
    for row in &findings.sizing.rows {
        let Row { tokens_per_second, busy_cores, cores, servers } = row;
        let cells = vec![grouped(*tokens_per_second), format!("{busy_cores:.2}"), grouped(*cores), grouped(*servers)];
        table.row(cells, row)?;
    }
    table.finish()?;
    gap(output)?;
    let headroom = format!(
        "a core is planned for {PLANNED_PERCENT} % of what it makes; have one server more, so that a lost one is no event"
    );
    let notes = findings.notes.iter().map(|note| ("note", note.clone()));
    let not_included = findings.not_included.iter().map(|text| ("not included", (*text).to_owned()));
    let lines: Vec<_> = [("headroom", headroom)].into_iter().chain(notes).chain(not_included).collect();
    record(output, &lines, &())
}

fn gap(output: Output) -> io::Result<()> {
    if output.is_table() { say("") } else { Ok(()) }
}

fn figures(findings: &Findings) -> Vec<(&'static str, String)> {
    let Findings { machine, settings, signature, in_process, loopback, .. } = findings;
    let cpus = match (machine.cpus, machine.all_cpus) {
        (1, 1) => "1 CPU".to_owned(),
        (cpus, all) if cpus == all => format!("{cpus} CPUs"),
        (cpus, all) => format!("{cpus} of {all} CPUs"),
    };
    let rate = loopback.tokens_per_second;
    let measured = format!(
        "{} tokens/s ({} to {}) by one server thread, {} % busy; {} connections, {} clients",
        grouped(rate.median),
        grouped(rate.least),
        grouped(rate.most),
        loopback.busy_percent,
        settings.connections,
        grouped(settings.clients.into())
    );
    vec![
        ("machine", format!("{}, {cpus}", machine.processor)),
        ("signing", machine.signing.to_owned()),
        ("signature, alone", spread(&signature.one_by_one_ns)),
        ("signature, of eight", spread(&signature.by_eight_ns)),
        ("token, in process", cost(in_process)),
        ("token, over loopback", cost(loopback)),
        ("measured", measured),
    ]
}

fn cost(figures: &Figures) -> String {
    let rate = grouped(figures.tokens_per_second_of_a_core);
    format!("{} of a core: {rate} tokens/s of a core", spread(&figures.cpu_ns_per_token))
}

fn spread(Spread { least, median, most }: &Spread) -> String {
    format!("{} µs ({} to {})", micros(*median), micros(*least), micros(*most))
}

/// Microseconds to a tenth, the rest cut off.
fn micros(nanos: u64) -> String {
    format!("{}.{}", nanos / 1000, nanos % 1000 / 100)
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let written = [0, 999, 1_000, 72_192, 1_000_000].map(grouped);
        assert_eq!(written, ["0", "999", "1,000", "72,192", "1,000,000"]);
        assert_eq!([0, 99, 100, 13_949].map(micros), ["0.0", "0.0", "0.1", "13.9"]);
    }
}
