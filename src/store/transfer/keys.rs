//! Signing keys: one record, sealed under the master key, which goes another way.

use super::{Part, Transfer, TransferError};
use crate::store::{KeyRecords, StoreError};

impl Transfer<'_> {
    /// All signing keys. How often the target's were written is its own affair.
    pub(super) async fn copy_keys(&self) -> Result<Part, TransferError> {
        let mut part = Part::default();
        let records = self.source.find_keys().await.map_err(TransferError::Source)?.ok_or(TransferError::Nothing)?;
        part.source.add_keys(&records);
        let mut held = self.target.find_keys().await.map_err(TransferError::Target)?;
        let is_same = |held: &KeyRecords| held.check == records.check && held.keys == records.keys;
        if !held.as_ref().is_some_and(is_same) {
            part.written = records.keys.len() as u64;
            let revision = held.map_or(0, |held| held.revision);
            match self.target.put_keys(KeyRecords { revision, ..records }).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(TransferError::Target(error)),
            }
            held = self.target.find_keys().await.map_err(TransferError::Target)?;
        }
        if let Some(held) = &held {
            part.target.add_keys(held);
        }
        Ok(part)
    }
}
