//! Which store: `sqlite:PATH` or `memory:`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use super::{Store, StoreError};

/// A store that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file of its own, made when it is missing.
    Sqlite(PathBuf),
    /// Nothing that survives; for tests and benches.
    Memory,
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
                Err("sqlite:PATH; this version does not store in Redis")
            }
            _ => Err("sqlite:PATH, such as sqlite:jeton.db"),
        }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When it is missing, damaged, in use by another program or of another version.
    pub fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, StoreError> {
        match self {
            Self::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, mode)?)),
            Self::Memory => Ok(Arc::new(MemoryStore::default())),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}
