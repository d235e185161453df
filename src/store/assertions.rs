//! Client assertions that were used, so that none is taken twice (RFC 7523 §3, item 7).
//!
//! Invariant: an assertion is known by its client and its `jti` together, since two clients may choose the same one.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::clock::UnixTime;
use crate::oauth::ClientId;

/// How long a record stays beyond the end of its assertion and the difference of clocks: one that is set back by less
/// takes nothing twice.
const KEPT_BEYOND: Duration = Duration::from_mins(10);

/// An assertion that was used. In the order of their ends; where several end at once, of their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsedAssertion {
    /// From when on it is refused for its age; the record is of no use after that.
    pub expires_at: UnixTime,
    /// What it is known by: a digest of its client and its `jti`.
    pub digest: [u8; 32],
}

impl UsedAssertion {
    /// The assertion that this client called `jti`.
    #[must_use]
    pub fn new(client: &ClientId, jti: &str, expires_at: UnixTime) -> Self {
        // No id has a zero byte, so no other pair has the same text.
        let digest = Sha256::new().chain_update(client.as_str()).chain_update([0]).chain_update(jti).finalize();
        Self { expires_at, digest: digest.into() }
    }

    /// The end before which no server takes an assertion any more, when their clocks differ by `skew`.
    #[must_use]
    pub fn replayable_from(now: UnixTime, skew: Duration) -> UnixTime {
        now.minus(skew)
    }

    /// The end before which records are cleared away.
    #[must_use]
    pub fn kept_from(now: UnixTime, skew: Duration) -> UnixTime {
        Self::replayable_from(now, skew).minus(KEPT_BEYOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t132_the_same_name_is_another_assertion_for_another_client() {
        let of = |id: &str, jti: &str, end| {
            UsedAssertion::new(&ClientId::parse(id).unwrap(), jti, UnixTime::from_seconds(end)).digest
        };
        assert_eq!(of("c_a", "j", 1), of("c_a", "j", 2), "whenever it ends");
        for other in [of("c_b", "j", 1), of("c_a", "k", 1), of("c_", "aj", 1), of("c_aj", "", 1)] {
            assert_ne!(of("c_a", "j", 1), other);
        }
    }
}
