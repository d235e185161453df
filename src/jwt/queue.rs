//! Signatures that a worker is asked for in one turn of its event loop are made together: a batch costs a fraction of
//! as many single ones.
//!
//! Whoever comes first is woken at once, and so runs behind all that was ready to run by then; it signs for everyone
//! who came meanwhile. That takes no timer, no lock and no task of its own, and where nothing else is ready it is the
//! very next step. Leaves slow signatures to `turn`.
//!
//! Invariants: the oldest waits for one turn of the run queue at the most, and in a full queue not even that long; a
//! request that is given up takes its job with it, and hands on what it was woken for; a signature reaches the request
//! that asked for it and no other; when signing panics, all who wait learn that there is none.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::sign::Unsigned;
use crate::keys::{KeyError, SigningKey};
use crate::metrics::Shard;

/// The most that are made at a time. From half of it on a batch gains next to nothing, and a worker reads nothing while
/// it signs: so many signatures of the slowest kind that stands here take a millisecond.
pub const MOST: usize = 64;

/// What one worker has to sign.
#[derive(Debug, Default)]
pub struct SignQueue {
    waiting: RefCell<Waiting>,
    /// Somebody was woken to sign for all.
    called: Cell<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    /// The keys of the jobs: nearly always one, which they share.
    keys: Vec<Arc<SigningKey>>,
    spare: Vec<Rc<Slot>>,
}

/// A signature that is asked for.
#[derive(Debug)]
struct Job {
    unsigned: Unsigned,
    /// Which of the keys.
    key: usize,
    outcome: Result<(), KeyError>,
    slot: Rc<Slot>,
}

/// Where a ticket and its job meet. It never prints: what lies in it may be a token.
#[derive(Default)]
struct Slot {
    outcome: Cell<Option<Result<Vec<u8>, KeyError>>>,
    waker: Cell<Option<Waker>>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(***)")
    }
}

impl SignQueue {
    /// Asks for a signature by `key`, which is made while the ticket is awaited.
    pub fn ask<'a>(&'a self, unsigned: Unsigned, key: &Arc<SigningKey>, shard: &'a Shard) -> Ticket<'a> {
        let mut waiting = self.waiting.borrow_mut();
        let slot = waiting.spare.pop().unwrap_or_default();
        let key = waiting.position(key);
        waiting.jobs.push(Job { unsigned, key, outcome: Err(KeyError::CannotSign), slot: Rc::clone(&slot) });
        shard.note_sign_queue(waiting.jobs.len());
        Ticket { queue: self, shard, slot }
    }

    fn is_full(&self) -> bool {
        self.waiting.borrow().jobs.len() >= MOST
    }

    /// Signs for all who wait.
    fn sign_all(&self, shard: &Shard) {
        self.called.set(false);
        let (jobs, keys) = self.waiting.borrow_mut().take();
        shard.note_sign_queue(0);
        Batch { queue: self, jobs, keys }.sign(shard);
    }

    /// Forgets a job, and calls another in its place.
    fn give_up(&self, slot: &Rc<Slot>, shard: &Shard) {
        let mut waiting = self.waiting.borrow_mut();
        let next = waiting.remove(slot);
        shard.note_sign_queue(waiting.jobs.len());
        drop(waiting);
        self.called.set(next.is_some());
        next.inspect(Waker::wake_by_ref);
    }
}

impl Waiting {
    fn take(&mut self) -> (Vec<Job>, Vec<Arc<SigningKey>>) {
        (std::mem::take(&mut self.jobs), std::mem::take(&mut self.keys))
    }

    /// Removes a job; the waker of another who waits. Those who were not looked at yet will call for themselves.
    fn remove(&mut self, slot: &Rc<Slot>) -> Option<Waker> {
        self.jobs.retain(|job| !Rc::ptr_eq(&job.slot, slot));
        if self.jobs.is_empty() {
            self.keys.clear();
        }
        self.jobs.iter().find_map(|job| job.slot.waker())
    }

    /// The position of `key` among those of the jobs.
    fn position(&mut self, key: &Arc<SigningKey>) -> usize {
        let known = self.keys.iter().position(|known| Arc::ptr_eq(known, key));
        known.unwrap_or_else(|| {
            self.keys.push(Arc::clone(key));
            self.keys.len() - 1
        })
    }
}

impl Slot {
    fn waker(&self) -> Option<Waker> {
        let waker = self.waker.take();
        self.waker.set(waker.clone());
        waker
    }
}

/// A place in the queue, which is given up when it is dropped.
#[derive(Debug)]
pub struct Ticket<'a> {
    queue: &'a SignQueue,
    shard: &'a Shard,
    slot: Rc<Slot>,
}

