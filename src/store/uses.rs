//! What stands between authentication and a backend: on which day each secret was last used.
//!
//! A client in memory carries a mark per secret, so that only its first use of a day leaves the steady path, which
//! reads the mark and nothing else. What is new waits here until the follower of `app` takes it to the store. It is
//! no promise: what waits when the process is killed is lost, and with it a day's mark at most.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::SecretUse;
use crate::clock::UnixDay;
use crate::oauth::{Client, ClientId, SecretId};

/// How many uses wait at the most; more are dropped, since a store that takes none should not cost memory as well.
const MOST_WAITING: usize = 100_000;

/// The last day of use of each secret of one client, as this process knows it.
#[derive(Debug)]
pub struct DayMarks(SmallVec<[AtomicU32; 4]>);

impl DayMarks {
    /// A mark for each secret of `client`, none of which was seen.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        Self(client.secrets.iter().map(|_| AtomicU32::new(0)).collect())
    }

    /// Marks the secret at `position`; true for its first use of this day. No lock, and no write but the first.
    #[must_use]
    pub fn mark(&self, position: usize, day: UnixDay) -> bool {
        // Two workers may both be the first, and say the same.
        let is_first = |mark: &&AtomicU32| mark.load(Ordering::Relaxed) < day.0;
        let first = self.0.get(position).filter(is_first);
        if let Some(mark) = first {
            mark.store(day.0, Ordering::Relaxed);
        }
        first.is_some()
    }
}

/// Uses that the store does not know of yet.
#[derive(Debug, Default)]
pub struct SecretUses(Mutex<HashMap<(ClientId, SecretId), UnixDay>>);

impl SecretUses {
    /// Lets a use wait for the store; of several of one secret the latest.
    pub fn note(&self, used: SecretUse) {
        let mut waiting = self.waiting();
        let (SecretUse { client, secret, day }, is_full) = (used, waiting.len() >= MOST_WAITING);
        let key = (client, secret);
        if let Some(held) = waiting.get_mut(&key) {
            *held = day.max(*held);
        } else if !is_full {
            waiting.insert(key, day);
        }
    }

    /// Up to `limit` uses, which no longer wait.
    #[must_use]
    pub fn take(&self, limit: usize) -> Vec<SecretUse> {
        let mut waiting = self.waiting();
        let keys: Vec<_> = waiting.keys().take(limit).cloned().collect();
        keys.into_iter()
            .filter_map(|key| {
                let day = waiting.remove(&key)?;
                Some(SecretUse { client: key.0, secret: key.1, day })
            })
            .collect()
    }

    /// Every step under the lock leaves the state whole, so a panic elsewhere cannot have broken it.
    fn waiting(&self) -> MutexGuard<'_, HashMap<(ClientId, SecretId), UnixDay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(secret: &str, day: u32) -> SecretUse {
        let client = ClientId::parse("c_1").unwrap();
        SecretUse { client, secret: secret.to_owned().into(), day: UnixDay(day) }
    }

    #[test]
    fn only_the_first_use_of_a_day_is_new() {
        let marks = DayMarks([0, 0].into_iter().map(AtomicU32::new).collect());
        assert!(marks.mark(0, UnixDay(5)));
        assert!(!marks.mark(0, UnixDay(5)));
        assert!(marks.mark(1, UnixDay(5)), "each secret has a mark of its own");
        assert!(!marks.mark(0, UnixDay(4)), "a clock that goes back");
        assert!(marks.mark(0, UnixDay(6)));
        assert!(!marks.mark(2, UnixDay(6)), "no such secret");
    }

    #[test]
    fn the_latest_use_waits_until_it_is_taken() {
        let uses = SecretUses::default();
        for day in [7, 9, 8] {
            uses.note(used("s_1", day));
        }
        uses.note(used("s_2", 3));
        assert_eq!(uses.take(1).len(), 1);
        let mut rest = uses.take(10);
        assert_eq!(rest.len(), 1);
        uses.note(rest.remove(0));
        uses.note(used("s_1", 9));
        assert!(uses.take(10).contains(&used("s_1", 9)));
        assert!(uses.take(10).is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let uses = SecretUses::default();
        for number in 0..=MOST_WAITING {
            uses.note(used(&number.to_string(), 1));
        }
        assert_eq!(uses.waiting().len(), MOST_WAITING);
        uses.note(used("0", 2));
        assert!(uses.take(MOST_WAITING).contains(&used("0", 2)), "what waits already is still brought up to date");
    }
}
