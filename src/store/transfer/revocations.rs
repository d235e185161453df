//! Revocations: each side has them in its own order, so they are compared as sets.
//!
//! Every server holds all of them in memory, and so does a copy for the length of a pass.

use std::collections::{HashMap, HashSet};

use super::{PAGE, Part, Transfer, TransferError, all};
use crate::clock::UnixTime;
use crate::jwt::TokenId;
use crate::store::{Cursor, Revocation, Store, StoreError};

/// How many are read at a time: they are small.
const REVOCATIONS_PAGE: usize = 20 * PAGE;

/// What was read of one side.
#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    cursor: Cursor,
    is_at_end: bool,
}

impl Reader {
    async fn next(&mut self, store: &dyn Store) -> Result<Vec<Revocation>, StoreError> {
        let page = store.revocations_since(self.cursor, REVOCATIONS_PAGE).await?;
        self.is_at_end = page.entries.len() < REVOCATIONS_PAGE;
        self.cursor = page.cursor;
        Ok(page.entries)
    }
}

impl Transfer<'_> {
    pub(super) async fn copy_revocations(&self) -> Result<Part, TransferError> {
        let mut part = Part::default();
        let mut missing = self.read_source(&mut part).await?;
        let mut target = Reader::default();
        self.strike_out(&mut missing, &mut target, &mut part).await?;
        if !missing.is_empty() {
            part.written = missing.len() as u64;
            let revocations =
                missing.iter().map(|(token, expires_at)| Revocation { token: *token, expires_at: *expires_at });
            put(self.target, revocations).await.map_err(TransferError::Target)?;
            self.strike_out(&mut missing, &mut target, &mut part).await?;
        }
        Ok(part)
    }

    async fn read_source(&self, part: &mut Part) -> Result<HashMap<TokenId, UnixTime>, TransferError> {
        let (mut reader, mut found) = (Reader::default(), HashMap::new());
        while !reader.is_at_end {
            let page = reader.next(self.source).await.map_err(TransferError::Source)?;
            self.progress.add(page.len());
            for revocation in page.iter().filter(|revocation| revocation.expires_at >= self.useful_from) {
                part.source.add_revocation(revocation);
                found.insert(revocation.token, revocation.expires_at);
            }
        }
        Ok(found)
    }

    /// Reads on in the target, and takes what it has from what is missing.
    async fn strike_out(
        &self,
        missing: &mut HashMap<TokenId, UnixTime>,
        target: &mut Reader,
        part: &mut Part,
    ) -> Result<(), TransferError> {
        target.is_at_end = false;
        while !target.is_at_end {
            for held in target.next(self.target).await.map_err(TransferError::Target)? {
                if missing.remove(&held.token).is_some() {
                    part.target.add_revocation(&held);
                }
            }
        }
        Ok(())
    }
}

async fn put(store: &dyn Store, revocations: impl Iterator<Item = Revocation> + Send) -> Result<(), StoreError> {
    all(revocations.map(|revocation| store.put_revocation(revocation))).await.map(drop)
}

/// Carries revocations over in both directions as they come in.
#[derive(Debug, Default)]
pub(super) struct BothWays {
    source: Reader,
    target: Reader,
    /// Those that both sides have.
    shared: HashSet<TokenId>,
}

impl BothWays {
    /// What either side has and the other lacks.
    pub(super) async fn step(&mut self, transfer: &Transfer<'_>) -> Result<(), TransferError> {
        let Transfer { source, target, .. } = *transfer;
        self.carry((source, TransferError::Source), (target, TransferError::Target), |both| &mut both.source).await?;
        self.carry((target, TransferError::Target), (source, TransferError::Source), |both| &mut both.target).await
    }

    async fn carry(
        &mut self,
        (from, wrong_from): (&dyn Store, fn(StoreError) -> TransferError),
        (to, wrong_to): (&dyn Store, fn(StoreError) -> TransferError),
        reader: fn(&mut Self) -> &mut Reader,
    ) -> Result<(), TransferError> {
        loop {
            let mut next = *reader(self);
            let page = next.next(from).await.map_err(wrong_from)?;
            let news = page.iter().filter(|revocation| !self.shared.contains(&revocation.token)).copied();
            put(to, news).await.map_err(wrong_to)?;
            self.shared.extend(page.iter().map(|revocation| revocation.token));
            // Only now: what was not written comes again.
            *reader(self) = next;
            if next.is_at_end {
                return Ok(());
            }
        }
    }
}
