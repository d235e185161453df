//! Used assertions: on both sides in the order of their ends. One that was used on either side is used on both, or it
//! could be replayed after the move.

use std::collections::HashSet;

use super::{PAGE, Part, Transfer, TransferError, all};
use crate::store::assertions::UsedAssertion;
use crate::store::{Pending, Store, StoreError};

type Wrong = fn(StoreError) -> TransferError;

impl Transfer<'_> {
    pub(super) async fn copy_assertions(&self) -> Result<Part, TransferError> {
        let mut part = Part::default();
        let mut after = self.first_replayable();
        loop {
            let page = self.source.list_assertions(Some(after), PAGE).await.map_err(TransferError::Source)?;
            let Some(last) = page.last().copied() else { return Ok(part) };
            self.level_assertions(&page, (after, last), &mut part).await.map_err(TransferError::Target)?;
            self.progress.add(page.len());
            after = last;
        }
    }

    /// The place before the first one that a server could still take.
    fn first_replayable(&self) -> UsedAssertion {
        UsedAssertion { expires_at: self.replayable_from, digest: [0; 32] }
    }

    async fn level_assertions(
        &self,
        used: &[UsedAssertion],
        (after, last): (UsedAssertion, UsedAssertion),
        part: &mut Part,
    ) -> Result<(), StoreError> {
        part.source.add_assertions(used);
        let range = || between(self.target, after, last);
        let mut held = range().await?;
        let (written, known) = put_missing(self.target, used, &held).await?;
        part.written += written;
        if written > 0 {
            held = range().await?;
        }
        held.extend(known);
        let wanted: HashSet<UsedAssertion> = used.iter().copied().collect();
        held.retain(|used| wanted.contains(used));
        part.target.add_assertions(&held);
        Ok(())
    }

    /// Gives each side what the other has: one way, then the other.
    pub(super) async fn share_assertions(&self) -> Result<(), TransferError> {
        let (source, target) =
            ((self.source, TransferError::Source as Wrong), (self.target, TransferError::Target as Wrong));
        self.give_assertions(source, target).await?;
        self.give_assertions(target, source).await
    }

    async fn give_assertions(
        &self,
        (from, wrong_from): (&dyn Store, Wrong),
        (to, wrong_to): (&dyn Store, Wrong),
    ) -> Result<(), TransferError> {
        let mut after = self.first_replayable();
        loop {
            let page = from.list_assertions(Some(after), PAGE).await.map_err(wrong_from)?;
            let Some(last) = page.last().copied() else { return Ok(()) };
            let held = between(to, after, last).await.map_err(wrong_to)?;
            put_missing(to, &page, &held).await.map_err(wrong_to)?;
            after = last;
        }
    }
}

/// Those after one place, up to another.
async fn between(
    store: &dyn Store,
    after: UsedAssertion,
    last: UsedAssertion,
) -> Result<Vec<UsedAssertion>, StoreError> {
    let (mut found, mut after): (Vec<UsedAssertion>, _) = (Vec::new(), after);
    loop {
        let page = store.list_assertions(Some(after), PAGE).await?;
        let Some(end) = page.last().copied() else { return Ok(found) };
        found.extend(page.into_iter().take_while(|used| *used <= last));
        if end >= last {
            return Ok(found);
        }
        after = end;
    }
}

/// How many were written, and which the store had already, with another end.
async fn put_missing(
    store: &dyn Store,
    wanted: &[UsedAssertion],
    held: &[UsedAssertion],
) -> Result<(u64, Vec<UsedAssertion>), StoreError> {
    let held: HashSet<&UsedAssertion> = held.iter().collect();
    let missing: Vec<_> = wanted.iter().filter(|used| !held.contains(used)).copied().collect();
    let known = all(missing.iter().map(|used| is_known(store, *used))).await?;
    let known: Vec<_> = missing.iter().zip(known).filter(|(_, known)| *known).map(|(used, _)| *used).collect();
    Ok(((missing.len() - known.len()) as u64, known))
}

fn is_known(store: &dyn Store, used: UsedAssertion) -> Pending<'_, bool> {
    Box::pin(async move {
        match store.put_assertion(used).await {
            Err(StoreError::Conflict) => Ok(true),
            written => written.map(|()| false),
        }
    })
}
