//! How a server comes by its store at the start: opened and unlocked, or awaited.
//!
//! A store that refuses us (another program's file, a newer schema, a foreign master key) ends the start. One that does
//! not answer does not: with a good snapshot the server goes on with what it knew, for what remains of the outage
//! grace; without one it starts, is not ready, and gets ready once the store answers.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{CliError, load_master_key};
use crate::admin::AdminError;
use crate::app::{self, Opened, Survey};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, master_key};
use crate::keys::MasterKey;
use crate::store::late::LateStore;
use crate::store::snapshot::{self, Snapshot};
use crate::store::{KeyRecords, OpenMode, Store, StoreError, StoreUrl};

/// What a server begins with.
pub struct Opening {
    /// The store, open or not, and its keys as far as they are known.
    pub opened: Opened,
    /// Where its knowledge is from.
    pub knowledge: Source,
}

/// Where the knowledge of a server that begins is from.
pub enum Source {
    /// The store, which is being looked over.
    Store(Survey),
    /// A snapshot of this age.
    Snapshot(Box<Snapshot>, Duration),
    /// Nowhere: it knows nothing until the store answers.
    Nowhere,
}

/// Why the store does not open.
enum Failure {
    /// It may do so later; there is one already if it opens by itself.
    Outage(StoreError, Option<Arc<dyn Store>>),
    /// Never like this.
    Refusal(CliError),
}

impl Failure {
    fn of(error: StoreError, store: Option<Arc<dyn Store>>) -> Self {
        match error {
            StoreError::Conflict | StoreError::Corrupt(_) | StoreError::Unusable(_) => Self::Refusal(error.into()),
            _ => Self::Outage(error, store),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Refusal(error.into())
    }
}

/// Opens the store and unlocks its keys, or finds out how to begin without it.
///
/// # Errors
/// When the store refuses us, or does not answer and nothing allows to go on without.
pub async fn open(config: &Config) -> Result<Opening, CliError> {
    let (error, store) = match from_store(config).await {
        Ok(opening) => return Ok(opening),
        Err(Failure::Refusal(error)) => return Err(error),
        Err(Failure::Outage(error, store)) => (error, store),
    };
    let is_passing =
        matches!(error, StoreError::Unreachable(_) | StoreError::Deadline | StoreError::Busy | StoreError::Overloaded);
    let recalled = recall(config)?;
    if recalled.is_none() && !(is_passing && store.is_some()) {
        return Err(error.into());
    }
    tracing::error!(kind = error.kind(), %error, "the store does not answer: started without it");
    let store = match store {
        Some(store) => store,
        None => late(config, error)?,
    };
    if let Some((snapshot, master, age)) = recalled {
        let opened = Opened { store, master, records: snapshot.keys.clone() };
        return Ok(Opening { opened, knowledge: Source::Snapshot(Box::new(snapshot), age) });
    }
    let master = read_master_key(config)?;
    let records = KeyRecords { check: master.check(), keys: Vec::new(), revision: 0 };
    Ok(Opening { opened: Opened { store, master, records }, knowledge: Source::Nowhere })
}

async fn from_store(config: &Config) -> Result<Opening, Failure> {
    check_not_lost(config)?;
    master_key::check_not_orphaned(config)?;
    let options = master_key::store_options(config)?;
    let store = config.store.url.open_with(OpenMode::CreateIfMissing, &options);
    let store = store.map_err(|error| Failure::of(error, None))?;
    let failure = |error| Failure::of(error, Some(Arc::clone(&store)));
    let survey = Survey::begin(Arc::clone(&store)).await.map_err(failure)?;
    store.find_keys().await.map_err(failure)?;
    let master = load_master_key(config, &*store).await.map_err(Failure::Refusal)?;
    match app::begin(&store, &master, config.lead(), Clock::System.now()).await {
        Ok(records) => Ok(Opening { opened: Opened { store, master, records }, knowledge: Source::Store(survey) }),
        Err(AdminError::Store(error)) => Err(failure(error)),
        Err(error) => Err(Failure::Refusal(error.into())),
    }
}

/// A database that is missing while there is a snapshot of what it held was lost: a new one would hide that.
fn check_not_lost(config: &Config) -> Result<(), Failure> {
    let (StoreUrl::Sqlite(database), Some(snapshot)) = (&config.store.url, &config.store.snapshot_file) else {
        return Ok(());
    };
    let is_missing = fs::metadata(database).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if !is_missing || fs::symlink_metadata(snapshot).is_err() {
        return Ok(());
    }
    let error = format!(
        "{} is missing, but {} shows that it was there: restore it, or remove both to begin anew",
        database.display(),
        snapshot.display()
    );
    Err(Failure::Outage(StoreError::Io(error), None))
}

fn late(config: &Config, error: StoreError) -> Result<Arc<dyn Store>, ConfigError> {
    let (url, options) = (config.store.url.clone(), master_key::store_options(config)?);
    Ok(Arc::new(LateStore::new(url.backend(), move || url.open_with(OpenMode::MustExist, &options), error)))
}

/// What the snapshot says, with its age, when there is one that may still be used.
fn recall(config: &Config) -> Result<Option<(Snapshot, MasterKey, Duration)>, CliError> {
    let Some(path) = &config.store.snapshot_file else { return Ok(None) };
    let master = read_master_key(config)?;
    let useless = |reason: &dyn std::fmt::Display| {
        tracing::warn!(path = %path.display(), %reason, "the snapshot is of no use");
        Ok(None)
    };
    let snapshot = match snapshot::read(path, &master) {
        Ok(snapshot) => snapshot,
        Err(error) => return useless(&error),
    };
    let Some(age) = snapshot.taken.age(Clock::System.now()) else {
        return useless(&"the clock was set back: how old it is cannot be told");
    };
    let (seconds, grace) = (age.as_secs(), config.store.outage_grace);
    if age > grace {
        return useless(&format!("it is {seconds} s old, and store.outage_grace is {} s", grace.as_secs()));
    }
    let (clients, left) = (snapshot.clients.len(), grace.saturating_sub(age).as_secs());
    tracing::warn!(
        clients,
        age = seconds,
        left,
        "going on with the snapshot: known clients get tokens for so many seconds more"
    );
    Ok(Some((snapshot, master, age)))
}

fn read_master_key(config: &Config) -> Result<MasterKey, CliError> {
    let path = master_key::path(config).ok_or_else(|| ConfigError::new("master_key_file is not set"))?;
    Ok(master_key::read(&path)?)
}
