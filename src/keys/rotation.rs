//! When keys come and go: plans, as new instants of the records. Whoever writes a plan compares and sets it, so of two
//! plans made at once one wins and the other's key is never used. Each ring is planned for itself.
//!
//! Invariants: a key signs only after it was published for a [`Lead`], but for an emergency that says so; a retired key
//! stays published until the last token that it signed has expired; the private part of a key that was lost is forgotten.
//! Nothing is forgotten because a clock says so.

use std::time::Duration;

use super::record::{KeyError, KeyRecord};
use super::set::KeyState;
use crate::clock::UnixTime;
use crate::oauth::Algorithm;

/// The distances between a key's instants.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// Publication to activation: JWKS max-age plus the skew of clocks.
    pub before_use: Duration,
    /// Retirement to removal: the longest lifetime of a token plus the skew of clocks.
    pub after_use: Duration,
}

impl Lead {
    /// Of a rotation that cannot wait: verifiers that hold an older set refuse new tokens until they fetch it again.
    #[must_use]
    pub const fn at_once(self) -> Self {
        Self { before_use: Duration::ZERO, ..self }
    }
}

/// Whether there is a ring of this algorithm: a key that signs, or that waits to.
#[must_use]
pub fn has_ring(records: &[KeyRecord], algorithm: Algorithm, now: UnixTime) -> bool {
    let lives = |record: &KeyRecord| matches!(KeyState::of(record, now), KeyState::Active | KeyState::Published);
    records.iter().any(|record| *record.alg == *algorithm.as_str() && lives(record))
}

/// Plans the first key of a ring: published now, and signing after the lead like any successor, since verifiers may
/// hold a set without it.
///
/// # Errors
/// [`KeyError::KnownKey`].
pub fn plan_ring(
    records: &[KeyRecord],
    first: KeyRecord,
    lead: Lead,
    now: UnixTime,
) -> Result<Vec<KeyRecord>, KeyError> {
    let mut planned = records.to_vec();
    planned.push(published(records, first, lead, now)?);
    Ok(planned)
}

/// A key as it enters its ring.
fn published(records: &[KeyRecord], key: KeyRecord, lead: Lead, now: UnixTime) -> Result<KeyRecord, KeyError> {
    if records.iter().any(|record| record.kid == key.kid) {
        return Err(KeyError::KnownKey);
    }
    Ok(KeyRecord { published_at: now, activated_at: now.plus(lead.before_use), ..key })
}

/// Plans a rotation of the successor's ring: the successor is published now and signs after the lead; the active key
/// retires at that instant and stays published until its last token has expired.
///
/// # Errors
/// [`KeyError::RotationUnderWay`] while an earlier successor waits, [`KeyError::NoKey`] when there is no such ring,
/// [`KeyError::KnownKey`].
pub fn plan_rotation(
    records: &[KeyRecord],
    successor: KeyRecord,
    lead: Lead,
    now: UnixTime,
) -> Result<Vec<KeyRecord>, KeyError> {
    let successor = published(records, successor, lead, now)?;
    let is_of_ring = |record: &KeyRecord| record.alg == successor.alg;
    let in_state = |state| records.iter().any(|record| is_of_ring(record) && KeyState::of(record, now) == state);
    // An emergency waits for no key, which may be just as lost, and needs none.
    let waits = !lead.before_use.is_zero();
    if waits && in_state(KeyState::Published) {
        return Err(KeyError::RotationUnderWay);
    }
    if waits && !in_state(KeyState::Active) {
        return Err(KeyError::NoKey);
    }
    let mut planned = records.to_vec();
    for record in planned.iter_mut().filter(|record| is_of_ring(record)) {
        if matches!(KeyState::of(record, now), KeyState::Active | KeyState::Published) {
            record.retired_at = Some(successor.activated_at);
            record.removed_at = Some(successor.activated_at.plus(lead.after_use));
        }
    }
    planned.push(successor);
    Ok(planned)
}

