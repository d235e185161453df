//! What the process was told: one TOML file, the environment over it, flags over that.
//!
//! `raw` is the configuration as written, `settings` the table of every setting with its default; [`Config`] is
//! what the rest of the program needs: checked and typed. Invariants: an unknown key or a value out of bounds is
//! an error that names the key, its origin and what is allowed; secrets come from files, never from flags, and
//! nothing here prints one.

pub mod duration;
pub mod master_key;
mod raw;
mod settings;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::audit::{Policy, Rotation, TokenSample, WhenFull};
use crate::keys::{Acceleration, Lead, SigningPolicy, VerifyAfterSign};
use crate::limiter::Allowance;
use crate::oauth::{Audience, IssuerUrl};
use crate::store::{RedisOptions, StoreUrl};

pub use raw::{Origin, RawConfig};
pub use settings::SETTINGS;

/// How long a new key takes to stand in every server's JWKS: one second as promised, one that whole seconds lose.
const KEY_SPREAD: Duration = Duration::from_secs(2);

/// Of so many calls for signatures one is verified when they are sampled: enough to notice within a second of load.
const VERIFIED_ONE_IN: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The `iss` identifier; derived from the listener when it is a loopback address.
    pub issuer: Option<IssuerUrl>,
    /// The public listener.
    pub listen: SocketAddr,
    /// The listener of probes and metrics.
    pub ops_listen: SocketAddr,
    /// Where the master key is, when not beside the database.
    pub master_key_file: Option<PathBuf>,
    /// The server.
    pub serve: Serve,
    /// Tokens.
    pub token: Token,
    /// Signing keys.
    pub keys: Keys,
    /// The store.
    pub store: StoreSettings,
    /// Failed authentications.
    pub limits: Limits,
    /// Logs.
    pub log: Log,
    /// The audit log.
    pub audit: AuditSettings,
}

/// `[serve]`.
#[derive(Clone, Debug)]
pub struct Serve {
    workers: usize,
    /// Open connections, over all workers.
    pub max_connections: usize,
    /// Requests that are begun at the same time, over all workers.
    pub max_in_flight: usize,
    /// Deadline of a head.
    pub head_deadline: Duration,
    /// Deadline of a body.
    pub body_deadline: Duration,
    /// Deadline for a client to take its reply.
    pub write_deadline: Duration,
    /// Longest silence of a connection.
    pub idle_deadline: Duration,
    /// Largest body in bytes.
    pub max_body: usize,
    /// How long new connections are still taken after SIGTERM, while readyz says no already.
    pub drain_delay: Duration,
    /// How long connections may go on after that.
    pub drain: Duration,
}

impl Serve {
    /// Worker threads; every core when not set.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        }
    }
}

/// `[token]`.
#[derive(Clone, Debug)]
pub struct Token {
    /// Lifetime for clients without one of their own.
    pub lifetime: Duration,
    /// Longest lifetime of any token.
    pub max_lifetime: Duration,
    /// `aud` for clients without one of their own; the issuer when not set.
    pub default_audience: Option<Audience>,
}

/// `[keys]`.
#[derive(Clone, Debug)]
pub struct Keys {
    /// How long verifiers may keep the JWKS.
    pub jwks_max_age: Duration,
    /// How old a signing key gets; zero for as old as it is left.
    pub rotate_every: Duration,
    /// How far the clocks of servers and verifiers may differ.
    pub clock_skew: Duration,
    /// How they sign.
    pub signing: SigningPolicy,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Which store.
    pub url: StoreUrl,
    /// Clients kept in memory.
    pub cache_clients: usize,
    /// How many clients are brought into memory at the start, those that were used last; 0 for none.
    pub preload_clients: usize,
    /// How long known clients are served while the store is gone.
    pub outage_grace: Duration,
    /// Where the server writes down what it knows, to be started again while the store is gone.
    pub snapshot_file: Option<PathBuf>,
    /// How Redis is used.
    pub redis: RedisOptions,
}

/// `[limits]`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Failed authentications of one client from one source address.
    pub per_client: Allowance,
    /// Failed authentications from one source address.
    pub per_source: Allowance,
    /// How long the assertions of clients may live.
    pub assertion_lifetime: Duration,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct Log {
    /// A level, or a filter such as `info,jeton::http=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// `[audit]`.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Where its lines go.
    pub output: AuditOutput,
    /// What is written, and what happens when it cannot be.
    pub policy: Policy,
    /// When a file is put aside.
    pub rotation: Rotation,
}

