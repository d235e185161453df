//! The arguments, and what a run is told by them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::drive::Plan;
use crate::schedule::{Schedule, Spacing};
use crate::slo::Slo;
use crate::target::{self, Credentials, Kind};
use crate::units::parse_duration;

/// Drives a token endpoint in an open loop: requests leave when they are due, whatever becomes of those before.
#[derive(Parser)]
#[command(name = "loadgen", version, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Drive at a rate, or along a ramp
    Run(RunArgs),
    /// Search the highest rate that keeps the SLO
    FindLimit(FindLimitArgs),
    /// Show two results side by side; fails when the second is worse
    Compare(CompareArgs),
    /// Make a page of a result
    Report(ReportArgs),
}

#[derive(Args)]
pub struct Common {
    /// The server, and the path of the endpoint where it is not /oauth2/token
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// What is asked
    #[arg(long, value_enum, default_value_t = Kind::Basic)]
    pub request: Kind,
    /// A file with an id and a secret per line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeded", "client"])]
    pub clients: Option<PathBuf>,
    /// The clients that the example 'seed' makes, this many; their secret comes from JETON_CLIENT_SECRET
    #[arg(long, value_name = "COUNT", conflicts_with = "client")]
    pub seeded: Option<u64>,
    /// One client; its secret comes from JETON_CLIENT_SECRET
    #[arg(long, value_name = "ID")]
    pub client: Option<String>,
    /// Ask for the clients one after the other instead of at random, so that none comes twice before all came once
    #[arg(long)]
    pub in_turn: bool,
    /// How long one run is, without its warm-up
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    /// How long each goes on before it is measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub warm_up: Duration,
    /// How requests follow each other
    #[arg(long, value_enum, default_value_t = Spacing::Even)]
    pub spacing: Spacing,
    /// Kept-alive connections; a request that finds none free waits, and that is counted
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// Threads that send; each wants a core
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// How long a request waits for a free connection, and once it is sent for its answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// How many tokens to check by the published keys; all are compared with each other, unless this is 0
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub verify: u64,
    /// The path of the key document
    #[arg(long, value_name = "PATH", default_value = "/.well-known/jwks.json")]
    pub jwks: String,
    /// A process on this machine whose processor time is looked at
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Write the result here, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page of it here
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What it is about
    #[arg(long, default_value = "Open loop")]
    pub title: String,
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub common: Common,
    /// Requests per second, or FROM..TO for a ramp
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: (f64, f64),
    /// What must be kept, such as p99=5ms,errors=0
    #[arg(long, value_name = "BOUNDS")]
    pub slo: Option<Slo>,
    /// What the run is called; results are compared by it
    #[arg(long, default_value = "run")]
    pub name: String,
}

#[derive(Args)]
pub struct FindLimitArgs {
    #[command(flatten)]
    pub common: Common,
    /// What must be kept
    #[arg(long, value_name = "BOUNDS", default_value = "p99=10ms,errors=0")]
    pub slo: Slo,
    /// Where to begin
    #[arg(long, value_name = "RATE", default_value_t = 1000.0)]
    pub from: f64,
    /// Where to end
    #[arg(long, value_name = "RATE", default_value_t = 1_000_000.0)]
    pub most: f64,
    /// How close to come, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub precision: f64,
}

#[derive(Args)]
pub struct CompareArgs {
    /// The result before
    pub before: PathBuf,
    /// The result after
    pub after: PathBuf,
    /// How much worse a figure may be, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub tolerance: f64,
}

#[derive(Args)]
pub struct ReportArgs {
    /// The result
    pub result: PathBuf,
    /// Where the page goes
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// A rate, or two with dots between them.
fn parse_rate(text: &str) -> Result<(f64, f64), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let rate = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|rate| rate.is_finite() && *rate >= 0.0)
            .ok_or_else(|| format!("{text:?} is no number of requests per second"))
    };
    let rates = (rate(from)?, rate(to)?);
    if rates.0 + rates.1 > 0.0 { Ok(rates) } else { Err("no request at all".to_owned()) }
}

impl Common {
    /// The plan of one run.
    ///
    /// # Errors
    /// A sentence.
    pub fn plan(&self, name: &str, rate: (f64, f64), slo: Option<Slo>) -> Result<Plan, String> {
        let (host, path) = target::parse_url(&self.url)?;
        let path = if path.is_empty() { "/oauth2/token".to_owned() } else { path };
        Ok(Plan {
            name: name.to_owned(),
            host,
            path,
            jwks_path: self.jwks.clone(),
            kind: self.request,
            clients: self.clients()?,
            in_turn: self.in_turn,
            schedule: Schedule { from: rate.0, to: rate.1, duration: self.duration, spacing: self.spacing },
            warm_up: self.warm_up,
            connections: self.connections as usize,
            threads: self.threads as usize,
            timeout: self.timeout,
            verify: self.verify,
            server_pid: self.server_pid,
            slo,
        })
    }

    fn clients(&self) -> Result<Vec<Credentials>, String> {
        if let Some(file) = &self.clients {
            return target::read_clients(file);
        }
        let secret = || std::env::var("JETON_CLIENT_SECRET").map_err(|_| "JETON_CLIENT_SECRET is not set".to_owned());
        match (&self.client, self.seeded) {
            (Some(id), _) => Ok(vec![Credentials { id: id.clone(), secret: secret()? }]),
            (None, Some(count)) => Ok(target::seeded(count, &secret()?)),
            (None, None) if self.request == Kind::Get => Ok(Vec::new()),
            (None, None) => Err("who asks? name --client, --seeded or --clients".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn rates_are_one_number_or_two() {
        assert_eq!(parse_rate("250"), Ok((250.0, 250.0)));
        assert_eq!(parse_rate("0..1e4"), Ok((0.0, 10_000.0)));
        for text in ["", "x", "-1", "1..", "0", "0..0", "nan", "inf"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
