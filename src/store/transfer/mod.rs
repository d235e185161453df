//! All that a store holds, moved to another one: the engine of `store copy` and of backups.
//!
//! A pass walks over both sides in the same order, page by page, writes what the target lacks, and reads again where it
//! wrote; nothing of it is kept in between. So a pass that was broken off is simply begun again, and one that finds
//! nothing to do is the proof that the target is complete. `clients`, `tokens`, `revocations`, `assertions` and `keys` know how their
//! records are compared, `mark` keeps unfinished copies and two of them apart, `follow` carries over what comes in
//! while servers run.
//!
//! Invariants:
//! - Clients and keys become what the source has, and what it no longer has goes. What requests made (revocations,
//!   opaque tokens, used assertions, uses of secrets) is only ever added to, so nothing is lost that the target acknowledged.
//! - Keys come last: a target without them was not copied to its end.
//! - A target that holds anything is written to only when it carries the mark of this source, or on demand.

mod assertions;
mod backup;
mod clients;
mod error;
mod follow;
mod keys;
mod mark;
mod outcome;
mod revocations;
mod tally;
mod tokens;

use futures_util::future::try_join_all;

use super::{Cursor, Pending, Store, StoreError};
use crate::clock::UnixTime;

pub use backup::backup;
pub use error::TransferError;
pub use follow::Followed;
pub use mark::Objection;
pub use outcome::{Outcome, Part, Pass, Progress, Step};
pub use tally::Tally;

use mark::Mark;

/// How many records are read at a time.
const PAGE: usize = 500;
/// How many operations are under way at a time.
const AT_ONCE: usize = 128;
/// How many passes there are at the most over a source that does not come to rest.
const MOST_PASSES: u32 = 4;

/// What a copy is begun with.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The source as people know it, without a password.
    pub from: &'a str,
    /// Whether a target that holds something else becomes a copy all the same.
    pub replaces: bool,
    /// Randomness for names.
    pub random: [u128; 2],
    /// Revocations and tokens that ended before are of no use to anyone.
    pub useful_from: UnixTime,
    /// Assertions that ended before are taken by nobody any more.
    pub replayable_from: UnixTime,
}

/// Two stores of which one becomes what the other is.
#[derive(Debug)]
pub struct Transfer<'a> {
    source: &'a dyn Store,
    target: &'a dyn Store,
    progress: &'a Progress,
    mark: Mark,
    useful_from: UnixTime,
    replayable_from: UnixTime,
    /// How many revocations, clients, tokens and used assertions there are about.
    expected: [u64; 4],
    /// What should be otherwise at the source.
    pub warnings: Vec<String>,
}

impl<'a> Transfer<'a> {
    /// Looks the source over and marks the target.
    ///
    /// # Errors
    /// When there is nothing to copy, the source is damaged, the target holds anything else, or a store fails.
    pub async fn begin(
        (source, target): (&'a dyn Store, &'a dyn Store),
        terms: Terms<'_>,
        progress: &'a Progress,
    ) -> Result<Self, TransferError> {
        let (expected, warnings) = look_over(source).await?;
        let [fresh, run] = terms.random.map(|bits| format!("{bits:032x}"));
        let id = mark::id(source, &fresh).await.map_err(TransferError::Source)?;
        let held = Mark::find(target).await.map_err(TransferError::Target)?;
        let is_ours = held.as_ref().is_some_and(|held| held.source == id);
        if !is_ours && !terms.replaces {
            check_empty(target, held.as_ref()).await?;
        }
        let whole = is_ours && held.as_ref().is_some_and(|held| held.whole);
        let mark = Mark { source: id, from: terms.from.to_owned(), whole, run };
        mark.put(target, held.as_ref()).await.map_err(TransferError::Target)?;
        if Mark::find(source).await.map_err(TransferError::Source)?.is_some_and(|found| found.run == mark.run) {
            mark.remove(target).await.map_err(TransferError::Target)?;
            return Err(TransferError::Same);
        }
        mark::remove_moved(target).await.map_err(TransferError::Target)?;
        mark::carry_backup(source, target).await?;
        let Terms { useful_from, replayable_from, .. } = terms;
        Ok(Self { source, target, progress, mark, useful_from, replayable_from, expected, warnings })
    }

