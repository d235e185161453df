//! Everything a request needs, built once: the same constructor for the server, the tests and the benches.
//!
//! Owns the issuer, the limiter, the metrics and what is known of the store's state. `follow` keeps it up to date.
//! Leaves opening the store and unlocking the keys to whoever starts the process.

mod beginning;
mod follow;
mod snapshots;
mod soundness;
mod state;
mod steadiness;
mod survey;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::audit::{Audit, Sink};
use crate::authenticator::{Assertions, Authenticator};
use crate::clock::Clock;
use crate::config::{AuditOutput, AuditSettings, Config};
use crate::introspection::TokenInspector;
use crate::issuer::TokenIssuer;
use crate::jwt::{Line, TokenVerifier};
use crate::keys::{KeyError, KeySet, MasterKey};
use crate::metrics::{Metrics, MetricsError};
use crate::oauth::assertion::AssertionTerms;
use crate::oauth::{Audience, IssuerUrl, Lifetimes};
use crate::revocation::TokenRevoker;
use crate::store::cache::ClientCache;
use crate::store::cached::TokenDefaults;
use crate::store::observed::ObservedStore;
use crate::store::revoked::RevokedTokens;
use crate::store::tokens::IssuedTokens;
use crate::store::{KeyRecords, Store};

pub use beginning::begin;
pub use follow::Follower;
pub use survey::Survey;

/// What was opened before the server could be built.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The master key that unlocks it.
    pub master: MasterKey,
    /// Its signing keys.
    pub records: KeyRecords,
}

/// The running service, shared by all workers.
#[derive(Debug)]
pub struct App {
    /// Who is asking, at every endpoint.
    pub authenticator: Arc<Authenticator>,
    /// The signing keys as of now.
    pub keys: Arc<ArcSwap<KeySet>>,
    /// The use case of the token endpoint.
    pub tokens: TokenIssuer,
    /// The use case of the introspection endpoint.
    pub inspector: TokenInspector,
    /// The use case of the revocation endpoint.
    pub revoker: TokenRevoker,
    /// What is revoked.
    pub revoked: Arc<RevokedTokens>,
    /// What is counted.
    pub metrics: Metrics,
    /// What is written down of it.
    pub audit: Audit,
    /// Wall-clock time.
    pub clock: Clock,
    /// What the process was told.
    pub config: Config,
    /// Who issues.
    pub issuer: IssuerUrl,
    readiness: Readiness,
    /// Set for as long as the wall clock is not trusted with plans.
    clock_jumped: AtomicBool,
}

/// Why `/readyz` says what it says; each a latch that its owner sets.
#[derive(Debug, Default)]
struct Readiness {
    draining: AtomicBool,
    store_lost: AtomicBool,
    /// Set by whatever read finds damage, cleared by a whole look over the store that finds none.
    store_damaged: Arc<AtomicBool>,
    no_key: AtomicBool,
}

