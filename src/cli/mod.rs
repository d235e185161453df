//! Arguments to commands to exit codes: one file per noun.
//!
//! Exit codes: 0 done, 1 failed, 2 usage (clap's), 78 bad configuration. What a command prints goes to standard
//! output, as a table on a terminal, as plain lines in a pipe and as JSON with `-o json`; everything else goes to
//! standard error.

mod bench;
mod client;
mod client_key;
mod completions;
mod config;
mod copy;
mod discovery;
mod key;
mod log;
mod memory;
mod opening;
mod output;
mod progress;
mod quickstart;
mod roster;
mod secret;
mod serve;
mod store;
mod token;

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::admin::{self, Admin, AdminError};
use crate::app::AppError;
use crate::audit::{Journal, Sink};
use crate::clock::Clock;
use crate::config::{AuditOutput, Config, ConfigError, RawConfig, master_key};
use crate::http::client::ClientError;
use crate::keys::MasterKey;
use crate::store::{OpenMode, Store, StoreError};

use output::Output;

/// Where help lists the flags of every command, so that a command's own stand together.
const EVERYWHERE: &str = "Flags of every command";

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage, 78 bad configuration";

/// A token service for machines: OAuth 2.0 client credentials at the speed of the socket.
#[derive(Debug, Parser)]
#[command(name = "jeton", version, propagate_version = true, max_term_width = 120, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
struct Global {
    /// The configuration file (TOML)
    #[arg(long, global = true, env = "JETON_CONFIG", value_name = "FILE", help_heading = EVERYWHERE)]
    config: Option<PathBuf>,
    /// The store to work on, such as sqlite:jeton.db
    #[arg(long, global = true, value_name = "URL", help_heading = EVERYWHERE)]
    store: Option<String>,
    /// How to print: a table, plain lines or JSON
    #[arg(short = 'o', long, global = true, value_name = "FORM", value_enum, default_value_t, help_heading = EVERYWHERE)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole flow on this machine: server, client and resource server
    Quickstart(quickstart::QuickstartArgs),
    /// Run the server
    Serve(serve::ServeArgs),
    /// Register, change and remove clients and their secrets
    Client(client::ClientArgs),
    /// Show and rotate the signing keys
    Key(key::KeyArgs),
    /// Get a token, or look into one
    Token(token::TokenArgs),
    /// Check the store, or copy it
    Store(store::StoreArgs),
    /// Check the configuration, or show what is in force
    Config(config::ConfigArgs),
    /// Measure what a token costs on this machine, and say how many cores so many tokens need; needs no setup
    Bench(bench::BenchArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
}

/// Why a command failed; decides the exit code.
#[derive(Debug)]
enum CliError {
    /// 2: the arguments say nothing that can be done; one sentence.
    Usage(&'static str),
    /// 78: the operator has to change the configuration.
    Config(ConfigError),
    /// 1: anything else; one sentence.
    Failed(String),
    /// 1 without a word: whoever reads our output is gone.
    OutputClosed,
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence) => f.write_str(sentence),
            Self::Config(error) => error.fmt(f),
            Self::Failed(sentence) => f.write_str(sentence),
            Self::OutputClosed => f.write_str("the output was closed"),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// A store that cannot be used as it is stands in the configuration.
impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unusable(_) => Self::Config(ConfigError::new(error.to_string())),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<AdminError> for CliError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => error.into(),
            AdminError::WrongMasterKey => Self::Config(ConfigError::new(error.to_string())),
            AdminError::Moving(ref objection) if objection.is_final() => {
                Self::Config(ConfigError::new(error.to_string()))
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<AppError> for CliError {
    fn from(error: AppError) -> Self {
        Self::Config(ConfigError::new(error.to_string()))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Failed(error.to_string())
        }
    }
}

/// Runs the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    // Whatever would ask for them later would have to panic.
    if let Err(error) = SysRng.try_fill_bytes(&mut [0; 1]) {
        return fail(&CliError::Failed(format!("the system gives no random numbers: {error}")));
    }
    let cli = Cli::parse();
    if let Err(error) = memory::protect() {
        return fail(&CliError::Failed(format!("the memory of this process cannot be protected: {error}")));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CliError::Failed(format!("the runtime cannot be started: {error}"))),
    };
    let outcome = runtime.block_on(execute(cli));
    log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn execute(cli: Cli) -> Result<(), CliError> {
    let Cli { global, command } = cli;
    match command {
        Command::Quickstart(args) => quickstart::run(args).await,
        Command::Serve(args) => serve::run(&global, args).await,
        Command::Client(args) => client::run(&global, args).await,
        Command::Key(args) => key::run(&global, args).await,
        Command::Token(args) => token::run(&global, args).await,
        Command::Store(args) => store::run(&global, args).await,
        Command::Config(args) => config::run(&global, &args),
        Command::Bench(args) => bench::run(&global, args).await,
        Command::Completions(args) => completions::run(&args),
    }
}

fn fail(error: &CliError) -> ExitCode {
    let code = match error {
        CliError::Usage(_) => 2,
        CliError::Config(_) => 78,
        CliError::Failed(_) => 1,
        CliError::OutputClosed => return ExitCode::from(1),
    };
    // Whoever holds the other end of standard error may have stopped reading: the process ends all the same.
    let line = format!("jeton: {error}");
    let (written, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        output::note(&line);
        written.send(()).unwrap_or_default();
    });
    done.recv_timeout(log::FLUSH_DEADLINE).unwrap_or_default();
    ExitCode::from(code)
}

