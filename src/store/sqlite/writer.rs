//! The one thread that writes: whatever waits is committed together, and answered after the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::Reply;
use super::open_file::OpenFile;
use crate::store::StoreError;

/// How many writes may wait.
const QUEUE: usize = 1024;
/// How many are committed together.
const BATCH: usize = 256;

/// A write and whoever waits for it.
trait Job: Send {
    /// Does the write inside the transaction.
    fn apply(&mut self, transaction: &Transaction<'_>) -> Result<(), StoreError>;
    /// Tells how the commit went.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Write<T, F> {
    work: F,
    written: Option<T>,
    reply: Reply<T>,
}

impl<T: Send, F: FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send> Job for Write<T, F> {
    fn apply(&mut self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        self.written = Some((self.work)(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        // Whoever asked may have gone; the write stands all the same.
        let Self { written, reply, .. } = *self;
        drop(reply.send(outcome.and_then(|()| written.ok_or(StoreError::Conflict))));
    }
}

/// The writing thread.
#[derive(Debug)]
pub struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(file: OpenFile) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || run(&jobs, file));
        let thread = thread.map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Puts a write into the queue.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when the queue is full.
    pub fn queue<T: Send + 'static>(
        &self,
        write: impl FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(StoreError::Overloaded)?;
        queue.try_send(Box::new(Write { work: write, written: None, reply })).map_err(|_| StoreError::Overloaded)?;
        Ok(answer)
    }
}

/// Ends the thread once everything that waits is committed.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(jobs: &Receiver<Box<dyn Job>>, mut file: OpenFile) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH - 1));
        // A panic undoes the batch, whose askers learn that it was dropped; the next one has a new connection.
        if catch_unwind(AssertUnwindSafe(|| commit(&mut file, batch))).is_err() {
            file.distrust();
        }
    }
}

/// One transaction for all. A conflict concerns its own write only, since it has written nothing; any other error
/// undoes the whole batch and is told to all of it.
fn commit(file: &mut OpenFile, mut batch: Vec<Box<dyn Job>>) {
    let outcome = try_commit(file, &mut batch);
    if outcome.as_ref().is_err_and(StoreError::spoils_connection) {
        // After a failed write or fsync nothing in memory is to be trusted.
        file.distrust();
    }
    for job in batch {
        job.answer(outcome.clone());
    }
}

fn try_commit(file: &mut OpenFile, batch: &mut Vec<Box<dyn Job>>) -> Result<(), StoreError> {
    let connection = file.connection(Duration::ZERO)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut waiting = Vec::with_capacity(batch.len());
    let mut failed = None;
    for mut job in batch.drain(..) {
        match if failed.is_none() { job.apply(&transaction) } else { Ok(()) } {
            Ok(()) => waiting.push(job),
            Err(StoreError::Conflict) => job.answer(Err(StoreError::Conflict)),
            Err(error) => {
                failed = Some(error);
                waiting.push(job);
            }
        }
    }
    *batch = waiting;
    match failed {
        None => Ok(transaction.commit()?),
        Some(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenMode;
    use crate::store::sqlite::schema;

    #[tokio::test]
    async fn p12_a_panic_undoes_its_batch_and_the_next_write_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        schema::prepare(&path, OpenMode::CreateIfMissing).unwrap();
        let writer = Writer::start(OpenFile::open(&path).unwrap()).unwrap();
        let add =
            |transaction: &Transaction<'_>| Ok(transaction.execute("INSERT INTO changes (client) VALUES (NULL)", [])?);
        let broken = writer.queue(move |transaction| -> Result<(), StoreError> {
            add(transaction)?;
            panic!("a bug")
        });
        assert!(broken.unwrap().await.is_err(), "whoever asked is told");
        assert_eq!(writer.queue(add).unwrap().await.unwrap().unwrap(), 1);
        let count = |transaction: &Transaction<'_>| {
            Ok(transaction.query_row("SELECT count(*) FROM changes", [], |row| row.get::<_, i64>(0))?)
        };
        assert_eq!(writer.queue(count).unwrap().await.unwrap().unwrap(), 1, "nothing is left of the broken write");
    }
}
