//! `jeton serve`: start-up as a straight list, then signals.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::opening::{self, Opening, Source};
use super::{CliError, Global, log};
use crate::app::{App, Follower};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::http::{self, Bound, Drained, Server};
use crate::oauth::IssuerUrl;
use crate::store::Store;

/// Open files besides the connections: the store, listeners, logs.
const SPARE_FILES: usize = 64;
/// How often it is checked that all threads still run.
const WATCH_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The URL that clients and resource servers know
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Where clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where probes and Prometheus connect
    #[arg(long, value_name = "ADDR")]
    ops_listen: Option<String>,
}

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    /// The service.
    pub app: Arc<App>,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where probes connect.
    pub ops_address: SocketAddr,
    store: Arc<dyn Store>,
    public: Server,
    ops: Server,
    follower: tokio::task::JoinHandle<()>,
}

pub async fn run(global: &Global, args: ServeArgs) -> Result<(), CliError> {
    let mut raw = global.raw_config()?;
    raw.set_flag("issuer", args.issuer, "--issuer")?;
    raw.set_flag("listen", args.listen, "--listen")?;
    raw.set_flag("ops_listen", args.ops_listen, "--ops-listen")?;
    let config = Config::from_raw(&raw)?;
    log::start(&config.log)?;
    warn_of_few_files(&config);
    // Before the first request, so that a signal is never missed.
    let signals = Signals::new()?;
    let running = start(config).await?;
    let (listen, ops_listen) = (running.address.to_string(), running.ops_address.to_string());
    tracing::info!(listen, ops_listen, issuer = running.app.issuer.as_str(), "ready");
    running.until_stopped(signals).await
}

/// Connections beyond the limit of open files hang unanswered instead of being told so.
fn warn_of_few_files(config: &Config) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    let needed = config.serve.max_connections + SPARE_FILES;
    if let Some(soft) = soft.filter(|soft| *soft < needed) {
        tracing::warn!(
            soft,
            needed,
            "the limit of open files is below serve.max_connections: raise it (ulimit -n, LimitNOFILE) or lower the setting"
        );
    }
}

/// Opens the store, unlocks the keys, binds, and serves.
pub async fn start(config: Config) -> Result<Running, CliError> {
    let Opening { opened, knowledge } = opening::open(&config).await?;
    let store = Arc::clone(&opened.store);
    let public = bind("listen", config.listen, config.serve.workers())?;
    let ops = bind("ops_listen", config.ops_listen, 1)?;
    let (address, ops_address) = (public.address(), ops.address());
    let issuer = issuer(&config, address)?;
    let (app, mut follower) = App::new(config, issuer, opened, Clock::System)?;
    match knowledge {
        Source::Store(survey) => follower.take_over(survey),
        Source::Snapshot(snapshot, age) => follower.recall(*snapshot, age),
        Source::Nowhere => follower.begin_unaware(),
    }
    // Ready means that the store was seen: whoever asks readyz first is told the truth.
    follower.step().await;
    follower.wait_for_preload().await;
    Ok(Running {
        public: http::serve(&app, public)?,
        ops: http::serve_ops(&app, ops)?,
        follower: tokio::spawn(Follower::run(follower)),
        store,
        app,
        address,
        ops_address,
    })
}

fn bind(key: &str, address: SocketAddr, workers: usize) -> Result<Bound, ConfigError> {
    Bound::bind(address, workers)
        .map_err(|error| ConfigError::new(format!("{key} = \"{address}\" cannot be bound: {error}")))
}

/// The configured issuer, or the loopback address where we listen.
pub fn issuer(config: &Config, address: SocketAddr) -> Result<IssuerUrl, ConfigError> {
    let none = || ConfigError::new("issuer is not set: it is needed when listen is not a loopback address");
    match &config.issuer {
        Some(issuer) => Ok(issuer.clone()),
        None if address.ip().is_loopback() => IssuerUrl::parse(&format!("http://{address}")).map_err(|_| none()),
        None => Err(none()),
    }
}

/// SIGTERM and SIGINT, each meaning the same.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn new() -> Result<Self, CliError> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Running {
    /// Serves until a signal: the first drains, a second ends at once.
    pub async fn until_stopped(self, mut signals: Signals) -> Result<(), CliError> {
        tokio::select! {
            () = signals.next() => tracing::info!("stopping: no longer ready, requests under way are answered"),
            () = self.part_lost() => {
                tracing::error!("a part of the server has ended unexpectedly, stopping");
                self.drain().await;
                return Err(CliError::Failed("a part of the server has ended unexpectedly".to_owned()));
            }
        }
        tokio::select! {
            drained = self.drain() => match drained {
                Drained::Whole => {
                    tracing::info!("stopped");
                    Ok(())
                }
                Drained::Cut(connections) => {
                    Err(CliError::Failed(format!("{connections} connections were cut at the end of serve.drain")))
                }
            },
            () = signals.next() => {
                self.app.audit.end();
                Err(CliError::Failed("stopped at once by a second signal".to_owned()))
            }
        }
    }

    /// First not ready, then no longer accepting, then done with what was accepted.
    pub async fn drain(&self) -> Drained {
        self.app.start_draining();
        tokio::time::sleep(self.app.config.serve.drain_delay).await;
        let drained = self.public.drain(self.app.config.serve.drain).await;
        self.ops.drain(Duration::ZERO).await;
        self.follower.abort();
        self.app.write_last_uses(&*self.store).await;
        self.app.audit.end();
        drained
    }

    /// A server without one of its threads is up but not serving: better to end and be started again.
    async fn part_lost(&self) {
        let runs = || {
            let listens = !self.public.has_lost_a_worker() && !self.ops.has_lost_a_worker();
            listens && !self.follower.is_finished() && !self.app.audit.is_lost()
        };
        while runs() {
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    async fn running() -> Running {
        let mut raw = RawConfig::default();
        raw.read_toml("listen = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[serve]\nworkers = 1", "test").unwrap();
        raw.set_flag("store.url", Some("memory:".to_owned()), "--store").unwrap();
        start(Config::from_raw(&raw).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn p12_a_follower_that_panics_ends_the_process() {
        let mut running = running().await;
        running.follower = tokio::spawn(async { panic!("a bug") });
        let ended = tokio::time::timeout(Duration::from_secs(10), running.until_stopped(Signals::new().unwrap())).await;
        let error = ended.expect("it is noticed").unwrap_err();
        assert!(error.to_string().contains("ended unexpectedly"), "{error}");
    }

    #[tokio::test]
    async fn p12_an_audit_log_that_nobody_writes_ends_the_process() {
        let running = running().await;
        running.app.audit.lose_thread();
        let ended = tokio::time::timeout(Duration::from_secs(10), running.until_stopped(Signals::new().unwrap())).await;
        assert!(ended.expect("it is noticed").is_err());
    }

    #[tokio::test]
    async fn p12_a_worker_that_is_gone_ends_the_process() {
        let running = running().await;
        running.ops.drain(Duration::ZERO).await;
        let ended = tokio::time::timeout(Duration::from_secs(10), running.until_stopped(Signals::new().unwrap())).await;
        assert!(ended.expect("it is noticed").is_err());
    }
}
