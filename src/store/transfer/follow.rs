//! What comes in while servers run on both sides: carried over until it is told to stop.
//!
//! Clients and keys go one way, since they are changed at the source alone while the target is marked. What requests
//! make goes both ways: a token that was issued or revoked on one side is issued or revoked on the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::revocations::BothWays;
use super::{Transfer, TransferError};
use crate::oauth::ClientId;
use crate::store::{Change, Cursor};

/// How often the feeds are read: a change must act on the servers of the other side within a second, which look at
/// their store five times in it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The least time between two looks at all opaque tokens.
const TOKENS_EVERY: Duration = Duration::from_secs(1);
/// A look at all of them takes at most one part in this many of the time.
const TOKENS_SHARE: u32 = 5;
/// How long to wait after a store failed.
const AGAIN: Duration = Duration::from_secs(1);

/// What happens to the copy while it follows.
#[derive(Clone, Debug)]
pub enum Followed {
    /// Everything that was there is on both sides; from now on every change is carried over.
    CaughtUp,
    /// A store failed; what it missed is carried over when it is back.
    Interrupted(TransferError),
    /// It is back.
    Resumed,
}

impl Transfer<'_> {
    /// The position from which on to follow; to be taken before the copy.
    ///
    /// # Errors
    /// When the source fails.
    pub async fn position(&self) -> Result<Cursor, TransferError> {
        Ok(self.source.changes_since(None).await.map_err(TransferError::Source)?.cursor)
    }

    /// Carries over what comes in after `position`, until it is dropped.
    ///
    /// # Errors
    /// When another process copies to the same target. A store that fails is asked again.
    pub async fn follow(&self, position: Cursor, tell: &dyn Fn(Followed)) -> Result<(), TransferError> {
        tokio::try_join!(self.follow_changes(position, tell), self.follow_tokens(tell))?;
        Ok(())
    }

    async fn follow_changes(&self, position: Cursor, tell: &dyn Fn(Followed)) -> Result<(), TransferError> {
        let (mut position, mut revocations) = (position, BothWays::default());
        let (mut health, mut is_caught_up) = (Health { tell, is_interrupted: false }, false);
        loop {
            let outcome = self.step(&mut position, &mut revocations).await;
            if outcome.is_ok() && !std::mem::replace(&mut is_caught_up, true) {
                tell(Followed::CaughtUp);
            }
            health.note(outcome).await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn step(&self, position: &mut Cursor, revocations: &mut BothWays) -> Result<(), TransferError> {
        self.check_mark().await?;
        revocations.step(self).await?;
        let changes = self.source.changes_since(Some(*position)).await.map_err(TransferError::Source)?;
        if changes.gap {
            self.copy_clients().await?;
        }
        let ids: BTreeSet<&ClientId> = changes.entries.iter().filter_map(changed_client).collect();
        for id in ids {
            self.copy_client(id).await?;
        }
        if changes.gap || changes.entries.contains(&Change::Keys) {
            self.copy_keys().await?;
        }
        *position = changes.cursor;
        Ok(())
    }

    /// And used assertions. Beside the changes, which must not wait for it.
    async fn follow_tokens(&self, tell: &dyn Fn(Followed)) -> Result<(), TransferError> {
        let mut health = Health { tell, is_interrupted: false };
        loop {
            let started = Instant::now();
            // What can be replayed comes first: it is less, and a window for as long as it is missing.
            let shared = async {
                self.share_assertions().await?;
                self.share_tokens().await
            };
            health.note(shared.await).await?;
            tokio::time::sleep((started.elapsed() * TOKENS_SHARE).max(TOKENS_EVERY)).await;
        }
    }
}

/// Tells of a store that fails once, and again when it is back.
struct Health<'a> {
    tell: &'a dyn Fn(Followed),
    is_interrupted: bool,
}

impl Health<'_> {
    async fn note(&mut self, outcome: Result<(), TransferError>) -> Result<(), TransferError> {
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut self.is_interrupted) {
                    (self.tell)(Followed::Resumed);
                }
            }
            Err(error @ (TransferError::Source(_) | TransferError::Target(_))) => {
                if !std::mem::replace(&mut self.is_interrupted, true) {
                    (self.tell)(Followed::Interrupted(error));
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn changed_client(change: &Change) -> Option<&ClientId> {
    match change {
        Change::Client(id) => Some(id),
        Change::Keys => None,
    }
}
