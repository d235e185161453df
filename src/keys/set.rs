//! All signing keys at an instant: which one signs, which are published, and the JWKS document (RFC 7517).
//!
//! A key's state follows from its stored instants alone, so every process that reads the same records agrees.
//! Leaves the instants themselves to `rotation`. Invariant: the document never holds a private part.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::master::MasterKey;
use super::record::{KeyError, KeyRecord};
use super::signing::{EDDSA, SigningKey};
use crate::clock::UnixTime;

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

/// Everything that signing and the JWKS endpoint need, made ready for one instant.
///
/// Every key is held, also one that is not published at that instant: a wall clock that runs ahead for a moment must
/// not cost a key that is needed once it is right again.
#[derive(Debug)]
pub struct KeySet {
    signing: Arc<[(KeyRecord, Arc<SigningKey>)]>,
    document: Arc<[u8]>,
}

impl KeySet {
    /// Decrypts the records. Left out are those whose private part was forgotten, and those of an algorithm that only a
    /// newer version knows, which shares the store.
    ///
    /// # Errors
    /// When a key cannot be decrypted or does not match its record.
    pub fn open(records: &[KeyRecord], master: &MasterKey, now: UnixTime) -> Result<Self, KeyError> {
        let whole = records.iter().filter(|record| !record.sealed.is_empty() && *record.alg == *EDDSA);
        let mut signing = whole
            .map(|record| Ok((record.clone(), Arc::new(SigningKey::open(record, master)?))))
            .collect::<Result<Vec<_>, KeyError>>()?;
        // Newest first, so that the first active one is the one that signs.
        signing.sort_by_key(|(record, _)| std::cmp::Reverse(record.activated_at));
        let document = render(&signing, now);
        Ok(Self { signing: signing.into(), document })
    }

    /// The same keys with the document of `now`; `None` when it is the same as before.
    #[must_use]
    pub fn advanced_to(&self, now: UnixTime) -> Option<Self> {
        let document = render(&self.signing, now);
        (document != self.document).then(|| Self { signing: Arc::clone(&self.signing), document })
    }

    /// The key that signs at `now`.
    #[must_use]
    pub fn active(&self, now: UnixTime) -> Option<&Arc<SigningKey>> {
        self.signing.iter().find(|(record, _)| KeyState::of(record, now) == KeyState::Active).map(|(_, key)| key)
    }

    /// Since when the key that signs at `now` has done so.
    #[must_use]
    pub fn active_since(&self, now: UnixTime) -> Option<UnixTime> {
        let active = self.signing.iter().find(|(record, _)| KeyState::of(record, now) == KeyState::Active);
        active.map(|(record, _)| record.activated_at)
    }

    /// The records behind it, newest first.
    pub fn records(&self) -> impl Iterator<Item = &KeyRecord> + Clone {
        self.signing.iter().map(|(record, _)| record)
    }

    /// The JWKS document.
    #[must_use]
    pub const fn document(&self) -> &Arc<[u8]> {
        &self.document
    }
}

/// All keys but the removed ones.
fn render(keys: &[(KeyRecord, Arc<SigningKey>)], now: UnixTime) -> Arc<[u8]> {
    let published = keys.iter().map(|(record, _)| record).filter(|key| KeyState::of(key, now) != KeyState::Removed);
    let keys: Vec<String> = published
        .map(|key| {
            let KeyRecord { public, kid, alg, .. } = key;
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{public}","kid":"{kid}","alg":"{alg}","use":"sig"}}"#)
        })
        .collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(",")).into_bytes().into()
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
        assert_eq!(right_again.active(at(50)).unwrap().kid(), &old.kid);
        assert!(String::from_utf8_lossy(right_again.document()).contains(old.kid.as_str()));
    }
}
