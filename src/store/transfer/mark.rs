//! The notes by which stores know each other: who a store is, what it is a copy of, and where it went.
//!
//! A target is marked before the first record is written and until the copy is ended. While its mark says that the
//! copy is not whole, nobody serves from it; while there is one at all, clients and keys are changed at the source.
//! Whoever copies writes a name of its own into the mark, so of two that copy at the same time the first one stops.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::TransferError;
use crate::store::{BACKUP_NOTE, Store, StoreError};

/// The name of the note on the target.
const COPY: &str = "copy";
/// The name of the note by which a source is told from others.
const ID: &str = "id";
/// The name of the note on a source that is no longer to be used.
const MOVED: &str = "moved";

/// What a target is a copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The source's id.
    pub source: String,
    /// The source's URL as people know it, without a password.
    pub from: String,
    /// Whether everything was there once.
    pub whole: bool,
    /// The copying process.
    pub run: String,
}

impl Mark {
    /// The mark of a store; `None` for one that is no copy, or whose copy was ended.
    ///
    /// # Errors
    /// What the store reports, or when the note cannot be read.
    pub async fn find(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        let damaged = |_| StoreError::Corrupt("the note of what the store is a copy of cannot be read".to_owned());
        store.find_note(COPY).await?.map(|text| serde_json::from_str(&text).map_err(damaged)).transpose()
    }

    /// Writes the mark, in place of `held`.
    pub(super) async fn put(&self, store: &dyn Store, held: Option<&Self>) -> Result<(), StoreError> {
        store.put_note(COPY, held.map(Self::text).as_deref(), Some(&self.text())).await
    }

    /// Takes the mark away: the store is nobody's copy any more.
    pub(super) async fn remove(&self, store: &dyn Store) -> Result<(), StoreError> {
        store.put_note(COPY, Some(&self.text()), None).await
    }

    fn text(&self) -> String {
        serde_json::json!({"source": self.source, "from": self.from, "whole": self.whole, "run": self.run}).to_string()
    }
}

/// The id of a store, made when it is first asked for.
pub(super) async fn id(store: &dyn Store, fresh: &str) -> Result<String, StoreError> {
    if let Some(id) = store.find_note(ID).await? {
        return Ok(id);
    }
    match store.put_note(ID, None, Some(fresh)).await {
        Ok(()) => Ok(fresh.to_owned()),
        // Another process came first.
        Err(StoreError::Conflict) => store.find_note(ID).await?.ok_or(StoreError::Conflict),
        Err(error) => Err(error),
    }
}

/// Says of a store that another took its place; from then on nobody serves from it or changes it.
pub(super) async fn put_moved(store: &dyn Store, to: &str) -> Result<(), StoreError> {
    let held = store.find_note(MOVED).await?;
    store.put_note(MOVED, held.as_deref(), Some(to)).await
}

/// A store that becomes the target of a copy is in use again.
pub(super) async fn remove_moved(store: &dyn Store) -> Result<(), StoreError> {
    match store.find_note(MOVED).await? {
        Some(held) => store.put_note(MOVED, Some(&held), None).await,
        None => Ok(()),
    }
}

/// A copy of a backup is one, too: whoever uses it first has to know.
pub(super) async fn carry_backup(source: &dyn Store, target: &dyn Store) -> Result<(), TransferError> {
    let Some(made_at) = source.find_note(BACKUP_NOTE).await.map_err(TransferError::Source)? else { return Ok(()) };
    match target.put_note(BACKUP_NOTE, None, Some(&made_at)).await {
        // It is one already.
        Err(StoreError::Conflict) => Ok(()),
        written => written.map_err(TransferError::Target),
    }
}

/// What speaks against the use of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// It holds a part of another one.
    Unfinished {
        /// The source.
        from: String,
    },
    /// It holds all of another one, and is still brought up to date: its clients and keys are changed there.
    Followed {
        /// The source.
        from: String,
    },
    /// Another one took its place.
    Moved {
        /// The target.
        to: String,
    },
}

impl Objection {
    /// What speaks against using this store, if anything does.
    ///
    /// # Errors
    /// What the store reports.
    pub async fn find(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        if let Some(to) = store.find_note(MOVED).await? {
            return Ok(Some(Self::Moved { to }));
        }
        let of = |Mark { from, whole, .. }| if whole { Self::Followed { from } } else { Self::Unfinished { from } };
        Ok(Mark::find(store).await?.map(of))
    }

    /// Whether it may not even be served from.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Followed { .. })
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished { from } => {
                write!(f, "this store holds a part of {from}: run 'jeton store copy' again, which completes it")
            }
            Self::Followed { from } => write!(
                f,
                "this store is still brought up to date from {from}: change clients and keys there, or end the copy by 'jeton store copy' without --follow"
            ),
            Self::Moved { to } => write!(f, "this store was moved to {to}: use that one"),
        }
    }
}
