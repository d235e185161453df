//! The signing keys: the first one, the first of another algorithm, their successors, and the end of one that is lost.

use zeroize::Zeroizing;

use super::{ATTEMPTS, Admin, AdminError, check_changeable};
use crate::audit::{Event, Kind};
use crate::clock::UnixTime;
use crate::keys::rotation::{has_ring, plan_removal, plan_ring, plan_rotation};
use crate::keys::{KeyError, KeyRecord, KeyState, Lead, MasterKey, SigningKey, private};
use crate::oauth::Algorithm;
use crate::store::transfer::Objection;
use crate::store::{KeyRecords, Store, StoreError};

/// A store whose master key was checked.
#[derive(Debug)]
pub struct Unlocked {
    /// Its signing keys.
    pub records: KeyRecords,
    /// Whether it was made a moment ago, by whoever asks: then nobody holds any of its keys yet.
    pub is_new: bool,
}

/// The keys of one algorithm that a client's tokens can be signed with: proof that there are any.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    algorithm: Algorithm,
    signs_from: UnixTime,
}

impl Ring {
    /// The algorithm of its keys.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        self.algorithm
    }

    /// From when on there are tokens by it; in the past, but for the first key of a ring.
    #[must_use]
    pub const fn signs_from(self) -> UnixTime {
        self.signs_from
    }

    fn find(records: &[KeyRecord], algorithm: Algorithm, now: UnixTime) -> Option<Self> {
        let lives = |record: &&KeyRecord| matches!(KeyState::of(record, now), KeyState::Active | KeyState::Published);
        let ring = records.iter().filter(|record| *record.alg == *algorithm.as_str());
        let signs_from = ring.filter(lives).map(|record| record.activated_at).min()?;
        Some(Self { algorithm, signs_from })
    }
}

/// The keys of a store whose master key was checked; a new one is initialised with its first key.
///
/// # Errors
/// When the master key is another one than the store's, or the store fails.
pub async fn unlock(store: &dyn Store, master: &MasterKey, now: UnixTime) -> Result<KeyRecords, AdminError> {
    unlock_or_make(store, master, now).await.map(|unlocked| unlocked.records)
}

