//! Which store: `sqlite:PATH`, Redis by one of its URLs, or `memory:`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::memory::MemoryStore;
use super::redis::{FORMS, RedisOptions, RedisStore, RedisUrl};
use super::sqlite::SqliteStore;
use super::{Store, StoreError};
use crate::keys::RecordSeal;

/// A store that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file of its own, made when it is missing.
    Sqlite(PathBuf),
    /// Redis, for several servers.
    Redis(RedisUrl),
    /// Nothing that survives; for tests and benches.
    Memory,
}

/// What can be set about how a store is used.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// Of Redis.
    pub redis: RedisOptions,
    /// The marks of records, for a store that others can write to.
    pub seal: Option<RecordSeal>,
}

/// Whether a store that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Yes: the first start of a service.
    CreateIfMissing,
    /// No: a command that works on what is there.
    MustExist,
}

impl StoreUrl {
    /// # Errors
    /// What is allowed, when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() && !path.contains('\0') => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("memory", "")) => Ok(Self::Memory),
            Some((scheme, _)) if scheme.starts_with("redis") => {
                RedisUrl::parse(text).map(Self::Redis).map_err(|_| FORMS)
            }
            _ => Err("sqlite:PATH, such as sqlite:jeton.db, or redis://HOST"),
        }
    }

    /// The backend's name.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Redis(_) => "redis",
            Self::Memory => "memory",
        }
    }

    /// Opens the store, with nothing set about it.
    ///
    /// # Errors
    /// As [`StoreUrl::open_with`].
    pub fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, StoreError> {
        self.open_with(mode, &StoreOptions::default())
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When it is missing, damaged, in use by another program or of another version; of one that is not on this
    /// machine, the first request tells.
    pub fn open_with(&self, mode: OpenMode, options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
        match self {
            Self::Redis(url) => {
                let unmarked =
                    || StoreError::Unusable("a store in Redis cannot be used without the master key".to_owned());
                let seal = options.seal.clone().ok_or_else(unmarked)?;
                Ok(Arc::new(RedisStore::open(url, mode, &options.redis, seal)?))
            }
            Self::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, mode)?)),
            Self::Memory => Ok(Arc::new(MemoryStore::default())),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) => url.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}
