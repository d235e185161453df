//! What a server does to the store now and then, beside the follower and away from all requests: it clears away what has
//! expired, writes down when secrets were used, and lets keys roll.

use std::sync::Arc;
use std::time::Duration;

use super::Follower;
use crate::admin::{self, AdminError};
use crate::app::App;
use crate::audit::{Event, Kind};
use crate::clock::UnixTime;
use crate::config::Config;
use crate::keys::rotation::is_due;
use crate::keys::{KeyError, Kid, Lead, MasterKey};
use crate::oauth::Algorithm;
use crate::store::assertions::UsedAssertion;
use crate::store::{Store, StoreError};

/// How many expired revocations go at a time.
const PURGE_AT_ONCE: usize = 1000;
/// The pause before the next ones.
const PURGE_APART: Duration = Duration::from_millis(200);
/// How often expired revocations are looked for, once there are none left, by one of all servers.
const PURGE_EVERY: Duration = Duration::from_secs(10);

/// How many uses of secrets go to the store at a time.
const USES_AT_ONCE: usize = 1000;
/// How often they go: on most days every secret is used first soon after midnight, all at once.
const USES_EVERY: Duration = Duration::from_secs(1);
/// How long a failed write of them waits before the next try.
const USES_AGAIN: Duration = Duration::from_secs(10);

/// How long the end of the process waits for them.
const LAST_USES_DEADLINE: Duration = Duration::from_secs(2);

/// How long a failed rotation waits before the next try.
const ROTATE_AGAIN: Duration = Duration::from_secs(5);

impl Follower {
    /// Removes revocations and opaque tokens that no clock takes for valid any more, however wrong it was at the start, and
    /// used assertions that are refused for their age: a few at a time, so that no other write waits for it, and beside
    /// the follower, so that a slow disk does not keep it from the news.
    pub(super) fn purge_revocations(&mut self) {
        let Config { keys, token, .. } = &self.app.config;
        let before = self.app.clock.now().minus(keys.clock_skew + token.max_lifetime);
        let used_before = UsedAssertion::kept_from(self.app.clock.now(), keys.clock_skew);
        self.app.revoked.forget_expired(before, PURGE_AT_ONCE);
        if self.purge.as_ref().is_some_and(|purge| !purge.is_finished()) {
            return;
        }
        let store = Arc::clone(&self.store);
        self.purge = Some(tokio::spawn(async move {
            let purged = match store.take_turn("purge", PURGE_EVERY).await {
                Ok(true) => purge(&*store, before, used_before).await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = purged {
                // A store that can be read but not written still serves.
                tracing::warn!(%error, "what has expired could not be removed");
            }
            tokio::time::sleep(PURGE_EVERY).await;
        }));
    }

    /// Writes down which secrets were used for the first time today, beside the follower and away from all requests.
    pub(super) fn flush_secret_uses(&mut self) {
        if self.flush.as_ref().is_some_and(|flush| !flush.is_finished()) {
            return;
        }
        let uses = self.app.authenticator.uses().take(USES_AT_ONCE);
        if uses.is_empty() {
            return;
        }
        let (app, store) = (Arc::clone(&self.app), Arc::clone(&self.store));
        self.flush = Some(tokio::spawn(async move {
            if let Err(error) = store.put_secret_uses(uses.clone()).await {
                tracing::warn!(%error, "when secrets were last used could not be written down");
                for used in uses {
                    app.authenticator.uses().note(used);
                }
                tokio::time::sleep(USES_AGAIN).await;
            }
            tokio::time::sleep(USES_EVERY).await;
        }));
    }

    /// Publishes successors in time, beside the follower. Several servers may try: the store lets one of them, and all
    /// follow its plan.
    pub(super) fn rotate_keys(&mut self) {
        let (every, lead) = (self.app.config.keys.rotate_every, self.app.config.lead());
        let (now, keys) = (self.app.clock.now(), self.app.keys.load());
        let is_due = |ring: &Algorithm| is_due(*ring, keys.records(), (every, lead), now);
        let due: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(is_due).collect();
        let tries = self.rotation.as_ref().is_some_and(|rotation| !rotation.is_finished());
        if tries || due.is_empty() {
            return;
        }
        let (app, store, master) = (Arc::clone(&self.app), Arc::clone(&self.store), Arc::clone(&self.master));
        self.rotation = Some(tokio::spawn(async move {
            match rotate(&*store, master, due, (lead, now)).await {
                Ok(kids) => kids.iter().for_each(|kid| {
                    let kid = kid.as_str();
                    tracing::info!(kid, "a new signing key is published, and signs once every verifier knows it");
                    let event = Event { kid: Some(kid), actor: Some("server"), ..Event::new(Kind::KeyPublished, "ok") };
                    app.audit.record(usize::MAX, &event);
                }),
                // Another server plans it, or will: in a store that is still a copy, one of its source.
                Err(
                    AdminError::Store(StoreError::Conflict)
                    | AdminError::Key(KeyError::RotationUnderWay)
                    | AdminError::Moving(_),
                ) => {}
                Err(error) => tracing::warn!(%error, "a signing key is due, but could not be replaced"),
            }
            tokio::time::sleep(ROTATE_AGAIN).await;
        }));
    }
}

impl App {
    /// Writes down which secrets were used since the follower last did, once nobody uses any more. Not for long: it is no
    /// promise, and the process is about to end.
    pub async fn write_last_uses(&self, store: &dyn Store) {
        let write = async {
            loop {
                let uses = self.authenticator.uses().take(USES_AT_ONCE);
                if uses.is_empty() {
                    return Ok(());
                }
                store.put_secret_uses(uses).await?;
            }
        };
        let written = tokio::time::timeout(LAST_USES_DEADLINE, write).await.unwrap_or(Err(StoreError::Deadline));
        if let Err(error) = written {
            tracing::warn!(%error, "when secrets were last used could not be written down");
        }
    }
}

/// Until nothing of what has expired is left.
async fn purge(store: &dyn Store, before: UnixTime, used_before: UnixTime) -> Result<(), StoreError> {
    loop {
        let purged = [
            store.purge_revocations(before, PURGE_AT_ONCE).await,
            store.purge_tokens(before, PURGE_AT_ONCE).await,
            store.purge_assertions(used_before, PURGE_AT_ONCE).await,
        ];
        let mut is_more = false;
        for purged in purged {
            is_more |= purged? == PURGE_AT_ONCE;
        }
        if !is_more {
            return Ok(());
        }
        tokio::time::sleep(PURGE_APART).await;
    }
}

/// The names of the successors that are published now.
async fn rotate(
    store: &dyn Store,
    master: Arc<MasterKey>,
    rings: Vec<Algorithm>,
    (lead, now): (Lead, UnixTime),
) -> Result<Vec<Kid>, AdminError> {
    // Away from the follower: an RSA key takes its time.
    let generate = {
        let master = Arc::clone(&master);
        move || rings.into_iter().map(|ring| admin::fresh_key(ring, &master, now)).collect::<Result<Vec<_>, _>>()
    };
    let made = tokio::task::spawn_blocking(generate).await.unwrap_or(Err(KeyError::CannotGenerate))?;
    let kids = made.iter().map(|key| key.kid.clone()).collect();
    admin::rotate_keys(store, &master, made, (lead, now)).await?;
    Ok(kids)
}
