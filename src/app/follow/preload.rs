//! What a server is about to be asked for, brought into memory before it is: the clients that were used last, of which a
//! store that is shared by several servers keeps a list. So one that is started under load does not ask for each of them.
//!
//! Beside the follower and away from all requests, a page at a time. It is a guess: whatever goes wrong with it, and whoever
//! is not in it, requests read their clients themselves.

use std::sync::Arc;
use std::time::Duration;

use super::Follower;
use crate::app::App;
use crate::store::cache::ClientCache;
use crate::store::{Store, StoreError};

/// How many clients are read at a time.
const PAGE: usize = 500;
/// How often a page is read that changed meanwhile.
const TRIES: u32 = 3;
/// How long a start waits for it, before it is ready all the same.
const START_WAITS: Duration = Duration::from_secs(1);

impl Follower {
    /// Begins to bring them into memory, where nobody is known.
    pub(super) fn preload_clients(&mut self) {
        let wanted = self.app.config.store.preload_clients.min(self.app.config.store.cache_clients);
        if let Some(under_way) = self.preload.take() {
            under_way.abort();
        }
        if wanted > 0 {
            let (app, store) = (Arc::clone(&self.app), Arc::clone(&self.store));
            self.preload = Some(tokio::spawn(async move { preload(&app, &*store, wanted).await }));
        }
    }

    /// Waits until those that were to be brought into memory at the start are there; not for long.
    pub async fn wait_for_preload(&mut self) {
        if let Some(preload) = self.preload.as_mut() {
            drop(tokio::time::timeout(START_WAITS, preload).await);
        }
    }
}

async fn preload(app: &App, store: &dyn Store, wanted: usize) {
    let clients = app.authenticator.clients();
    let mut skip = 0;
    while skip < wanted {
        match page(clients, store, (skip, PAGE.min(wanted - skip))).await {
            Ok(0) => break,
            Ok(_) => skip += PAGE,
            Err(error) => {
                tracing::warn!(%error, "the clients that were used last could not be read beforehand");
                return;
            }
        }
    }
    tracing::debug!(clients = clients.len(), "the clients that were used last are in memory");
}

/// How many the page had.
async fn page(clients: &ClientCache, store: &dyn Store, (skip, limit): (usize, usize)) -> Result<usize, StoreError> {
    let mut count = 0;
    for _ in 0..TRIES {
        let forgotten = clients.forgotten();
        let found = store.list_recent_clients(skip, limit).await?;
        count = found.len();
        if clients.take_in(found, forgotten) {
            break;
        }
    }
    Ok(count)
}
