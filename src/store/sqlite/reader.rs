//! A thread that reads: one connection, one bounded queue.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::schema::{Identity, connect};
use crate::store::StoreError;

/// How many reads may wait.
const QUEUE: usize = 4096;
/// How often it is checked that the path still names the open file.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Answers through the channel that it took along; `Err` is told to whoever asked.
type Job = Box<dyn FnOnce(Result<&mut Connection, StoreError>) -> Option<StoreError> + Send>;

/// A reading thread.
#[derive(Debug)]
pub struct Reader {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(name: &str, path: PathBuf, connection: Connection) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let identity = Identity::of(&path)?;
        let source = Source { path, identity, checked_at: Instant::now(), connection: Some(connection) };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&jobs, source));
        let thread = thread.map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Puts a read into the queue.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when the queue is full.
    pub fn queue<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone; then the work is not done at all.
            if reply.is_closed() {
                return None;
            }
            let result = connection.and_then(read);
            let failed = result.as_ref().err().cloned();
            drop(reply.send(result));
            failed
        });
        let queue = self.queue.as_ref().ok_or(StoreError::Overloaded)?;
        queue.try_send(job).map_err(|_| StoreError::Overloaded)?;
        Ok(answer)
    }
}

/// Ends the thread once it has answered what waits.
impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Source {
    path: PathBuf,
    identity: Identity,
    checked_at: Instant,
    connection: Option<Connection>,
}

impl Source {
    /// The connection, opened anew when the last one failed.
    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() || self.checked_at.elapsed() >= CHECK_EVERY {
            self.identity.check(&self.path)?;
            self.checked_at = Instant::now();
        }
        if self.connection.is_none() {
            self.connection = Some(connect(&self.path)?);
        }
        self.connection.as_mut().ok_or(StoreError::Overloaded)
    }
}

fn run(jobs: &Receiver<Job>, mut source: Source) {
    while let Ok(job) = jobs.recv() {
        if job(source.connection()).is_some_and(|failed| failed.spoils_connection()) {
            source.connection = None;
        }
    }
}
