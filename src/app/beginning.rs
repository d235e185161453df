//! What every server does first with a store that answers, at its start or later.

use std::sync::Arc;

use crate::admin::{self, AdminError};
use crate::clock::UnixTime;
use crate::keys::{Lead, MasterKey};
use crate::store::{KeyRecords, Store};

/// Makes a store fit to be served from, and unlocks its keys.
///
/// # Errors
/// When the store or the master key does not allow it.
pub async fn begin(
    store: &Arc<dyn Store>,
    master: &MasterKey,
    lead: Lead,
    now: UnixTime,
) -> Result<KeyRecords, AdminError> {
    if let Some(made_at) = admin::settle_backup(store, master, lead, now).await? {
        tracing::warn!("{}", admin::told_of_backup(&made_at));
    }
    let records = admin::unlock(&**store, master, now).await?;
    if let Err(error) = admin::note_lead(&**store, lead).await {
        // A store that can be read but not written still serves.
        tracing::warn!(%error, "how long keys wait could not be written down: commands go by their own configuration");
    }
    Ok(records)
}