    /// Copies until nothing is left to be copied, and compares both sides.
    ///
    /// # Errors
    /// When a store fails, another process copies to the same target, or the target does not keep what is written.
    pub async fn copy(&mut self) -> Result<Outcome, TransferError> {
        let mut outcome = Outcome::default();
        let mut is_settled = false;
        while !is_settled && outcome.passes < MOST_PASSES {
            let pass = self.pass(outcome.passes + 1).await?;
            is_settled = pass.did_nothing();
            outcome = outcome.and(&pass);
            self.check_mark().await?;
        }
        if !outcome.pass.is_same() {
            return Err(TransferError::Differs(Box::new(outcome)));
        }
        let whole = Mark { whole: true, ..self.mark.clone() };
        whole.put(self.target, Some(&self.mark)).await.map_err(taken_over)?;
        self.mark = whole;
        Ok(outcome)
    }

    /// Revocations come first, so that no token is known without its own.
    async fn pass(&self, number: u32) -> Result<Pass, TransferError> {
        let [revocations, clients, tokens, assertions] = self.expected;
        self.progress.begin(number, 0, revocations);
        let revocations = self.copy_revocations().await?;
        self.progress.begin(number, 1, clients);
        let (clients, secret_uses) = self.copy_clients().await?;
        self.progress.begin(number, 2, tokens);
        let tokens = self.copy_tokens().await?;
        self.progress.begin(number, 3, assertions);
        let assertions = self.copy_assertions().await?;
        self.progress.begin(number, 4, 1);
        let keys = self.copy_keys().await?;
        Ok(Pass { clients, secret_uses, tokens, revocations, assertions, keys })
    }

    /// Ends the copy: the target stands for itself from now on. With `moved_to` the source is told first that the target
    /// took its place, so that nobody serves from it or changes it any more.
    ///
    /// # Errors
    /// When another process copies to the same target, or a store fails.
    pub async fn finish(self, moved_to: Option<&str>) -> Result<(), TransferError> {
        if let Some(to) = moved_to {
            mark::put_moved(self.source, to).await.map_err(TransferError::Source)?;
        }
        self.mark.remove(self.target).await.map_err(taken_over)
    }

    async fn check_mark(&self) -> Result<(), TransferError> {
        let found = Mark::find(self.target).await.map_err(TransferError::Target)?;
        if found.is_some_and(|found| found.run == self.mark.run) { Ok(()) } else { Err(TransferError::TakenOver) }
    }
}

fn taken_over(error: StoreError) -> TransferError {
    if matches!(error, StoreError::Conflict) { TransferError::TakenOver } else { TransferError::Target(error) }
}

/// How many records of a kind the source has, and what should be otherwise there; nothing is copied from a damaged one.
async fn look_over(source: &dyn Store) -> Result<([u64; 4], Vec<String>), TransferError> {
    let report = source.check().await.map_err(TransferError::Source)?;
    if let Some(problem) = report.problems.into_iter().next() {
        return Err(TransferError::Source(StoreError::Corrupt(problem)));
    }
    if report.keys == 0 {
        return Err(TransferError::Nothing);
    }
    Ok(([report.revocations, report.clients, report.tokens, report.assertions], report.warnings))
}

async fn check_empty(target: &dyn Store, held: Option<&Mark>) -> Result<(), TransferError> {
    if let Some(held) = held {
        return Err(TransferError::OfAnother(held.from.clone()));
    }
    let holds_nothing = async || -> Result<bool, StoreError> {
        Ok(target.find_keys().await?.is_none()
            && target.list_clients(None, 1).await?.is_empty()
            && target.list_tokens(None, 1).await?.is_empty()
            && target.list_assertions(None, 1).await?.is_empty()
            && target.revocations_since(Cursor::default(), 1).await?.entries.is_empty())
    };
    if holds_nothing().await.map_err(TransferError::Target)? { Ok(()) } else { Err(TransferError::NotEmpty) }
}

/// Does many things at a time, but not all at once.
async fn all<'p, T>(operations: impl Iterator<Item = Pending<'p, T>> + Send) -> Result<Vec<T>, StoreError> {
    let (mut operations, mut done) = (operations, Vec::new());
    loop {
        let next: Vec<_> = operations.by_ref().take(AT_ONCE).collect();
        if next.is_empty() {
            return Ok(done);
        }
        done.extend(try_join_all(next).await?);
    }
}

/// A conflict is somebody else's write: the next look at the record tells what came of it.
fn unless_conflict(write: Pending<'_, ()>) -> Pending<'_, ()> {
    Box::pin(async {
        match write.await {
            Err(StoreError::Conflict) => Ok(()),
            outcome => outcome,
        }
    })
}
