//! Records that only the servers of this master key can have written, for a store that others can write to.
//!
//! A mark is the HMAC-SHA-256 of a record's name and text under a key of its own. It proves who wrote a record, not
//! when: an older record of the same name is as good.

use super::master::{MasterKey, MasterKeyCheck};
use crate::oauth::{SecretHash, SecretHasher};

/// Marks records.
#[derive(Clone, Debug)]
pub struct RecordSeal {
    hasher: SecretHasher,
    check: MasterKeyCheck,
}

impl RecordSeal {
    /// The marks under this master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self { hasher: master.record_hasher(), check: master.check() }
    }

    /// The mark of a record. Its name holds no line break.
    #[must_use]
    pub fn mark(&self, name: &str, text: &str) -> String {
        self.digest(name, text).into()
    }

    /// Whether the record was written under this master key.
    #[must_use]
    pub fn is_mark(&self, mark: &str, name: &str, text: &str) -> bool {
        SecretHash::try_from(mark.to_owned()).is_ok_and(|mark| mark.matches(&self.digest(name, text)))
    }

    /// Whether `check` is that of the same master key.
    #[must_use]
    pub fn is_under(&self, check: &MasterKeyCheck) -> bool {
        self.check == *check
    }

    fn digest(&self, name: &str, text: &str) -> SecretHash {
        self.hasher.hash(&format!("{name}\n{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d24_a_mark_is_good_for_its_name_its_text_and_its_key() {
        let seal = |byte| RecordSeal::new(&MasterKey::from_random([byte; 32]));
        let mark = seal(1).mark("client c_1", "3 {}");
        assert!(seal(1).is_mark(&mark, "client c_1", "3 {}"));
        assert!(!seal(1).is_mark(&mark, "client c_2", "3 {}"), "another record's");
        assert!(!seal(1).is_mark(&mark, "client c_1", "4 {}"), "another revision");
        assert!(!seal(2).is_mark(&mark, "client c_1", "3 {}"), "another key");
        for nonsense in ["", "x", &mark[1..]] {
            assert!(!seal(1).is_mark(nonsense, "client c_1", "3 {}"));
        }
        let same_bits = MasterKey::from_random([1; 32]).token_hasher().hash("client c_1\n3 {}");
        assert_ne!(mark, String::from(same_bits), "no other digest under the master key is a mark");
    }
}