/// Plans the removal of a key that is not to be trusted any more: at once, everywhere.
///
/// # Errors
/// [`KeyError::UnknownKey`], or [`KeyError::KeySigns`] for the one that signs, or will as the first of its ring: another
/// one has to take over first.
pub fn plan_removal(records: &[KeyRecord], kid: &str, now: UnixTime) -> Result<Vec<KeyRecord>, KeyError> {
    let mut planned = records.to_vec();
    let is_meant = |record: &&mut KeyRecord| record.kid.as_str() == kid;
    let record = planned.iter_mut().find(is_meant).ok_or(KeyError::UnknownKey)?;
    let ring = record.alg.clone();
    let signs = |record: &KeyRecord| record.alg == ring && KeyState::of(record, now) == KeyState::Active;
    match KeyState::of(record, now) {
        KeyState::Published if records.iter().any(signs) => {}
        KeyState::Published | KeyState::Active => return Err(KeyError::KeySigns),
        KeyState::Removed => return Err(KeyError::UnknownKey),
        KeyState::Retired => {}
    }
    record.retired_at = Some(record.retired_at.map_or(now, |retired_at| retired_at.min(now)));
    record.removed_at = Some(now);
    record.sealed = "".into();
    Ok(revive_predecessor(planned, &ring, now))
}

/// The key that signs would retire for a successor that will never come: it goes on.
fn revive_predecessor(mut records: Vec<KeyRecord>, ring: &str, now: UnixTime) -> Vec<KeyRecord> {
    let in_state = |record: &KeyRecord, state| *record.alg == *ring && KeyState::of(record, now) == state;
    if !records.iter().any(|record| in_state(record, KeyState::Published)) {
        for record in records.iter_mut().filter(|record| in_state(record, KeyState::Active)) {
            (record.retired_at, record.removed_at) = (None, None);
        }
    }
    records
}

/// Whether the key of this ring that signs is to be replaced by now, so that its successor takes over when it is `every`
/// old.
#[must_use]
pub fn is_due<'a>(
    algorithm: Algorithm,
    records: impl Iterator<Item = &'a KeyRecord> + Clone,
    (every, lead): (Duration, Lead),
    now: UnixTime,
) -> bool {
    let ring = records.filter(|record| *record.alg == *algorithm.as_str());
    let waits = ring.clone().any(|record| KeyState::of(record, now) == KeyState::Published);
    let mut active = ring.filter(|record| KeyState::of(record, now) == KeyState::Active);
    let age = active.next().map(|record| now.plus(lead.before_use).since(record.activated_at));
    !waits && !every.is_zero() && age.is_some_and(|age| age >= every)
}

/// When another key of this ring takes over: the one that waits, or the one that the age of the active one calls for.
#[must_use]
pub fn next_rotation<'a>(
    ring: impl Iterator<Item = &'a KeyRecord>,
    every: Duration,
    now: UnixTime,
) -> Option<UnixTime> {
    let (mut waits, mut planned) = (None::<UnixTime>, None);
    for record in ring {
        match KeyState::of(record, now) {
            KeyState::Published => waits = waits.min(Some(record.activated_at)).or(Some(record.activated_at)),
            KeyState::Active if !every.is_zero() => planned = planned.or(Some(record.activated_at.plus(every))),
            KeyState::Active | KeyState::Retired | KeyState::Removed => {}
        }
    }
    waits.or(planned)
}

