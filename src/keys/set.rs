//! All signing keys at an instant: which ones sign, which are published, and the JWKS document (RFC 7517).
//!
//! A key's state follows from its stored instants alone, so every process that reads the same records agrees.
//! Leaves the instants themselves to `rotation`. Invariant: the document never holds a private part.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::jwk::{self, Jwk};
use super::master::MasterKey;
use super::policy::{Path, SigningPolicy, gravity};
use super::record::{KeyError, KeyRecord};
use super::signing::SigningKey;
use crate::clock::UnixTime;
use crate::oauth::Algorithm;

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// In the JWKS, does not sign yet.
    Published,
    /// In the JWKS, signs.
    Active,
    /// In the JWKS, signs no more.
    Retired,
    /// Gone from the JWKS.
    Removed,
}

impl KeyState {
    /// The state of `record` at `now`.
    #[must_use]
    pub fn of(record: &KeyRecord, now: UnixTime) -> Self {
        let reached = |instant: Option<UnixTime>| instant.is_some_and(|instant| now >= instant);
        if reached(record.removed_at) {
            Self::Removed
        } else if reached(record.retired_at) {
            Self::Retired
        } else if now >= record.activated_at {
            Self::Active
        } else {
            Self::Published
        }
    }

    /// The word for tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of keys in the order of the document: a verifier that gives up at a kind that it does not know has
/// found the older ones by then.
const PUBLISHED: [Algorithm; 4] = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];

/// Everything that signing and the JWKS endpoint need, made ready for one instant.
///
/// Every key is held, also one that is not published at that instant: a wall clock that runs ahead for a moment must
/// not cost a key that is needed once it is right again.
#[derive(Debug)]
pub struct KeySet {
    signing: Arc<[(KeyRecord, Arc<SigningKey>)]>,
    document: Arc<[u8]>,
    narrowed: [Arc<[u8]>; Algorithm::ALL.len()],
    /// Which of the keys stand in the documents.
    live: Vec<bool>,
    may_sign: bool,
}

fn live(keys: &[(KeyRecord, Arc<SigningKey>)], now: UnixTime) -> Vec<bool> {
    keys.iter().map(|(record, _)| KeyState::of(record, now) != KeyState::Removed).collect()
}

impl KeySet {
    /// Decrypts the records. Left out are those whose private part was forgotten, and those of an algorithm that only a
    /// newer version knows, which shares the store.
    ///
    /// # Errors
    /// When a key cannot be decrypted or does not match its record.
    pub fn open(records: &[KeyRecord], master: &MasterKey, now: UnixTime) -> Result<Self, KeyError> {
        Self::open_with(records, master, now, SigningPolicy::default())
    }

    /// The same, for keys that sign as the policy says.
    ///
    /// # Errors
    /// As [`KeySet::open`].
    pub fn open_with(
        records: &[KeyRecord],
        master: &MasterKey,
        now: UnixTime,
        policy: SigningPolicy,
    ) -> Result<Self, KeyError> {
        let whole = records.iter().filter(|record| !record.sealed.is_empty() && record.algorithm().is_ok());
        let mut signing = whole
            .map(|record| Ok((record.clone(), Arc::new(SigningKey::open_with(record, master, policy)?))))
            .collect::<Result<Vec<_>, KeyError>>()?;
        // Newest first, so that the first active one of a ring is the one that signs.
        signing.sort_by_key(|(record, key)| (key.algorithm(), std::cmp::Reverse(record.activated_at)));
        Ok(Self::publish(signing.into(), now))
    }

    /// The keys of these records, which were sound when they were opened and sign nothing any more: for tests of whoever
    /// signs.
    #[cfg(test)]
    pub(crate) fn broken(records: &[KeyRecord], master: &MasterKey, now: UnixTime) -> Self {
        let break_one =
            |record: &KeyRecord| (record.clone(), Arc::new(SigningKey::open(record, master).unwrap().broken()));
        Self::publish(records.iter().map(break_one).collect(), now)
    }

    /// By which code Ed25519 keys sign: the worst of it, if they differ. `None` without such keys.
    #[must_use]
    pub fn ed25519_path(&self) -> Option<Path> {
        self.signing.iter().filter_map(|(_, key)| key.path()).max_by_key(|path| gravity(*path))
    }

    /// The documents hold all keys but those removed by `now`.
    fn publish(signing: Arc<[(KeyRecord, Arc<SigningKey>)]>, now: UnixTime) -> Self {
        let live = live(&signing, now);
        let keys_of = |algorithm| {
            let live = signing.iter().zip(&live).filter(|(_, is_live)| **is_live).map(|((_, key), _)| key);
            live.filter(move |key| key.algorithm() == algorithm).map(|key| key.jwk())
        };
        let document: Arc<[u8]> = jwk::set(PUBLISHED.into_iter().flat_map(keys_of)).into();
        // A verifier can do nothing with an empty set, and anything with one that holds more than it asked for.
        let narrowed = Algorithm::ALL.map(|algorithm| match keys_of(algorithm).next() {
            Some(_) => jwk::set(keys_of(algorithm)).into(),
            None => Arc::clone(&document),
        });
        Self { signing, document, narrowed, live, may_sign: true }
    }