impl Future for Ticket<'_> {
    /// The buffer with the signature in its place.
    type Output = Result<Vec<u8>, KeyError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { queue, shard, slot } = &*self;
        if let Some(outcome) = slot.outcome.take() {
            return Poll::Ready(outcome);
        }
        // Whoever is looked at again signs for all: usually the one who was called.
        let is_first_look = slot.waker.take().is_none();
        if is_first_look && !queue.is_full() {
            slot.waker.set(Some(context.waker().clone()));
            if !queue.called.replace(true) {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        queue.sign_all(shard);
        Poll::Ready(slot.outcome.take().unwrap_or(Err(KeyError::CannotSign)))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if Rc::strong_count(&self.slot) > 1 {
            self.queue.give_up(&self.slot, self.shard);
        }
        let Slot { outcome, waker } = &*self.slot;
        drop((outcome.take(), waker.take()));
        let spare = &mut self.queue.waiting.borrow_mut().spare;
        if spare.len() < MOST {
            spare.push(Rc::clone(&self.slot));
        }
    }
}

/// Jobs that are done now. Dropped, they are handed out as they are, also when a panic is the reason.
struct Batch<'a> {
    queue: &'a SignQueue,
    jobs: Vec<Job>,
    keys: Vec<Arc<SigningKey>>,
}

impl Batch<'_> {
    fn sign(mut self, shard: &Shard) {
        for (position, key) in self.keys.iter().enumerate() {
            // No more than fit unless some were never looked at.
            for jobs in self.jobs.chunks_mut(MOST) {
                let made = sign_for(key, jobs, position);
                // None where all who wanted this key hung up or stand in another chunk, and where signing failed.
                if made > 0 {
                    shard.count_signatures(key.algorithm(), made);
                    shard.count_batch(made);
                }
            }
        }
    }
}

/// Signs the jobs of one key; how many signatures came of it.
fn sign_for(key: &SigningKey, jobs: &mut [Job], position: usize) -> usize {
    let (mut messages, mut signatures) = ([[].as_slice(); MOST], [[0; 64]; MOST]);
    let of_key = |job: &Job| job.key == position;
    let own = messages.iter_mut().zip(jobs.iter().filter(|job| of_key(job)));
    let count = own.map(|(message, job)| *message = job.unsigned.message()).count();
    let (Some(messages), Some(signatures)) = (messages.get(..count), signatures.get_mut(..count)) else { return 0 };
    if count == 0 {
        return 0;
    }
    let signed = key.sign_batch(messages, signatures);
    for (job, signature) in jobs.iter_mut().filter(|job| of_key(job)).zip(signatures) {
        job.outcome = signed.and_then(|()| job.unsigned.fill(signature));
    }
    if signed.is_ok() { count } else { 0 }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let Self { queue, jobs, keys } = self;
        for Job { unsigned, outcome, slot, .. } in jobs.drain(..) {
            slot.outcome.set(Some(outcome.map(|()| unsigned.into_buffer())));
            slot.waker.take().inspect(Waker::wake_by_ref);
        }
        keys.clear();
        // Their room is used again.
        let waiting = &mut *queue.waiting.borrow_mut();
        if waiting.jobs.is_empty() {
            (waiting.jobs, waiting.keys) = (std::mem::take(jobs), std::mem::take(keys));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::private;
    use crate::oauth::Algorithm;

    #[test]
    fn when_signing_panics_all_who_wait_learn_that_there_is_no_signature() {
        let secret = private::generate(Algorithm::EdDsa, &[1; 32].into()).unwrap();
        let key = Arc::new(SigningKey::read(Algorithm::EdDsa, &secret).unwrap());
        let (queue, shard) = (SignQueue::default(), Shard::default());
        let mut tickets: Vec<_> = (0..3).map(|_| queue.ask(Unsigned::example(&key), &key, &shard)).collect();
        let mut context = Context::from_waker(Waker::noop());
        assert!(tickets.iter_mut().all(|ticket| Pin::new(ticket).poll(&mut context).is_pending()));
        let (jobs, keys) = queue.waiting.borrow_mut().take();
        drop(Batch { queue: &queue, jobs, keys });
        for ticket in &mut tickets {
            assert_eq!(Pin::new(ticket).poll(&mut context), Poll::Ready(Err(KeyError::CannotSign)));
        }
        drop(tickets);
        assert_eq!(format!("{:?}", queue.waiting.borrow().spare), "[Slot(***), Slot(***), Slot(***)]");
    }
}
