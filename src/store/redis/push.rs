//! Calls of other servers: every write publishes that something changed, and whoever follows looks at once.
//!
//! A connection of its own, so that no burst of calls, and no limit on their buffer, touches anything else. Nobody may
//! rely on it: a call can be lost without a trace. So the feed is read in any case, and after every reconnect at once.
//! The same connection asks each second whether its server is still the master.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_redis::redis::aio::SendError;
use deadpool_redis::redis::{PushInfo, PushKind, cmd};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::check::require_master;
use super::connection::Inner;
use super::error::Failure;
use super::link::{CONNECT_TIMEOUT, Link};
use super::url::Topology;
use crate::store::StoreError;

/// How often the connection is looked at.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How long the server may take to answer then.
const PATIENCE: Duration = Duration::from_secs(2);

/// What calls are waited for by.
#[derive(Default)]
pub struct Push {
    is_wanted: AtomicBool,
    is_live: AtomicBool,
    called: Arc<Notify>,
}

impl Push {
    /// True for the first who waits for calls: only then a connection is worth its while.
    pub fn is_first(&self) -> bool {
        !self.is_wanted.swap(true, Ordering::Relaxed)
    }

    /// Waits for a call, one that came since the last time included.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Whether calls would be heard, as far as one can tell.
    pub fn is_live(&self) -> bool {
        self.is_live.load(Ordering::Relaxed)
    }

    fn set_live(&self, is_live: bool) {
        self.is_live.store(is_live, Ordering::Relaxed);
        // What was called meanwhile was not heard.
        self.called.notify_one();
    }
}

/// Listens until the thread ends.
pub async fn listen(inner: Arc<Inner>) {
    let mut backoff = Backoff::default();
    // In a Cluster each server begins with another node.
    let mut turn: usize = rand::random::<u16>().into();
    loop {
        let ended = hear(&inner, turn).await;
        let was_live = inner.push.is_live();
        inner.push.set_live(false);
        tracing::debug!(error = %ended.error, "calls of other servers are not heard, the store is asked instead");
        turn = turn.wrapping_add(1);
        backoff.wait(was_live).await;
    }
}

/// Listens over one connection; how that ended.
async fn hear(inner: &Arc<Inner>, turn: usize) -> Failure {
    let lost = Arc::new(Notify::new());
    let master = inner.maker.master.known();
    let mut link = match timeout(CONNECT_TIMEOUT, subscribe(inner, turn, &lost)).await {
        Ok(Ok(link)) => link,
        Ok(Err(failure)) => return failure,
        Err(_) => return StoreError::Deadline.into(),
    };
    inner.push.set_live(true);
    loop {
        tokio::select! {
            () = lost.notified() => return StoreError::Unreachable("the connection was closed".to_owned()).into(),
            () = sleep(KEEPALIVE) => {}
        }
        if inner.maker.master.known() != master {
            return StoreError::Unreachable("another server is the master".to_owned()).into();
        }
        match timeout(PATIENCE, look(inner, &mut link)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return failure,
            Err(_) => return StoreError::Deadline.into(),
        }
    }
}

async fn subscribe(inner: &Arc<Inner>, turn: usize, lost: &Arc<Notify>) -> Result<Link, Failure> {
    let (called, lost) = (Arc::clone(&inner.push.called), Arc::clone(lost));
    let config = inner.maker.config().set_push_sender(move |PushInfo { kind, .. }| {
        match kind {
            PushKind::Message => called.notify_one(),
            PushKind::Disconnection => lost.notify_one(),
            _ => {}
        }
        Ok::<(), SendError>(())
    });
    let client = inner.maker.client(turn)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    connection.subscribe(inner.keys.channel()).await?;
    Ok(Link::Server(connection))
}

/// A server that is no longer the master tells nobody; the shared connection probably leads there as well.
async fn look(inner: &Inner, link: &mut Link) -> Result<(), Failure> {
    if inner.maker.url.topology == Topology::Cluster {
        return Ok(cmd("PING").query_async(link).await?);
    }
    let is_master = require_master(link).await;
    if is_master.is_err() {
        inner.doubt();
    }
    is_master
}
