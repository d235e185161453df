//! scaling: how many servers on one Redis behave. The figures of `docs/scaling.md` come from here.
//!
//! First it measures what each operation of the store costs a real Redis (`costs`, `redis`). Then it lets many servers
//! run in one process and in simulated time (`world`): their caches, followers and breakers are those of the library,
//! their store is a `model` of that one Redis with the measured costs (`store`). What is played there is in `scene`.
//! And it compares: a few real processes on a real Redis (`reality`) against the same few in the simulation.
//!
//! `cargo bench --bench scaling` prints everything, with the name of a table only that one. It ends with 1 when the
//! simulation and reality differ by more than [`MOST_OFF`]. Run as a test it does the same with few of everything, and
//! holds the simulation to the promise of one second.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measuring instrument ends where it fails"
)]

mod costs;
mod memory;
mod model;
mod people;
mod reality;
mod redis;
mod scene;
mod store;
mod table;
mod world;

use std::time::Duration;

use costs::Costs;
use redis::Redis;
use table::Scale;

/// By how much the commands that the simulation foretells may differ from those that Redis counts.
const MOST_OFF: f64 = 0.15;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let full = arguments.iter().any(|argument| argument == "--bench");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name);
    let scale = if full { Scale::FULL } else { Scale::SHORT };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let costs = runtime.block_on(async {
        let mut redis = Redis::start();
        Costs::measure(&mut redis, scale.operations, scale.idle).await
    });
    if is_wanted("costs") {
        table::costs(&costs);
    }
    if is_wanted("memory") {
        let patience = if full { Duration::from_secs(15) } else { Duration::ZERO };
        table::memory(&runtime.block_on(memory::measure(scale.records, patience)), &costs);
    }
    let mut is_well = true;
    if is_wanted("reality") {
        let real = runtime.block_on(reality::play(scale.play));
        let off = table::reality(scale.play, &real, &scene::rehearse(&costs, scale.play));
        // Of a few seconds it depends on the moment; and on a busy machine everybody looks less often than they would.
        is_well &= off <= if full { MOST_OFF } else { 1.0 };
        println!("the simulation is off by {:.0} % at the most: {}\n", off * 100.0, verdict(is_well));
    }
    for (name, print) in table::SCENES {
        if is_wanted(name) {
            // Costs that a few operations told on a busy machine, in a debug build, foretell nothing of time: then it
            // only has to run to its end.
            is_well &= print(&costs, &scale) || !full;
        }
    }
    std::process::exit(i32::from(!is_well));
}

fn verdict(is_well: bool) -> &'static str {
    if is_well { "ok" } else { "FAILED" }
}
