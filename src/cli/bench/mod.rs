//! `jeton bench`: what a token costs on this machine, and what that means in cores.
//!
//! Needs nothing and leaves nothing: the store is in memory, its clients are made for the occasion, and of the
//! configuration only how keys sign is looked at. The same connections and workers answer as in `jeton serve`: once in
//! one thread with those who ask, which is the service without the kernel, and once over loopback sockets, with the load
//! on a thread of its own. A cost is the processor time of the thread that serves, so that it says the same on a machine
//! that does other work as well. Leaves latency and everything of many machines to `loadtest`.

mod cpu;
mod load;
mod machine;
mod places;
mod report;
mod rounds;
mod service;
mod signing;
mod sizing;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;

use super::progress::shown;
use super::{CliError, Global};
use machine::Machine;
use report::Findings;
use rounds::Plan;
use service::Service;

/// How often each thing is measured.
const ROUNDS: u32 = 5;

#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// How long it measures, all in all, in seconds
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Clients that ask for tokens, one after the other
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// Connections that are open, each with one request under way
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
}

impl BenchArgs {
    /// The rounds of something that has so many hundredths of the time.
    fn plan(&self, hundredths: u32) -> Plan {
        let time = Duration::from_secs(self.seconds.into()) * hundredths / 100;
        Plan { rounds: ROUNDS, round: time / ROUNDS, connections: self.connections.into() }
    }
}

/// What is being done, for whoever looks on.
#[derive(Debug, Default)]
struct Stage(Mutex<String>);

impl Stage {
    fn begin(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn now(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub async fn run(global: &Global, args: BenchArgs) -> Result<(), CliError> {
    let policy = global.config()?.keys.signing;
    let stage = Arc::new(Stage::default());
    stage.begin(format!("making {} clients", args.clients));
    let service = shown(|| Some(stage.now()), Service::start(args.clients, policy)).await?;
    let (looked_at, settings) = (Arc::clone(&stage), args.clone());
    let measuring = tokio::task::spawn_blocking(move || measure(&service, &settings, &looked_at));
    let measured = shown(|| Some(stage.now()), measuring).await;
    // Not as an error of the output, which a broken connection looks like.
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(format!("the measurement failed: {error}"));
    let findings = measured.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(report::show(global.output, &findings)?)
}

fn measure(service: &Service, args: &BenchArgs, stage: &Stage) -> io::Result<Findings> {
    let signature = signing::measure(service, args.plan(14), stage)?;
    let in_process = places::in_process(service, args.plan(26), stage)?;
    let loopback = places::over_loopback(service, args.plan(60), stage)?;
    Ok(Findings::new(Machine::look(signature.path), args, (signature, in_process, loopback)))
}