    /// The same keys with the document of `now`; `None` when it is the same as before.
    #[must_use]
    pub fn advanced_to(&self, now: UnixTime) -> Option<Self> {
        let publish = || Self { may_sign: self.may_sign, ..Self::publish(Arc::clone(&self.signing), now) };
        (live(&self.signing, now) != self.live).then(publish)
    }

    /// The same keys, published as before, of which none signs: for a process that has not seen the store for so long
    /// that others may have removed them.
    #[must_use]
    pub fn at_rest(&self) -> Self {
        let Self { signing, document, narrowed, live, .. } = self;
        let (signing, document) = (Arc::clone(signing), Arc::clone(document));
        Self { signing, document, narrowed: narrowed.clone(), live: live.clone(), may_sign: false }
    }

    /// False for a set that is at rest.
    #[must_use]
    pub const fn may_sign(&self) -> bool {
        self.may_sign
    }

    /// The key of this algorithm that signs at `now`.
    #[must_use]
    pub fn active(&self, algorithm: Algorithm, now: UnixTime) -> Option<&Arc<SigningKey>> {
        self.find_active(algorithm, now).map(|(_, key)| key)
    }

    fn find_active(&self, algorithm: Algorithm, now: UnixTime) -> Option<&(KeyRecord, Arc<SigningKey>)> {
        let mut ring = self.signing.iter().filter(|(_, key)| self.may_sign && key.algorithm() == algorithm);
        ring.find(|(record, _)| KeyState::of(record, now) == KeyState::Active)
    }

    /// When the first key of this algorithm begins to sign, while it is published and only waits for that.
    #[must_use]
    pub fn active_from(&self, algorithm: Algorithm, now: UnixTime) -> Option<UnixTime> {
        // A clock that was set back to before the key was made is no reason to wait for it.
        let waits = |record: &KeyRecord| record.published_at <= now && KeyState::of(record, now) == KeyState::Published;
        let ring = self.signing.iter().filter(|(_, key)| key.algorithm() == algorithm);
        ring.filter(|(record, _)| waits(record)).map(|(record, _)| record.activated_at).min()
    }

    /// True before the store has said which keys there are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signing.is_empty()
    }

    /// The records behind it, newest first within each ring.
    pub fn records(&self) -> impl Iterator<Item = &KeyRecord> + Clone {
        self.signing.iter().map(|(record, _)| record)
    }

    /// The JWKS document of all keys.
    #[must_use]
    pub const fn document(&self) -> &Arc<[u8]> {
        &self.document
    }

    /// The JWKS document for a verifier of this algorithm: its keys, or all where it has none.
    #[must_use]
    pub fn document_of(&self, algorithm: Option<Algorithm>) -> &Arc<[u8]> {
        algorithm.and_then(|algorithm| self.narrowed.get(algorithm.index())).unwrap_or(&self.document)
    }
}

