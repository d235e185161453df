//! How two stores are compared: by count, and by a digest that does not depend on the order.
//!
//! The digest is the sum of the SHA-256 of each record, word by word (the idea of AdHash): it finds what was lost,
//! doubled or altered by accident. It is no proof against somebody who chooses the records.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::oauth::Client;
use crate::store::assertions::UsedAssertion;
use crate::store::{KeyRecords, Revocation, SecretUse, TokenRecord};

/// What was counted on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    sum: [u64; 4],
}

impl Tally {
    /// How many records.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The digest in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        let [a, b, c, d] = self.sum;
        format!("{a:016x}{b:016x}{c:016x}{d:016x}")
    }

    /// Counts a record in its one form: its fields in order, as JSON.
    fn add(&mut self, record: &impl Serialize) {
        // Our records have no map with odd keys, so this cannot fail; if it did, the digests would differ.
        let bytes = serde_json::to_vec(record).unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        for (sum, word) in self.sum.iter_mut().zip(digest.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
        self.count += 1;
    }

    pub(super) fn add_clients(&mut self, clients: &[Client]) {
        for client in clients {
            self.add(client);
        }
    }

    pub(super) fn add_uses<'a>(&mut self, uses: impl Iterator<Item = &'a SecretUse>) {
        for SecretUse { client, secret, day } in uses {
            self.add(&(client, secret, day.0));
        }
    }

    pub(super) fn add_tokens<'a>(&mut self, tokens: impl Iterator<Item = &'a TokenRecord>) {
        for TokenRecord { digest, id, client, scope, audience, issued_at, expires_at } in tokens {
            self.add(&(digest, id.0, client, scope.as_str(), audience, issued_at, expires_at));
        }
    }

    pub(super) fn add_revocation(&mut self, revocation: &Revocation) {
        self.add(&(revocation.token.0, revocation.expires_at));
    }

    pub(super) fn add_assertions(&mut self, used: &[UsedAssertion]) {
        for UsedAssertion { expires_at, digest } in used {
            self.add(&(digest, expires_at));
        }
    }

    pub(super) fn add_keys(&mut self, records: &KeyRecords) {
        self.add(&records.check);
        for key in &records.keys {
            self.add(key);
        }
    }
}

/// As in the output of `store copy`.
impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tally = serializer.serialize_struct("Tally", 2)?;
        tally.serialize_field("count", &self.count)?;
        tally.serialize_field("digest", &self.digest())?;
        tally.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(records: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for record in records {
            tally.add(record);
        }
        tally
    }

    #[test]
    fn the_order_does_not_matter_and_everything_else_does() {
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        for other in [&["a", "b"][..], &["a", "b", "c", "c"], &["a", "b", "d"], &["a", "bc", ""], &[]] {
            assert_ne!(of(&["a", "b", "c"]).digest(), of(other).digest(), "{other:?}");
        }
        assert_ne!(of(&["a", "a"]).digest(), of(&["b", "b"]).digest(), "pairs do not cancel out");
    }
}
