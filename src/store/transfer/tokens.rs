//! Opaque tokens: on both sides in the order of their ends.

use std::collections::HashSet;

use super::{PAGE, Part, Transfer, TransferError, all};
use crate::oauth::SecretHash;
use crate::store::{Store, StoreError, TokenPosition, TokenRecord};

impl Transfer<'_> {
    pub(super) async fn copy_tokens(&self) -> Result<Part, TransferError> {
        let mut part = Part::default();
        let mut after = self.first_useful();
        loop {
            let page = self.source.list_tokens(Some(after), PAGE).await.map_err(TransferError::Source)?;
            let last = page.last().map(TokenRecord::position);
            self.level_tokens(&page, (after, last), &mut part).await?;
            self.progress.add(page.len());
            match last {
                Some(last) => after = last,
                None => return Ok(part),
            }
        }
    }

    /// The place before the first token that is of use to anyone.
    fn first_useful(&self) -> TokenPosition {
        TokenPosition { expires_at: self.useful_from, digest: SecretHash::from_bytes([0; 32]) }
    }

    async fn level_tokens(
        &self,
        tokens: &[TokenRecord],
        (after, last): (TokenPosition, Option<TokenPosition>),
        part: &mut Part,
    ) -> Result<(), TransferError> {
        part.source.add_tokens(tokens.iter());
        let range = || between(self.target, after, last);
        let mut held = range().await.map_err(TransferError::Target)?;
        let written = put_missing(self.target, tokens, &held).await.map_err(TransferError::Target)?;
        part.written += written;
        if written > 0 {
            held = range().await.map_err(TransferError::Target)?;
        }
        let wanted: HashSet<SecretHash> = tokens.iter().map(|token| token.digest).collect();
        part.target.add_tokens(held.iter().filter(|token| wanted.contains(&token.digest)));
        Ok(())
    }

    /// Gives each side what the other has: one way, then the other.
    pub(super) async fn share_tokens(&self) -> Result<(), TransferError> {
        let (source, target) =
            ((self.source, TransferError::Source as Wrong), (self.target, TransferError::Target as Wrong));
        self.give_tokens(source, target).await?;
        self.give_tokens(target, source).await
    }

    async fn give_tokens(
        &self,
        (from, wrong_from): (&dyn Store, Wrong),
        (to, wrong_to): (&dyn Store, Wrong),
    ) -> Result<(), TransferError> {
        let mut after = self.first_useful();
        loop {
            let page = from.list_tokens(Some(after), PAGE).await.map_err(wrong_from)?;
            let last = page.last().map(TokenRecord::position);
            let held = between(to, after, last).await.map_err(wrong_to)?;
            put_missing(to, &page, &held).await.map_err(wrong_to)?;
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

type Wrong = fn(StoreError) -> TransferError;

/// The tokens after one place, up to another or the end.
async fn between(
    store: &dyn Store,
    after: TokenPosition,
    last: Option<TokenPosition>,
) -> Result<Vec<TokenRecord>, StoreError> {
    let (mut found, mut after): (Vec<TokenRecord>, _) = (Vec::new(), after);
    loop {
        let page = store.list_tokens(Some(after), PAGE).await?;
        let Some(end) = page.last().map(TokenRecord::position) else { return Ok(found) };
        found.extend(page.into_iter().take_while(|token| last.is_none_or(|last| token.position() <= last)));
        if last.is_some_and(|last| end >= last) {
            return Ok(found);
        }
        after = end;
    }
}

async fn put_missing(store: &dyn Store, wanted: &[TokenRecord], held: &[TokenRecord]) -> Result<u64, StoreError> {
    let held: HashSet<SecretHash> = held.iter().map(|token| token.digest).collect();
    let missing: Vec<_> = wanted.iter().filter(|token| !held.contains(&token.digest)).collect();
    all(missing.iter().map(|token| store.put_token((*token).clone()))).await?;
    Ok(missing.len() as u64)
}