/// Where the lines of the audit log go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditOutput {
    /// Nowhere.
    Off,
    /// To standard output; commands, whose output is for people, write nothing.
    Stdout,
    /// To a file.
    File(PathBuf),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// For eyes.
    Pretty,
}

impl Config {
    /// Checks what was written.
    ///
    /// # Errors
    /// The first setting that is out of bounds, with its origin and what is allowed.
    pub fn from_raw(raw: &RawConfig) -> Result<Self, ConfigError> {
        let token = Token {
            lifetime: raw.read("token.lifetime", duration::parse)?,
            max_lifetime: raw.read("token.max_lifetime", duration::parse)?,
            default_audience: raw.read_optional("token.default_audience", Audience::parse)?,
        };
        if token.lifetime > token.max_lifetime || token.lifetime.as_secs() == 0 {
            return Err(raw.wrong("token.lifetime", "at least 1s and not above token.max_lifetime"));
        }
        if token.max_lifetime > Duration::from_hours(24 * 365) {
            return Err(raw.wrong("token.max_lifetime", "at most 365d"));
        }
        Ok(Self {
            issuer: raw.read_optional("issuer", IssuerUrl::parse)?,
            listen: raw.read("listen", address)?,
            ops_listen: raw.read("ops_listen", address)?,
            master_key_file: raw.text("master_key_file").map(PathBuf::from),
            serve: Self::serve(raw)?,
            keys: Self::keys(raw)?,
            store: StoreSettings {
                url: raw.read("store.url", StoreUrl::parse)?,
                preload_clients: raw.read("store.preload_clients", |text| number(text, 0, 100_000))?,
                cache_clients: raw.read("store.cache_clients", |text| number(text, 1, 100_000_000))?,
                outage_grace: raw.read("store.outage_grace", duration::parse)?,
                snapshot_file: raw.text("store.snapshot_file").map(PathBuf::from),
                redis: RedisOptions {
                    deadline: raw.read("store.redis_deadline", deadline)?,
                    ca_file: raw.text("store.redis_ca_file").map(PathBuf::from),
                    password_file: raw.text("store.redis_password_file").map(PathBuf::from),
                    sentinel_password_file: raw.text("store.redis_sentinel_password_file").map(PathBuf::from),
                    wait_replicas: raw.read("store.redis_wait_replicas", |text| number(text, 0, 16))?,
                    may_evict: false,
                },
            },
            limits: Limits {
                per_client: Self::allowance(raw, "limits.client_failures", "limits.client_failures_per_second")?,
                per_source: Self::allowance(raw, "limits.source_failures", "limits.source_failures_per_second")?,
                assertion_lifetime: raw.read("limits.assertion_lifetime", assertion_lifetime)?,
            },
            log: Log { level: raw.read("log.level", not_empty)?, format: raw.read("log.format", log_format)? },
            audit: Self::audit(raw)?,
            token,
        })
    }

    fn keys(raw: &RawConfig) -> Result<Keys, ConfigError> {
        Ok(Keys {
            jwks_max_age: raw.read("keys.jwks_max_age", duration::parse)?,
            rotate_every: raw.read("keys.rotate_every", duration::parse)?,
            clock_skew: raw.read("keys.clock_skew", duration::parse)?,
            signing: SigningPolicy {
                acceleration: raw.read("keys.vector_signing", acceleration)?,
                verify: raw.read("keys.verify_after_sign", verify_after_sign)?,
            },
        })
    }

    fn audit(raw: &RawConfig) -> Result<AuditSettings, ConfigError> {
        Ok(AuditSettings {
            output: match raw.text("audit.output").unwrap_or_default() {
                "" => AuditOutput::Off,
                "stdout" => AuditOutput::Stdout,
                path => AuditOutput::File(PathBuf::from(path)),
            },
            policy: Policy {
                when_full: raw.read("audit.when_full", when_full)?,
                tokens: raw.read("audit.tokens", token_sample)?,
            },
            rotation: Rotation {
                bytes: raw.read("audit.file_size", |text| number(text, 4096, u64::MAX))?,
                files: raw.read("audit.files", |text| number(text, 0, 1000))?,
            },
        })
    }