/// The JWKS document of these records as of `now`, without their private parts being opened.
///
/// # Errors
/// When a record is damaged, or of a newer version.
pub fn export(records: &[KeyRecord], now: UnixTime) -> Result<Box<[u8]>, KeyError> {
    let mut live = Vec::new();
    for record in records.iter().filter(|record| KeyState::of(record, now) != KeyState::Removed) {
        let (algorithm, public) = (record.algorithm()?, URL_SAFE_NO_PAD.decode(record.public.as_bytes()));
        let jwk = Jwk::new(algorithm, &public.map_err(|_| KeyError::Mismatch)?)?;
        if jwk.kid != record.kid {
            return Err(KeyError::Mismatch);
        }
        let rank = PUBLISHED.iter().position(|published| *published == algorithm);
        live.push(((rank, std::cmp::Reverse(record.activated_at)), jwk.encode(algorithm)));
    }
    live.sort_by_key(|(order, _)| *order);
    Ok(jwk::set(live.iter().map(|(_, jwk)| &**jwk)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    fn key(seed: u8, master: &MasterKey, from: u64) -> KeyRecord {
        SigningKey::seal(&[seed; 32], master, [seed; 12], (at(from), at(from))).unwrap()
    }

    #[test]
    fn j03_the_document_holds_public_parts_only() {
        let master = MasterKey::from_random([9; 32]);
        let set = KeySet::open(&[key(1, &master, 0)], &master, at(0)).unwrap();
        let document: serde_json::Value = serde_json::from_slice(set.document()).unwrap();
        let members: Vec<&String> = document["keys"][0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    }

    #[test]
    fn p08_a_clock_that_runs_ahead_for_a_moment_costs_no_key() {
        let master = MasterKey::from_random([9; 32]);
        let mut old = key(1, &master, 0);
        (old.retired_at, old.removed_at) = (Some(at(100)), Some(at(200)));
        let set = KeySet::open(&[old.clone(), key(2, &master, 100)], &master, at(5_000)).unwrap();
        let ahead = set.advanced_to(at(10_000)).unwrap_or(set);
        assert!(!String::from_utf8_lossy(ahead.document()).contains(old.kid.as_str()));
        let right_again = ahead.advanced_to(at(50)).unwrap();
        assert_eq!(right_again.active(Algorithm::EdDsa, at(50)).unwrap().kid(), &old.kid);
        assert!(String::from_utf8_lossy(right_again.document()).contains(old.kid.as_str()));
    }

    #[test]
    fn k04_a_set_at_rest_is_published_as_before_and_signs_nothing() {
        let master = MasterKey::from_random([9; 32]);
        let mut old = key(1, &master, 0);
        old.removed_at = Some(at(200));
        let set = KeySet::open(&[old, key(2, &master, 0)], &master, at(5)).unwrap();
        let resting = set.at_rest();
        assert!(set.may_sign() && !resting.may_sign());
        assert_eq!(set.document(), resting.document());
        assert!(set.active(Algorithm::EdDsa, at(5)).is_some() && resting.active(Algorithm::EdDsa, at(5)).is_none());
        let later = resting.advanced_to(at(200)).expect("one of its keys is gone by then");
        assert!(!later.may_sign(), "time alone does not end the rest");
    }

    #[test]
    fn of_keys_that_sign_in_different_ways_the_worst_way_is_told() {
        use crate::keys::{Acceleration, Why};
        let master = MasterKey::from_random([9; 32]);
        let records = [key(1, &master, 0), key(2, &master, 0)];
        let signing = |order: [Acceleration; 2]| {
            let open = |(record, acceleration): (&KeyRecord, Acceleration)| {
                let policy = SigningPolicy { acceleration, ..SigningPolicy::default() };
                (record.clone(), Arc::new(SigningKey::open_with(record, &master, policy).unwrap()))
            };
            KeySet::publish(records.iter().zip(order).map(open).collect(), at(0))
        };
        let orders = [[Acceleration::Off, Acceleration::Detect], [Acceleration::Detect, Acceleration::Off]];
        for set in orders.map(signing) {
            let told = set.ed25519_path();
            // A machine without lanes has two reasons that are as good.
            assert!([Why::SwitchedOff, Why::Unsupported].map(|why| Some(Path::Portable(why))).contains(&told));
        }
    }

    /// A key of each algorithm, the oldest of which is from `from`.
    fn one_of_each(master: &MasterKey) -> Vec<KeyRecord> {
        let key = |(byte, algorithm): (u8, Algorithm)| {
            let secret = crate::keys::private::generate(algorithm, &[byte; 32].into()).unwrap();
            SigningKey::seal_as(algorithm, &secret, (master, [byte; 12]), (at(0), at(byte.into()))).unwrap()
        };
        (1..).zip(Algorithm::ALL).map(key).collect()
    }

    fn algorithms(document: &[u8]) -> Vec<String> {
        let document: serde_json::Value = serde_json::from_slice(document).unwrap();
        document["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn j03_the_document_holds_rsa_then_ec_then_okp_and_of_each_only_public_parts() {
        let master = MasterKey::from_random([9; 32]);
        let records = one_of_each(&master);
        let set = KeySet::open(&records, &master, at(9)).unwrap();
        assert_eq!(algorithms(set.document()), ["RS256", "PS256", "ES256", "EdDSA"]);
        assert_eq!(*export(&records, at(9)).unwrap(), **set.document(), "the same without the master key");
        let document: serde_json::Value = serde_json::from_slice(set.document()).unwrap();
        let members = |key: usize| document["keys"][key].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(members(0), ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!(members(2), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }

    #[test]
    fn a_narrowed_document_has_the_keys_of_one_algorithm_and_is_never_empty() {
        let master = MasterKey::from_random([9; 32]);
        let records = one_of_each(&master);
        let set = KeySet::open(&records, &master, at(9)).unwrap();
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithms(set.document_of(Some(algorithm))), [algorithm.as_str()]);
        }
        assert_eq!(set.document_of(None), set.document());
        let set = KeySet::open(&records[..2], &master, at(9)).unwrap();
        assert_eq!(set.document_of(Some(Algorithm::Rs256)), set.document());
    }
}
