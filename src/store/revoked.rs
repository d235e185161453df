//! What stands between introspection and a backend: every live revocation, in memory.
//!
//! Asking takes no lock and no round trip. The follower of `app` fills the set from the store, which is the truth; how
//! old the news may be is part of the answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Revocation;
use crate::clock::UnixTime;
use crate::jwt::TokenId;

/// How old the news from the store may be before introspection no longer answers from memory: the promise is one
/// second.
const CURRENT_FOR: Duration = Duration::from_secs(1);
/// Ends are grouped by this many seconds, so that forgetting them is cheap.
const GROUP_SECONDS: u64 = 16;

/// Every live revocation, in memory.
#[derive(Debug)]
pub struct RevokedTokens {
    tokens: papaya::HashMap<TokenId, ()>,
    /// The same tokens by when they may be forgotten.
    ends: Mutex<BTreeMap<u64, Vec<TokenId>>>,
    start: Instant,
    /// Milliseconds since `start`, and one more, when the store was last asked with success; 0 for never.
    current_at: AtomicU64,
}

impl Default for RevokedTokens {
    fn default() -> Self {
        let (tokens, ends) = (papaya::HashMap::new(), Mutex::default());
        Self { tokens, ends, start: Instant::now(), current_at: AtomicU64::new(0) }
    }
}

impl RevokedTokens {
    /// True for a token that was revoked. No lock, no I/O.
    #[must_use]
    pub fn contains(&self, token: &TokenId) -> bool {
        self.tokens.pin().contains_key(token)
    }

    /// Notes revocations; those that are known already change nothing.
    pub fn insert(&self, revocations: &[Revocation]) {
        let tokens = self.tokens.pin();
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for revocation in revocations {
            if tokens.insert(revocation.token, ()).is_none() {
                ends.entry(revocation.expires_at.seconds() / GROUP_SECONDS).or_default().push(revocation.token);
            }
        }
    }

    /// Everything that is held; the ends are late by some seconds.
    #[must_use]
    pub fn all(&self) -> Vec<Revocation> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = ends.iter().map(|(group, tokens)| (UnixTime::from_seconds((group + 1) * GROUP_SECONDS), tokens));
        groups
            .flat_map(|(expires_at, tokens)| tokens.iter().map(move |token| Revocation { token: *token, expires_at }))
            .collect()
    }

    /// Forgets up to `limit` tokens, and a group more, that expired before `now`.
    pub fn forget_expired(&self, now: UnixTime, limit: usize) {
        let tokens = self.tokens.pin();
        let mut forgotten = 0;
        while forgotten < limit {
            let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(group) = ends.first_entry().filter(|group| (group.key() + 1) * GROUP_SECONDS < now.seconds())
            else {
                return;
            };
            let expired = group.remove();
            drop(ends);
            forgotten += expired.len();
            for token in &expired {
                tokens.remove(token);
            }
        }
    }

    /// Notes that the store was asked at `asked` for everything up to then.
    pub fn note_current(&self, asked: Instant) {
        self.current_at.fetch_max(self.millis(asked) + 1, Ordering::Relaxed);
    }

    /// Whether this is everything that the store had acknowledged a second ago.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let Some(current_at) = self.current_at.load(Ordering::Relaxed).checked_sub(1) else { return false };
        let age = self.millis(Instant::now()).saturating_sub(current_at);
        age <= u64::try_from(CURRENT_FOR.as_millis()).unwrap_or(u64::MAX)
    }

    /// How many tokens are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// True when nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    fn millis(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(number: u8, end: u64) -> Revocation {
        Revocation { token: TokenId([number; 16]), expires_at: UnixTime::from_seconds(end) }
    }

    #[test]
    fn r11_a_revocation_is_kept_until_its_token_has_expired_and_then_forgotten() {
        let revoked = RevokedTokens::default();
        revoked.insert(&[revocation(1, 100), revocation(2, 1000), revocation(1, 100)]);
        assert_eq!(revoked.len(), 2);
        revoked.forget_expired(UnixTime::from_seconds(100), 10);
        assert!(revoked.contains(&TokenId([1; 16])), "the second of its end is not over");
        revoked.forget_expired(UnixTime::from_seconds(100 + 2 * GROUP_SECONDS), 10);
        assert!(!revoked.contains(&TokenId([1; 16])) && revoked.contains(&TokenId([2; 16])));
        revoked.forget_expired(UnixTime::from_seconds(5000), 10);
        assert!(revoked.is_empty() && revoked.ends.lock().unwrap().is_empty());
    }

    #[test]
    fn i15_news_older_than_a_second_is_not_current() {
        let mut revoked = RevokedTokens::default();
        assert!(!revoked.is_current(), "never asked, in the first second, too");
        revoked.note_current(Instant::now());
        assert!(revoked.is_current());
        revoked.start -= Duration::from_millis(1100);
        assert!(!revoked.is_current());
    }
}