impl Global {
    /// Everything that was set: file, environment, flags.
    fn raw_config(&self) -> Result<RawConfig, ConfigError> {
        let mut raw = RawConfig::default();
        if let Some(path) = &self.config {
            raw.read_file(path)?;
        }
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        raw.read_environment(std::env::vars_os().map(|(name, value)| (text(name), text(value))))?;
        raw.set_flag("store.url", self.store.clone(), "--store")?;
        Ok(raw)
    }

    fn config(&self) -> Result<Config, ConfigError> {
        Config::from_raw(&self.raw_config()?)
    }

    /// The store that the command works on.
    fn open_store(&self) -> Result<Arc<dyn Store>, CliError> {
        open(&self.config()?, OpenMode::MustExist)
    }

    /// The store, its master key and the time, for a command that changes something.
    async fn admin(&self, mode: OpenMode) -> Result<(Admin, Config), CliError> {
        let config = self.config()?;
        let store = open_or_make(&config, mode)?;
        let master = load_master_key(&config, &*store).await?;
        let now = Clock::System.now();
        let is_new = admin::unlock_or_make(&*store, &master, now).await?.is_new;
        if let Some(made_at) = admin::settle_backup(&store, &master, config.lead(), now).await? {
            output::note(&admin::told_of_backup(&made_at));
        }
        let admin = Admin::new(store, master, now);
        let admin = if is_new { admin.on_new_store() } else { admin };
        Ok((if let Some(journal) = journal(&config)? { admin.with_journal(journal) } else { admin }, config))
    }
}

/// The audit log, where it is a file: it is opened before anything is done, so that what is done can be written down.
fn journal(config: &Config) -> Result<Option<Journal>, ConfigError> {
    let AuditOutput::File(path) = &config.audit.output else { return Ok(None) };
    let wrong = |error: std::io::Error| ConfigError::new(format!("audit.output cannot be written: {error}"));
    let sink = Sink::file(path, config.audit.rotation).map_err(wrong)?;
    let user = std::fs::metadata("/proc/self").map_err(wrong)?.uid();
    Ok(Some(Journal::new(sink, &format!("cli:{user}"))))
}

/// Opens the store, or makes it when `mode` says so and there never was one.
fn open_or_make(config: &Config, mode: OpenMode) -> Result<Arc<dyn Store>, CliError> {
    master_key::check_not_orphaned(config)?;
    open(config, mode)
}

fn open(config: &Config, mode: OpenMode) -> Result<Arc<dyn Store>, CliError> {
    Ok(config.store.url.open_with(mode, &master_key::store_options(config)?)?)
}

/// The store's master key: made with a new store, required with one that has keys.
async fn load_master_key(config: &Config, store: &dyn Store) -> Result<MasterKey, CliError> {
    master_key::check_given(config)?;
    let Some(path) = master_key::path(config) else { return Ok(MasterKey::from_random(rand::random())) };
    let is_made = master_key::may_be_made(config) && store.find_keys().await?.is_none();
    Ok(if is_made { master_key::read_or_make(&path, rand::random())? } else { master_key::read(&path)? })
}
