//! What is known of a client's secrets, so that nobody has to guess which of them can go.

use std::time::Duration;

use super::AdminError;
use crate::clock::{UnixDay, UnixTime};
use crate::oauth::{Client, ClientSecret};
use crate::store::{SecretUses, Store};

/// A secret that nobody used for so long is taken for forgotten.
const IDLE_AFTER: Duration = Duration::from_hours(30 * 24);

/// A secret and what became of it.
#[derive(Debug)]
pub struct SecretState {
    /// Its record.
    pub secret: ClientSecret,
    /// The day of its last use, when there was one.
    pub last_used: Option<UnixDay>,
    /// Whether it is of use to anyone.
    pub verdict: Verdict,
}

/// Whether a secret can be removed without anyone noticing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No: it is new, or it was used not long ago.
    InUse,
    /// Yes: it no longer authenticates.
    Expired,
    /// Yes: nobody used it for 30 days or more.
    Unused,
}

impl Verdict {
    /// True when the secret can be removed.
    #[must_use]
    pub const fn is_safe_to_remove(self) -> bool {
        matches!(self, Self::Expired | Self::Unused)
    }
}

/// The secrets of a client, in the order in which they were made.
///
/// # Errors
/// When the store fails.
pub async fn list_secrets(store: &dyn Store, client: &Client, now: UnixTime) -> Result<Vec<SecretState>, AdminError> {
    let uses = store.list_secret_uses(&client.id).await?;
    Ok(client.secrets.iter().map(|secret| judge(secret, &uses, now)).collect())
}

fn judge(secret: &ClientSecret, uses: &SecretUses, now: UnixTime) -> SecretState {
    let last_used = uses.last.iter().find(|used| used.secret == secret.id).map(|used| used.day);
    // It may have been used up to the end of its last day; one that never was, up to when that began to be noted.
    let idle_from = last_used.map_or_else(|| secret.created_at.max(uses.since.end()), UnixDay::end);
    let verdict = if !secret.is_live(now) {
        Verdict::Expired
    } else if now.since(idle_from) >= IDLE_AFTER {
        Verdict::Unused
    } else {
        Verdict::InUse
    };
    SecretState { secret: secret.clone(), last_used, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{ClientId, SecretHash, SecretId};
    use crate::store::SecretUse;

    const DAY: u64 = 86_400;

    fn verdict(made: u64, expires: Option<u64>, used: Option<u32>, since: u32, now: u64) -> Verdict {
        let [created_at, now] = [made, now].map(|day| UnixTime::from_seconds(day * DAY));
        let expires_at = expires.map(|day| UnixTime::from_seconds(day * DAY));
        let (id, client) = (SecretId::from_random([1; 6]), ClientId::parse("c_1").unwrap());
        let secret = ClientSecret { id: id.clone(), hash: SecretHash::DECOY, created_at, expires_at };
        let other = SecretUse { client: client.clone(), secret: "s_other".to_owned().into(), day: UnixDay(1000) };
        let last = used.map(|day| SecretUse { client, secret: id, day: UnixDay(day) }).into_iter().chain([other]);
        judge(&secret, &SecretUses { since: UnixDay(since), last: last.collect() }, now).verdict
    }

    #[test]
    fn a_secret_is_safe_to_remove_when_it_expired_or_was_not_used_for_thirty_days() {
        for (made, expires, used, since, now, expected) in [
            (100, None, None, 0, 100, Verdict::InUse),
            (100, None, None, 0, 129, Verdict::InUse),
            (100, None, None, 0, 130, Verdict::Unused),
            (100, None, Some(120), 0, 150, Verdict::InUse),
            (100, None, Some(120), 0, 151, Verdict::Unused),
            (100, None, Some(900), 0, 151, Verdict::InUse),
            (100, Some(151), Some(150), 0, 150, Verdict::InUse),
            (100, Some(151), Some(150), 0, 151, Verdict::Expired),
            (100, Some(110), None, 0, 300, Verdict::Expired),
            // Of an old secret in a store that has begun to note uses only lately, nothing is known yet.
            (100, None, None, 500, 510, Verdict::InUse),
            (100, None, None, 500, 531, Verdict::Unused),
        ] {
            let found = verdict(made, expires, used, since, now);
            assert_eq!(found, expected, "made {made}, expires {expires:?}, used {used:?}, since {since}, now {now}");
            assert_eq!(found.is_safe_to_remove(), expected != Verdict::InUse);
        }
    }
}