impl App {
    /// Builds the service and the follower that keeps it up to date.
    ///
    /// # Errors
    /// When a signing key cannot be decrypted, or a metric is declared badly.
    pub fn new(
        config: Config,
        issuer: IssuerUrl,
        opened: Opened,
        clock: Clock,
    ) -> Result<(Arc<Self>, Follower), AppError> {
        let Opened { store, master, records } = opened;
        let keys = KeySet::open_with(&records.keys, &master, clock.now(), config.keys.signing)?;
        let audience = config.token.default_audience.clone().map_or_else(|| Audience::parse(issuer.as_str()), Ok);
        let audience = audience.map_err(|_| AppError::Audience)?;
        let lifetimes = Lifetimes { default: config.token.lifetime, longest: config.token.max_lifetime };
        let defaults = TokenDefaults { issuer: issuer.clone(), audience, lifetimes };
        let metrics = Metrics::new(config.serve.workers(), store.backend())?;
        let audit = start_audit(&config)?;
        let readiness = Readiness::default();
        let store: Arc<dyn Store> =
            Arc::new(ObservedStore::new(store, metrics.store().clone(), Arc::clone(&readiness.store_damaged)));
        let clients = ClientCache::new(Arc::clone(&store), defaults.clone(), config.store.cache_clients);
        let longest = config.limits.assertion_lifetime;
        let assertions = Assertions { terms: assertion_terms(&issuer, longest), store: Arc::clone(&store) };
        let authenticator = Arc::new(Authenticator::new(clients, master.secret_hasher(), assertions));
        let keys = Arc::new(ArcSwap::from_pointee(keys));
        let line = Line::new(std::thread::available_parallelism().map_or(1, usize::from));
        let verifier = TokenVerifier::new(Arc::clone(&keys), issuer.as_str(), config.keys.clock_skew);
        let known = IssuedTokens::new(verifier, Arc::clone(&store), master.token_hasher(), defaults);
        let (known, revoked) = (Arc::new(known), Arc::new(RevokedTokens::default()));
        let tokens = TokenIssuer::new(Arc::clone(&authenticator), Arc::clone(&keys), Arc::clone(&known), line);
        let inspector = TokenInspector::new(Arc::clone(&authenticator), Arc::clone(&known), Arc::clone(&revoked));
        let app = Arc::new(Self {
            authenticator: Arc::clone(&authenticator),
            keys,
            tokens,
            inspector,
            revoker: TokenRevoker::new(authenticator.clone(), known, revoked.clone(), store.clone()),
            revoked,
            metrics,
            audit,
            clock,
            config,
            issuer,
            readiness,
            clock_jumped: AtomicBool::default(),
        });
        let follower = Follower::new(Arc::clone(&app), store, master, records.revision);
        Ok((app, follower))
    }

    /// Whether a load balancer should send requests here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let Readiness { draining, store_lost, store_damaged, no_key } = &self.readiness;
        ![draining, store_lost, store_damaged, no_key].into_iter().any(|reason| reason.load(Ordering::Relaxed))
    }

    /// True once the process is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.readiness.draining.load(Ordering::Relaxed)
    }

    /// From now on `/readyz` says no: the process is about to stop.
    pub fn start_draining(&self) {
        self.readiness.draining.store(true, Ordering::Relaxed);
    }
}

/// The issuer is the one audience that no other server has (RFC 7523 as it is being revised).
fn assertion_terms(issuer: &IssuerUrl, longest: Duration) -> AssertionTerms {
    AssertionTerms { issuer: issuer.as_str().into(), endpoint: format!("{issuer}/oauth2/token").into(), longest }
}

fn start_audit(config: &Config) -> Result<Audit, AppError> {
    let AuditSettings { output, policy, rotation } = &config.audit;
    let sink = match output {
        AuditOutput::Off => return Ok(Audit::off()),
        AuditOutput::Stdout => Ok(Sink::stdout()),
        AuditOutput::File(path) => Sink::file(path, *rotation),
    };
    sink.and_then(|sink| Audit::start(sink, *policy, config.serve.workers())).map_err(AppError::Audit)
}

/// Why the service cannot be built.
#[derive(Debug)]
pub enum AppError {
    /// The audit log cannot be written.
    Audit(io::Error),
    /// A signing key cannot be used.
    Key(KeyError),
    /// A metric is declared badly.
    Metrics(MetricsError),
    /// The issuer cannot serve as an audience.
    Audience,
}

impl From<KeyError> for AppError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<MetricsError> for AppError {
    fn from(error: MetricsError) -> Self {
        Self::Metrics(error)
    }
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::Audit(error) => write!(f, "audit.output cannot be written: {error}"),
            Self::Metrics(error) => write!(f, "the metrics cannot be set up: {error}"),
            Self::Audience => {
                f.write_str("the issuer is too long to be a default audience: set token.default_audience")
            }
        }
    }
}

impl std::error::Error for AppError {}
