//! The one thread that writes: whatever waits is committed together, and answered after the commit.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::Reply;
use super::schema::{Identity, connect};
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
    pub fn start(path: PathBuf, connection: Connection) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let target = Target { identity: Identity::of(&path)?, path, connection: Some(connection) };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || run(&jobs, target));
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

struct Target {
    path: PathBuf,
    identity: Identity,
    connection: Option<Connection>,
}

fn run(jobs: &Receiver<Box<dyn Job>>, mut target: Target) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH - 1));
        target.commit(batch);
    }
}

impl Target {
    /// One transaction for all. A conflict concerns its own write only, since it has written nothing; any other
    /// error undoes the whole batch and is told to all of it.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let outcome = self.try_commit(&mut batch);
        if outcome.as_ref().is_err_and(StoreError::spoils_connection) {
            // After a failed write or fsync nothing in memory is to be trusted.
            self.connection = None;
        }
        for job in batch {
            job.answer(outcome.clone());
        }
    }

    fn try_commit(&mut self, batch: &mut Vec<Box<dyn Job>>) -> Result<(), StoreError> {
        self.identity.check(&self.path)?;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.path)?),
        };
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
}
