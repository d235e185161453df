//! Writes down now and then what the server knows, so that it can be started again while the store is gone.
//!
//! Only what the store has just confirmed is written: during an outage the last snapshot stays, with its age. One
//! thread beside all workers writes; the file's form is that of `store::snapshot`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::App;
use crate::keys::MasterKey;
use crate::store::KeyRecords;
use crate::store::snapshot::{self, Knowledge, Taken};

/// A snapshot that is used has lost at most one part in this many of the outage grace.
const SHARE_OF_GRACE: u32 = 10;
/// The longest time between two.
const MOST: Duration = Duration::from_mins(1);
/// The time between the first two; it doubles from one to the next, since a server learns most at its start.
const FIRST: Duration = Duration::from_millis(200);
/// Writing takes at most one part in this many of one core's time.
const SHARE_OF_TIME: u32 = 50;

/// What the store said of what is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Confirmed {
    /// When it was asked for everything that had changed.
    pub at: Instant,
    /// Which writing of the signing keys is in force.
    pub key_revision: u64,
}

/// The snapshots of one server.
#[derive(Debug)]
pub struct Snapshots {
    path: Option<PathBuf>,
    most: Duration,
    every: Duration,
    writing: Option<JoinHandle<Duration>>,
    due_at: Instant,
}

impl Snapshots {
    /// Snapshots at `path`, or none; often enough for this outage grace.
    pub(super) fn new(path: Option<PathBuf>, outage_grace: Duration) -> Self {
        let most = (outage_grace / SHARE_OF_GRACE).clamp(FIRST, MOST);
        Self { path, most, every: FIRST, writing: None, due_at: Instant::now() }
    }

    /// Begins to write what `app` knows when it is time for that.
    pub(super) async fn step(&mut self, app: &Arc<App>, master: &Arc<MasterKey>, confirmed: Confirmed) {
        let Some(path) = self.path.clone() else { return };
        if let Some(written) = self.writing.take_if(|writing| writing.is_finished()) {
            // A panic is a failure like any other: the next one is tried in time.
            let took = written.await.unwrap_or_default();
            self.due_at = Instant::now() + self.every.max(took * SHARE_OF_TIME);
            self.every = (self.every * 2).min(self.most);
        }
        if self.writing.is_some() || Instant::now() < self.due_at {
            return;
        }
        let (app, master) = (Arc::clone(app), Arc::clone(master));
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let known = knowledge(&app, &master, confirmed);
            if let Err(error) = snapshot::write(&path, &known, (&master, rand::random())) {
                tracing::warn!(%error, path = %path.display(), "the snapshot could not be written, the last one stays");
            }
            started.elapsed()
        }));
    }
}

fn knowledge(app: &App, master: &MasterKey, confirmed: Confirmed) -> Knowledge {
    // First the age: what comes into memory meanwhile is only younger.
    let taken = Taken::before(app.clock.now(), confirmed.at.elapsed());
    let keys = app.keys.load().records().cloned().collect();
    Knowledge {
        taken,
        keys: KeyRecords { check: master.check(), keys, revision: confirmed.key_revision },
        clients: app.authenticator.clients().all_known(),
        revocations: app.revoked.all(),
    }
}
