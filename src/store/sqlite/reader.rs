//! A thread that reads: one connection, one bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::open_file::OpenFile;
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
    pub fn start(name: &str, file: OpenFile) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&jobs, file));
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

fn run(jobs: &Receiver<Job>, mut file: OpenFile) {
    while let Ok(job) = jobs.recv() {
        let answered = catch_unwind(AssertUnwindSafe(|| job(file.connection(CHECK_EVERY))));
        // After a panic, too, whatever the connection was doing is of no use any more; the next read has a new one.
        if answered.is_err() || answered.is_ok_and(|failed| failed.is_some_and(|error| error.spoils_connection())) {
            file.distrust();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenMode;
    use crate::store::sqlite::schema;

    #[tokio::test]
    async fn p12_a_panic_takes_down_its_own_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        schema::prepare(&path, OpenMode::CreateIfMissing).unwrap();
        let reader = Reader::start("reader", OpenFile::open(&path).unwrap()).unwrap();
        let broken = reader.queue(|_| -> Result<(), StoreError> { panic!("a bug") }).unwrap();
        let next = reader.queue(|connection| Ok(connection.query_row("SELECT 7", [], |row| row.get::<_, i64>(0))?));
        assert!(broken.await.is_err(), "whoever asked is told");
        assert_eq!(next.unwrap().await.unwrap().unwrap(), 7);
    }
}