    fn serve(raw: &RawConfig) -> Result<Serve, ConfigError> {
        Ok(Serve {
            workers: raw.read("serve.workers", |text| number(text, 0, 1024))?,
            max_connections: raw.read("serve.max_connections", |text| number(text, 1, 10_000_000))?,
            max_in_flight: raw.read("serve.max_in_flight", |text| number(text, 1, 10_000_000))?,
            head_deadline: raw.read("serve.head_deadline", duration::parse)?,
            body_deadline: raw.read("serve.body_deadline", duration::parse)?,
            write_deadline: raw.read("serve.write_deadline", duration::parse)?,
            idle_deadline: raw.read("serve.idle_deadline", duration::parse)?,
            max_body: raw.read("serve.max_body", |text| number(text, 1024, 16 * 1024 * 1024))?,
            drain_delay: raw.read("serve.drain_delay", duration::parse)?,
            drain: raw.read("serve.drain", duration::parse)?,
        })
    }

    fn allowance(raw: &RawConfig, burst: &'static str, rate: &'static str) -> Result<Allowance, ConfigError> {
        Ok(Allowance {
            burst: raw.read(burst, |text| number(text, 0, 1_000_000))?,
            per_second: raw.read(rate, |text| number(text, 1, 1000))?,
        })
    }

    /// The distances between a signing key's instants. A verifier may have fetched the keys from the last server to
    /// learn of a new one, so the spread comes on top of what it may keep them for; and one that lost the store goes on
    /// with what it knows for the grace.
    #[must_use]
    pub fn lead(&self) -> Lead {
        let unaware = KEY_SPREAD + self.keys.clock_skew + self.store.outage_grace;
        Lead { before_use: unaware + self.keys.jwks_max_age, after_use: unaware + self.token.max_lifetime }
    }
}

/// Why the process cannot start as told: one sentence with the key, its origin and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// An error with its sentence.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

fn assertion_lifetime(text: &str) -> Result<Duration, &'static str> {
    const BOUNDS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
    duration::parse(text).ok().filter(|lifetime| BOUNDS.contains(lifetime)).ok_or("1s to 1h")
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an address and a port, such as 127.0.0.1:8080 or [::]:8080")
}

fn number<T: TryFrom<u64>>(text: &str, least: u64, most: u64) -> Result<T, String> {
    let allowed = || format!("a whole number from {least} to {most}");
    let number: u64 = text.parse().map_err(|_| allowed())?;
    if (least..=most).contains(&number) { T::try_from(number).map_err(|_| allowed()) } else { Err(allowed()) }
}

fn deadline(text: &str) -> Result<Duration, &'static str> {
    const ALLOWED: &str = "from 10ms to 10s";
    let deadline = duration::parse(text)?;
    if (Duration::from_millis(10)..=Duration::from_secs(10)).contains(&deadline) { Ok(deadline) } else { Err(ALLOWED) }
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("a level (error, warn, info, debug, trace) or a filter") } else { Ok(text.to_owned()) }
}

fn log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "json" => Ok(LogFormat::Json),
        "pretty" => Ok(LogFormat::Pretty),
        _ => Err("auto, json or pretty"),
    }
}

fn acceleration(text: &str) -> Result<Acceleration, &'static str> {
    match text {
        "auto" => Ok(Acceleration::Detect),
        "off" => Ok(Acceleration::Off),
        _ => Err("auto or off"),
    }
}

fn verify_after_sign(text: &str) -> Result<VerifyAfterSign, &'static str> {
    match text {
        "off" => Ok(VerifyAfterSign::Off),
        "sampled" => Ok(VerifyAfterSign::Sampled(VERIFIED_ONE_IN)),
        "all" => Ok(VerifyAfterSign::All),
        _ => Err("off, sampled or all"),
    }
}

fn when_full(text: &str) -> Result<WhenFull, &'static str> {
    match text {
        "drop" => Ok(WhenFull::Drop),
        "block" => Ok(WhenFull::Block),
        _ => Err("drop or block"),
    }
}

fn token_sample(text: &str) -> Result<TokenSample, &'static str> {
    match text {
        "all" => Ok(TokenSample::OneIn(1)),
        "none" => Ok(TokenSample::None),
        _ => {
            let share = text.strip_prefix("1/").and_then(|share| share.parse().ok()).filter(|share| *share > 0);
            share.map(TokenSample::OneIn).ok_or("all, none, or a share such as 1/100")
        }
    }
}
