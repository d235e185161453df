//! Why a copy was refused or broken off; for the operator.

use std::fmt;

use super::{Outcome, Part};
use crate::store::StoreError;

/// Why a copy was refused or broken off.
#[derive(Clone, Debug)]
pub enum TransferError {
    /// The source failed.
    Source(StoreError),
    /// The target failed.
    Target(StoreError),
    /// The source was never used.
    Nothing,
    /// Both are the same store.
    Same,
    /// The target holds something that came from elsewhere.
    NotEmpty,
    /// The target is a copy of another store.
    OfAnother(String),
    /// Another process copies to the same target.
    TakenOver,
    /// The target does not have what was written to it.
    Differs(Box<Outcome>),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "the source: {error}"),
            Self::Target(error) => write!(f, "the target: {error}; run the same command again, it goes on where it was"),
            Self::Nothing => f.write_str("the source has no signing keys: it was never used, there is nothing to copy"),
            Self::Same => f.write_str("source and target are the same store"),
            Self::NotEmpty => f.write_str(
                "the target is not empty and no copy of this source: name another one, or give its clients and keys up with --replace-target",
            ),
            Self::OfAnother(from) => write!(
                f,
                "the target is an unfinished copy of {from}: end that first, or give its clients and keys up with --replace-target"
            ),
            Self::TakenOver => f.write_str("another process copies to the same target now: this one has stopped"),
            Self::Differs(outcome) => {
                f.write_str("source and target differ:")?;
                let differing = outcome.pass.parts().into_iter().filter(|(_, part)| !part.is_same());
                for (name, Part { source, target, .. }) in differing {
                    write!(f, " {name} {} to {},", source.count(), target.count())?;
                }
                f.write_str(" and others may have changed the target meanwhile: run the same command again")
            }
        }
    }
}

impl std::error::Error for TransferError {}