/// As [`unlock`]; says also whether the store was new. A store that holds a part of another one is not new. Its first key is active at once, since nobody knows another.
///
/// # Errors
/// As [`unlock`].
pub async fn unlock_or_make(store: &dyn Store, master: &MasterKey, now: UnixTime) -> Result<Unlocked, AdminError> {
    let (check, mut is_new) = (master.check(), false);
    if let Some(objection) = Objection::find(store).await?.filter(Objection::is_final) {
        return Err(AdminError::Moving(objection));
    }
    if store.find_keys().await?.is_none() {
        let first = fresh_key(Algorithm::default(), master, now)?;
        match store.put_keys(KeyRecords { check: check.clone(), keys: vec![first], revision: 0 }).await {
            Ok(_) => is_new = true,
            // Another process came first: its keys are the store's.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let records = store.find_keys().await?.ok_or(KeyError::NoKey)?;
    if records.check == check { Ok(Unlocked { records, is_new }) } else { Err(AdminError::WrongMasterKey) }
}

/// A new key, to be planned for; what it is made from is wiped. An RSA key takes a core a good part of a second.
///
/// # Errors
/// When it cannot be made or encrypted.
pub fn fresh_key(algorithm: Algorithm, master: &MasterKey, now: UnixTime) -> Result<KeyRecord, KeyError> {
    let secret = private::generate(algorithm, &Zeroizing::new(rand::random()))?;
    SigningKey::seal_as(algorithm, &secret, (master, rand::random()), (now, now))
}

/// Publishes the successors of the keys that sign, each in its ring. A conflict is another rotation, which this one would
/// have to wait for, so nothing is repeated.
///
/// # Errors
/// While an earlier rotation of one of the rings is under way, or when the store fails.
pub async fn rotate_keys(
    store: &dyn Store,
    master: &MasterKey,
    successors: Vec<KeyRecord>,
    (lead, now): (Lead, UnixTime),
) -> Result<(), AdminError> {
    check_changeable(store).await?;
    let records = unlock(store, master, now).await?;
    let plan = |keys: Vec<KeyRecord>, successor| plan_rotation(&keys, successor, lead, now);
    let keys = successors.into_iter().try_fold(records.keys, plan)?;
    store.put_keys(KeyRecords { keys, ..records }).await?;
    Ok(())
}

impl Admin {
    /// The ring that a client's tokens are to be signed with. Its first key is made when there is none, and signs after
    /// the lead like any other, since verifiers may hold a set without it; at once in a store that is new.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_ring(&self, algorithm: Algorithm, lead: Lead) -> Result<Ring, AdminError> {
        let lead = if self.store_is_new { lead.at_once() } else { lead };
        for _ in 0..ATTEMPTS {
            let records = unlock(&*self.store, &self.master, self.now).await?;
            if let Some(ring) = Ring::find(&records.keys, algorithm, self.now) {
                return Ok(ring);
            }
            let first = fresh_key(algorithm, &self.master, self.now)?;
            let keys = plan_ring(&records.keys, first, lead, self.now)?;
            match self.publish(records, keys).await {
                // Whoever came first may have made the ring.
                Err(AdminError::Store(StoreError::Conflict)) => {}
                published => drop(published?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Publishes a successor in every ring, to sign once every verifier knows it. A ring whose rotation is under way goes
    /// on with that, unless all are.
    ///
    /// # Errors
    /// While earlier rotations are under way, or when the store fails.
    pub async fn rotate_keys(&self, lead: Lead) -> Result<Vec<KeyRecord>, AdminError> {
        let records = unlock(&*self.store, &self.master, self.now).await?;
        let mut keys = records.keys.clone();
        for algorithm in Algorithm::ALL.into_iter().filter(|ring| has_ring(&records.keys, *ring, self.now)) {
            match plan_rotation(&keys, fresh_key(algorithm, &self.master, self.now)?, lead, self.now) {
                Ok(planned) => keys = planned,
                Err(KeyError::RotationUnderWay) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if keys == records.keys {
            return Err(KeyError::RotationUnderWay.into());
        }
        self.publish(records, keys).await
    }

    /// Publishes a successor in one ring, or its first key: so that it signs by the time that clients need it.
    ///
    /// # Errors
    /// While an earlier rotation is under way, or when the store fails.
    pub async fn rotate_ring(&self, algorithm: Algorithm, lead: Lead) -> Result<Vec<KeyRecord>, AdminError> {
        self.add_key(fresh_key(algorithm, &self.master, self.now)?, lead).await
    }

    /// Publishes a key that was made elsewhere, as [`Admin::rotate_ring`] does a fresh one.
    ///
    /// # Errors
    /// As [`Admin::rotate_ring`], and for a private part that is none of this algorithm.
    pub async fn import_key(
        &self,
        algorithm: Algorithm,
        secret: &[u8],
        lead: Lead,
    ) -> Result<Vec<KeyRecord>, AdminError> {
        let key = SigningKey::seal_as(algorithm, secret, (&self.master, rand::random()), (self.now, self.now))?;
        self.add_key(key, lead).await
    }

    async fn add_key(&self, key: KeyRecord, lead: Lead) -> Result<Vec<KeyRecord>, AdminError> {
        let records = unlock(&*self.store, &self.master, self.now).await?;
        let plan = if has_ring(&records.keys, key.algorithm()?, self.now) { plan_rotation } else { plan_ring };
        let keys = plan(&records.keys, key, lead, self.now)?;
        self.publish(records, keys).await
    }

    async fn publish(&self, records: KeyRecords, keys: Vec<KeyRecord>) -> Result<Vec<KeyRecord>, AdminError> {
        self.check_changeable().await?;
        self.store.put_keys(KeyRecords { keys: keys.clone(), ..records.clone() }).await?;
        let is_known = |key: &&KeyRecord| records.keys.iter().any(|known| known.kid == key.kid);
        for key in keys.iter().filter(|key| !is_known(key)) {
            self.note(&Event { kid: Some(key.kid.as_str()), ..Event::new(Kind::KeyPublished, "ok") })?;
        }
        Ok(keys)
    }

    /// Takes a key out of the JWKS at once: its tokens are good nowhere that the new set is known.
    ///
    /// # Errors
    /// For a key that signs or is not there, or when the store fails.
    pub async fn remove_key(&self, kid: &str) -> Result<Vec<KeyRecord>, AdminError> {
        self.check_changeable().await?;
        let records = unlock(&*self.store, &self.master, self.now).await?;
        let keys = plan_removal(&records.keys, kid, self.now)?;
        self.store.put_keys(KeyRecords { keys: keys.clone(), ..records }).await?;
        self.note(&Event { kid: Some(kid), ..Event::new(Kind::KeyRemoved, "ok") })?;
        Ok(keys)
    }
}