/// When the newest key of this ring was published.
#[must_use]
pub fn last_rotation<'a>(ring: impl Iterator<Item = &'a KeyRecord>, now: UnixTime) -> Option<UnixTime> {
    ring.map(|record| record.published_at).filter(|at| *at <= now).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeySet, MasterKey, SigningKey};

    const LEAD: Lead = Lead { before_use: Duration::from_secs(100), after_use: Duration::from_secs(1000) };

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    fn key(seed: u8, master: &MasterKey, from: u64) -> KeyRecord {
        SigningKey::seal(&[seed; 32], master, [seed; 12], (at(from), at(from))).unwrap()
    }

    fn signs(set: &KeySet, now: u64) -> Option<String> {
        set.active(Algorithm::EdDsa, at(now)).map(|key| key.kid().to_string())
    }

    #[test]
    fn j05_t215_a_rotation_publishes_first_signs_later_and_removes_last() {
        let master = MasterKey::from_random([9; 32]);
        let (old, new) = (key(1, &master, 0), key(2, &master, 0));
        let planned = plan_rotation(std::slice::from_ref(&old), new.clone(), LEAD, at(50)).unwrap();
        let set = KeySet::open(&planned, &master, at(50)).unwrap();
        let published = |set: &KeySet| String::from_utf8(set.document().to_vec()).unwrap();
        assert_eq!(signs(&set, 50), Some(old.kid.to_string()));
        assert_eq!(signs(&set, 149), Some(old.kid.to_string()));
        assert_eq!(signs(&set, 150), Some(new.kid.to_string()));
        for kid in [&old.kid, &new.kid] {
            assert!(published(&set).contains(kid.as_str()));
        }
        assert!(set.advanced_to(at(1149)).is_none(), "the last token of the old key may still be valid");
        let after = set.advanced_to(at(1150)).unwrap();
        assert!(!published(&after).contains(old.kid.as_str()));
        assert_eq!(signs(&after, 1150), Some(new.kid.to_string()));
    }

    #[test]
    fn a_second_rotation_waits_for_the_first() {
        let master = MasterKey::from_random([9; 32]);
        let planned = plan_rotation(&[key(1, &master, 0)], key(2, &master, 0), LEAD, at(0)).unwrap();
        let again = plan_rotation(&planned, key(3, &master, 0), LEAD, at(99));
        assert_eq!(again.unwrap_err(), KeyError::RotationUnderWay);
        assert!(plan_rotation(&planned, key(3, &master, 0), LEAD, at(100)).is_ok());
    }

    #[test]
    fn k07_an_emergency_signs_with_a_new_key_at_once_and_removes_the_lost_one() {
        let master = MasterKey::from_random([9; 32]);
        let (lost, waiting, fresh) = (key(1, &master, 0), key(2, &master, 0), key(3, &master, 0));
        let planned = plan_rotation(std::slice::from_ref(&lost), waiting.clone(), LEAD, at(10)).unwrap();
        assert_eq!(plan_removal(&planned, lost.kid.as_str(), at(20)), Err(KeyError::KeySigns));
        let planned = plan_rotation(&planned, fresh.clone(), LEAD.at_once(), at(20)).unwrap();
        let planned = plan_removal(&planned, lost.kid.as_str(), at(21)).unwrap();
        let set = KeySet::open(&planned, &master, at(21)).unwrap();
        assert_eq!(signs(&set, 21), Some(fresh.kid.to_string()));
        assert_eq!(signs(&set, 10_000), Some(fresh.kid.to_string()), "the one that waited never signs");
        assert!(!String::from_utf8_lossy(set.document()).contains(lost.kid.as_str()));
        let gone = planned.iter().find(|record| record.kid == lost.kid).unwrap();
        assert!(gone.sealed.is_empty(), "its private part is forgotten");
        assert_eq!(plan_removal(&planned, lost.kid.as_str(), at(22)), Err(KeyError::UnknownKey));
    }

    #[test]
    fn a_successor_that_is_removed_before_its_time_leaves_the_old_key_signing() {
        let master = MasterKey::from_random([9; 32]);
        let (old, successor) = (key(1, &master, 0), key(2, &master, 0));
        let planned = plan_rotation(std::slice::from_ref(&old), successor.clone(), LEAD, at(0)).unwrap();
        let planned = plan_removal(&planned, successor.kid.as_str(), at(50)).unwrap();
        let set = KeySet::open(&planned, &master, at(50)).unwrap();
        assert_eq!(signs(&set, 5_000), Some(old.kid.to_string()));
    }

    #[test]
    fn a_rotation_is_due_so_early_that_the_successor_takes_over_in_time() {
        let master = MasterKey::from_random([9; 32]);
        let records = [key(1, &master, 1000)];
        let due = |records: &[KeyRecord], every, now| {
            is_due(Algorithm::EdDsa, records.iter(), (Duration::from_secs(every), LEAD), at(now))
        };
        assert!(!due(&records, 500, 1399) && due(&records, 500, 1400));
        assert!(!due(&records, 0, 1_000_000), "switched off");
        let planned = plan_rotation(&records, key(2, &master, 0), LEAD, at(1400)).unwrap();
        assert!(!due(&planned, 500, 1450), "under way");
        assert!(!due(&planned, 500, 1500) && due(&planned, 500, 1900), "and again for the next one");
    }

    #[test]
    fn the_next_rotation_is_that_of_the_key_that_waits_or_of_the_age_of_the_one_that_signs() {
        let master = MasterKey::from_random([9; 32]);
        let records = [key(1, &master, 1000)];
        let next = |records: &[KeyRecord], every, now| {
            next_rotation(records.iter(), Duration::from_secs(every), at(now)).map(UnixTime::seconds)
        };
        assert_eq!(next(&records, 500, 1100), Some(1500));
        assert_eq!(next(&records, 0, 1100), None, "switched off");
        assert_eq!(next(&records, 500, 1700), Some(1500), "overdue");
        let planned = plan_rotation(&records, key(2, &master, 0), LEAD, at(1400)).unwrap();
        assert_eq!(next(&planned, 0, 1450), Some(1500), "by command");
        assert_eq!(next(&planned, 500, 1500), Some(2000), "it has taken over");
        assert_eq!(last_rotation(planned.iter(), at(1450)), Some(at(1400)));
        assert_eq!(last_rotation(planned.iter(), at(1399)), Some(at(1000)), "a clock that was set back");
    }

    fn key_of(algorithm: Algorithm, seed: u8, master: &MasterKey) -> KeyRecord {
        let secret = crate::keys::private::generate(algorithm, &[seed; 32].into()).unwrap();
        SigningKey::seal_as(algorithm, &secret, (master, [seed; 12]), (at(0), at(0))).unwrap()
    }

    #[test]
    fn each_ring_rolls_for_itself() {
        let master = MasterKey::from_random([9; 32]);
        let (old, ec) = (key(1, &master, 0), key_of(Algorithm::Es256, 2, &master));
        let begun = plan_ring(std::slice::from_ref(&old), ec.clone(), LEAD, at(10)).unwrap();
        assert!(has_ring(&begun, Algorithm::Es256, at(10)) && !has_ring(&begun, Algorithm::Rs256, at(10)));
        let set = KeySet::open(&begun, &master, at(10)).unwrap();
        let signs = |set: &KeySet, algorithm, now| set.active(algorithm, at(now)).map(|key| key.kid().clone());
        assert_eq!(
            (signs(&set, Algorithm::Es256, 109), set.active_from(Algorithm::Es256, at(109))),
            (None, Some(at(110)))
        );
        assert_eq!(signs(&set, Algorithm::Es256, 110), Some(ec.kid.clone()));
        // The first key of one ring waits: the other is rotated all the same, and its plan touches no other.
        let next = key(3, &master, 0);
        let planned = plan_rotation(&begun, next.clone(), LEAD, at(20)).unwrap();
        assert!(planned.contains(&begun[1]));
        let set = KeySet::open(&planned, &master, at(20)).unwrap();
        assert_eq!(
            (signs(&set, Algorithm::EdDsa, 120), signs(&set, Algorithm::Es256, 120)),
            (Some(next.kid), Some(ec.kid))
        );
        let without = plan_rotation(std::slice::from_ref(&old), key_of(Algorithm::Es256, 4, &master), LEAD, at(20));
        assert_eq!(without.unwrap_err(), KeyError::NoKey);
    }

    #[test]
    fn the_first_key_of_a_ring_cannot_be_removed_and_an_emergency_need_not_wait_for_it() {
        let master = MasterKey::from_random([9; 32]);
        let (old, first) = (key(1, &master, 0), key_of(Algorithm::Es256, 2, &master));
        let begun = plan_ring(std::slice::from_ref(&old), first.clone(), LEAD, at(10)).unwrap();
        assert_eq!(plan_removal(&begun, first.kid.as_str(), at(20)), Err(KeyError::KeySigns));
        let urgent = key_of(Algorithm::Es256, 3, &master);
        assert_eq!(plan_rotation(&begun, urgent.clone(), LEAD, at(20)), Err(KeyError::RotationUnderWay));
        let planned = plan_rotation(&begun, urgent.clone(), LEAD.at_once(), at(20)).unwrap();
        let set = KeySet::open(&planned, &master, at(20)).unwrap();
        assert_eq!(set.active(Algorithm::Es256, at(20)).unwrap().kid(), &urgent.kid);
        let planned = plan_removal(&planned, first.kid.as_str(), at(21)).unwrap();
        assert!(planned.contains(&old), "the other ring is as it was");
    }

    #[test]
    fn a_key_enters_its_ring_once() {
        let master = MasterKey::from_random([9; 32]);
        let (old, again) = (key(1, &master, 0), key(1, &master, 0));
        assert_eq!(plan_rotation(std::slice::from_ref(&old), again.clone(), LEAD, at(50)), Err(KeyError::KnownKey));
        assert_eq!(plan_ring(&[old], again, LEAD, at(50)), Err(KeyError::KnownKey));
    }
}
