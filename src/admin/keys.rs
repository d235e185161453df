//! The signing keys: the first one, its successors, and the end of one that is lost.

use zeroize::Zeroizing;

use super::{Admin, AdminError};
use crate::audit::{Event, Kind};
use crate::clock::UnixTime;
use crate::keys::rotation::{plan_removal, plan_rotation};
use crate::keys::{KeyError, KeyRecord, Lead, MasterKey, SigningKey};
use crate::store::{KeyRecords, Store, StoreError};

/// A store whose master key was checked, with its keys; a new one is initialised with its first key, which is
/// active at once, since nobody knows another.
///
/// # Errors
/// When the master key is another one than the store's, or the store fails.
pub async fn unlock(store: &dyn Store, master: &MasterKey, now: UnixTime) -> Result<KeyRecords, AdminError> {
    let check = master.check();
    if store.find_keys().await?.is_none() {
        let first = fresh_key(master, now)?;
        match store.put_keys(KeyRecords { check: check.clone(), keys: vec![first], revision: 0 }).await {
            // Another process came first: its keys are the store's.
            Ok(_) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let records = store.find_keys().await?.ok_or(KeyError::NoKey)?;
    if records.check == check { Ok(records) } else { Err(AdminError::WrongMasterKey) }
}

/// A new key; what it is made from is wiped.
fn fresh_key(master: &MasterKey, now: UnixTime) -> Result<KeyRecord, KeyError> {
    let seed = Zeroizing::new(rand::random());
    SigningKey::seal(&seed, master, rand::random(), (now, now))
}

/// Publishes a new signing key as the last of the returned ones. A conflict is another rotation, which this one would
/// have to wait for, so nothing is repeated.
///
/// # Errors
/// While an earlier rotation is under way, or when the store fails.
pub async fn rotate_keys(
    store: &dyn Store,
    master: &MasterKey,
    lead: Lead,
    now: UnixTime,
) -> Result<Vec<KeyRecord>, AdminError> {
    let records = unlock(store, master, now).await?;
    let keys = plan_rotation(&records.keys, fresh_key(master, now)?, lead, now)?;
    store.put_keys(KeyRecords { keys: keys.clone(), ..records }).await?;
    Ok(keys)
}

impl Admin {
    /// Publishes a new signing key, to sign once every verifier knows it.
    ///
    /// # Errors
    /// While an earlier rotation is under way, or when the store fails.
    pub async fn rotate_keys(&self, lead: Lead) -> Result<Vec<KeyRecord>, AdminError> {
        let keys = rotate_keys(&*self.store, &self.master, lead, self.now).await?;
        let kid = keys.last().map(|key| key.kid.as_str());
        self.note(&Event { kid, ..Event::new(Kind::KeyPublished, "ok") })?;
        Ok(keys)
    }

    /// Takes a key out of the JWKS at once: its tokens are good nowhere that the new set is known.
    ///
    /// # Errors
    /// For a key that signs or is not there, or when the store fails.
    pub async fn remove_key(&self, kid: &str) -> Result<Vec<KeyRecord>, AdminError> {
        let records = unlock(&*self.store, &self.master, self.now).await?;
        let keys = plan_removal(&records.keys, kid, self.now)?;
        self.store.put_keys(KeyRecords { keys: keys.clone(), ..records }).await?;
        self.note(&Event { kid: Some(kid), ..Event::new(Kind::KeyRemoved, "ok") })?;
        Ok(keys)
    }
}
