//! Clients and the uses of their secrets: by id on both sides.

use std::collections::HashMap;

use super::{PAGE, Part, Transfer, TransferError, all, unless_conflict};
use crate::clock::UnixDay;
use crate::oauth::{Client, ClientId, SecretId};
use crate::store::{SecretUse, SecretUses, Store, StoreError};

impl Transfer<'_> {
    /// All clients, and when their secrets were used.
    pub(super) async fn copy_clients(&self) -> Result<(Part, Part), TransferError> {
        let (mut clients, mut uses) = (Part::default(), Part::default());
        let mut after: Option<ClientId> = None;
        loop {
            let page = self.source.list_clients(after.as_ref(), PAGE).await.map_err(TransferError::Source)?;
            // A page may be short although it is not the last one: only an empty one says that.
            let last = page.last().map(|client| client.id.clone());
            self.level(&page, (after.as_ref(), last.as_ref()), &mut clients).await?;
            self.level_uses(&page, &mut uses).await?;
            self.progress.add(page.len());
            if last.is_none() {
                return Ok((clients, uses));
            }
            after = last;
        }
    }

    /// Makes the target's clients between two ids what the source's are.
    async fn level(
        &self,
        clients: &[Client],
        (after, last): (Option<&ClientId>, Option<&ClientId>),
        part: &mut Part,
    ) -> Result<(), TransferError> {
        part.source.add_clients(clients);
        let range = || between(self.target, after, last);
        let mut held = range().await.map_err(TransferError::Target)?;
        let (written, removed) = write_differences(self.target, clients, &held).await.map_err(TransferError::Target)?;
        part.written += written;
        part.removed += removed;
        if written + removed > 0 {
            held = range().await.map_err(TransferError::Target)?;
        }
        part.target.add_clients(&held);
        Ok(())
    }

    /// One client that was changed.
    pub(super) async fn copy_client(&self, id: &ClientId) -> Result<(), TransferError> {
        let found = self.source.find_client(id.as_str()).await.map_err(TransferError::Source)?;
        let held = self.target.find_client(id.as_str()).await.map_err(TransferError::Target)?;
        let (found, held): (Vec<_>, Vec<_>) = (found.into_iter().collect(), held.into_iter().collect());
        write_differences(self.target, &found, &held).await.map_err(TransferError::Target)?;
        Ok(())
    }

    /// What the source knows of the uses of these clients' secrets goes to the target, which keeps the later day.
    async fn level_uses(&self, clients: &[Client], part: &mut Part) -> Result<(), TransferError> {
        let known = list_uses(self.source, clients).await.map_err(TransferError::Source)?;
        if let Some(since) = known.iter().map(|known| known.since).min() {
            self.target.put_secret_uses_since(since).await.map_err(TransferError::Target)?;
        }
        let known: Vec<SecretUse> = known.into_iter().flat_map(|known| known.last).collect();
        part.source.add_uses(known.iter());
        let mut held = days(list_uses(self.target, clients).await.map_err(TransferError::Target)?);
        let is_held = |held: &Days, used: &&SecretUse| {
            held.get(&(used.client.clone(), used.secret.clone())).is_some_and(|day| *day >= used.day)
        };
        let missing: Vec<SecretUse> = known.iter().filter(|used| !is_held(&held, used)).cloned().collect();
        if !missing.is_empty() {
            part.written += missing.len() as u64;
            self.target.put_secret_uses(missing).await.map_err(TransferError::Target)?;
            held = days(list_uses(self.target, clients).await.map_err(TransferError::Target)?);
        }
        // A later day that a server noted on the target says what the source says, and more.
        part.target.add_uses(known.iter().filter(|used| is_held(&held, used)));
        Ok(())
    }
}

type Days = HashMap<(ClientId, SecretId), UnixDay>;

fn days(uses: Vec<SecretUses>) -> Days {
    let each = uses.into_iter().flat_map(|uses| uses.last);
    each.map(|used| ((used.client, used.secret), used.day)).collect()
}

async fn list_uses(store: &dyn Store, clients: &[Client]) -> Result<Vec<SecretUses>, StoreError> {
    all(clients.iter().map(|client| store.list_secret_uses(&client.id))).await
}

/// The clients after one id, up to another or the end.
async fn between(
    store: &dyn Store,
    after: Option<&ClientId>,
    last: Option<&ClientId>,
) -> Result<Vec<Client>, StoreError> {
    let mut found: Vec<Client> = Vec::new();
    loop {
        let after = found.last().map(|client| &client.id).or(after);
        let page = store.list_clients(after, PAGE).await?;
        let is_end = page.last().is_none_or(|end| last.is_some_and(|last| end.id >= *last));
        found.extend(page.into_iter().take_while(|client| last.is_none_or(|last| client.id <= *last)));
        if is_end {
            return Ok(found);
        }
    }
}

/// Writes what differs, and removes what should not be there; how many of each.
async fn write_differences(target: &dyn Store, wanted: &[Client], held: &[Client]) -> Result<(u64, u64), StoreError> {
    let mut left: HashMap<&ClientId, &Client> = held.iter().map(|client| (&client.id, client)).collect();
    let mut writes = Vec::new();
    for client in wanted {
        match left.remove(&client.id) {
            Some(held) if held == client => {}
            held => writes.push((client, held.map_or(0, |held| held.revision))),
        }
    }
    let puts = writes.iter().map(|(client, over)| target.copy_client((*client).clone(), *over));
    let removals = left.values().map(|client| target.remove_client(&client.id, client.revision));
    all(puts.chain(removals).map(unless_conflict)).await?;
    Ok((writes.len() as u64, left.len() as u64))
}
