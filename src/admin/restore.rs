//! The first use of a store that is a backup.
//!
//! A backup knows nothing of what came after it: a key that has retired since would sign again, a token that was revoked
//! since would be good again. So whoever opens it first, server or command, lets none of its keys sign any more and cuts
//! off all tokens that were issued until then. What else was changed since (a client that was disabled, a secret or a key
//! that was removed) nobody can know: that is for the operator, who is told.
//!
//! Invariants: the backup's keys stay published until their last tokens have expired, since verifiers that ask nobody
//! go on accepting those; it is done whole or done again.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::keys::{fresh_key, unlock};
use super::{ATTEMPTS, AdminError, rotate_keys};
use crate::clock::UnixTime;
use crate::keys::rotation::has_ring;
use crate::keys::{Lead, MasterKey};
use crate::oauth::{Algorithm, Client};
use crate::store::{BACKUP_NOTE, Store, StoreError};

/// How many clients are written at a time: what a store commits together.
const AT_ONCE: usize = 256;

/// Makes a store fit to be used that was put back from a backup; returns when that was made. `None`, and nothing is
/// done, for any other store.
///
/// # Errors
/// When the store or the master key fails: it is not to be used then.
pub async fn settle_backup(
    store: &Arc<dyn Store>,
    master: &MasterKey,
    lead: Lead,
    now: UnixTime,
) -> Result<Option<String>, AdminError> {
    for _ in 0..ATTEMPTS {
        let Some(made_at) = store.find_note(BACKUP_NOTE).await? else { return Ok(None) };
        // Another process may be at it as well: its note, its keys or its clients come first then.
        match settle(store, master, lead, now).await {
            Err(AdminError::Store(StoreError::Conflict)) => continue,
            settled => settled?,
        }
        match store.put_note(BACKUP_NOTE, Some(&made_at), None).await {
            Err(StoreError::Conflict) => {}
            written => return Ok(written.map(|()| Some(made_at))?),
        }
    }
    Err(StoreError::Conflict.into())
}

/// What the operator has to know of a store that was put back.
#[must_use]
pub fn told_of_backup(made_at: &str) -> String {
    format!(
        "This store was put back from a backup of {made_at}: tokens issued until now count as revoked, and new keys sign. \
         What was changed since is undone: disable clients and remove secrets and keys again, as the audit log has them."
    )
}

async fn settle(store: &Arc<dyn Store>, master: &MasterKey, lead: Lead, now: UnixTime) -> Result<(), AdminError> {
    cut_off_tokens(store, now).await?;
    let keys = unlock(&**store, master, now).await?.keys;
    let rings = Algorithm::ALL.into_iter().filter(|ring| has_ring(&keys, *ring, now));
    let fresh = rings.map(|ring| fresh_key(ring, master, now)).collect::<Result<Vec<_>, _>>()?;
    rotate_keys(&**store, master, fresh, (lead.at_once(), now)).await
}

/// Everything that any client holds.
async fn cut_off_tokens(store: &Arc<dyn Store>, now: UnixTime) -> Result<(), AdminError> {
    let mut after = None;
    loop {
        let clients = store.list_clients(after.as_ref(), AT_ONCE).await?;
        let Some(last) = clients.last() else { return Ok(()) };
        after = Some(last.id.clone());
        let mut writes = JoinSet::new();
        for client in clients {
            let store = Arc::clone(store);
            let tokens_revoked_at = client.tokens_revoked_at.max(Some(now));
            writes.spawn(async move { store.put_client(Client { tokens_revoked_at, ..client }).await });
        }
        while let Some(written) = writes.join_next().await {
            written.map_err(|error| StoreError::Io(error.to_string()))??;
        }
    }
}
