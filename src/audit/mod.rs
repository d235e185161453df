//! One JSON line per security-relevant event, written off the request path.
//!
//! Owns what an event says and how its line gets out: a worker appends to a buffer of its own, one thread empties
//! the buffers into the sink (`sink`) some fifty times a second. Leaves to its callers when an event happens.
//!
//! Invariants: no event has a field for a secret, a token or a key; whatever text it holds is escaped, so a line
//! is a line; memory is bounded, and what does not fit is either counted and dropped or held back, by choice.

mod event;
mod journal;
mod sink;

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

pub use event::{Event, Kind, claimed_id};
pub use journal::Journal;
pub use sink::{Rotation, Sink};

/// How often the buffers are emptied.
const EVERY: Duration = Duration::from_millis(20);
/// How much one buffer holds: at 300 bytes a line, 50 milliseconds of 250,000 lines a second.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// How long an event waits for room before its request is refused.
const ROOM_DEADLINE: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the last lines.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// What happens to an event when its buffer is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is counted and dropped.
    Drop,
    /// Whatever would cause it is held back, then refused.
    Block,
}

/// Which issued tokens are written down; everything else always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSample {
    /// None of them.
    None,
    /// One in this many.
    OneIn(u32),
}

/// What an audit log is started with.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// When a buffer is full.
    pub when_full: WhenFull,
    /// Issued tokens.
    pub tokens: TokenSample,
}

/// Room for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It was there.
    Found,
    /// It came after a while.
    WaitedFor,
}

/// No room for an event, and none came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The audit log of one process.
#[derive(Debug)]
pub struct Audit {
    policy: Policy,
    buffers: Arc<[Buffer]>,
    ending: Arc<AtomicBool>,
    failing: Arc<AtomicBool>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// The lines of one worker. The lock is contended once per emptying, never between workers.
#[derive(Debug, Default)]
struct Buffer {
    lines: Mutex<Vec<u8>>,
    /// How long the lines are, for whoever looks without the lock.
    queued: AtomicUsize,
    dropped: AtomicU64,
    issued: AtomicU64,
}

impl Buffer {
    /// Every step under the lock leaves whole lines, so a panic elsewhere cannot have broken it.
    fn lines(&self) -> MutexGuard<'_, Vec<u8>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_into(&self, batch: &mut Vec<u8>) {
        let mut lines = self.lines();
        batch.append(&mut lines);
        self.queued.store(0, Ordering::Relaxed);
    }

    fn has_room(&self) -> bool {
        self.lines().len() < BUFFER_BYTES
    }
}

impl Audit {
    /// Starts the writing thread with a buffer per worker and one for everybody else.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(sink: Sink, policy: Policy, workers: usize) -> io::Result<Self> {
        let buffers: Arc<[Buffer]> = (0..=workers).map(|_| Buffer::default()).collect();
        let (ending, failing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let run = {
            let (buffers, ending, failing) = (Arc::clone(&buffers), Arc::clone(&ending), Arc::clone(&failing));
            move || write_out(sink, &buffers, &ending, &failing)
        };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(run)?;
        Ok(Self { policy, buffers, ending, failing, thread: Mutex::new(Some(thread)) })
    }

    /// A log that writes nothing down.
    #[must_use]
    pub fn off() -> Self {
        let policy = Policy { when_full: WhenFull::Drop, tokens: TokenSample::None };
        let (ending, failing) = (Arc::default(), Arc::default());
        Self { policy, buffers: Arc::from([]), ending, failing, thread: Mutex::default() }
    }

    /// The log as one request of `worker` that came from `source` sees it.
    #[must_use]
    pub const fn trail(&self, worker: usize, source: IpAddr) -> Trail<'_> {
        Trail { audit: self, worker, source }
    }

    fn buffer(&self, worker: usize) -> Option<&Buffer> {
        self.buffers.get(worker).or_else(|| self.buffers.last())
    }

    /// Writes an event down from `worker`; a full buffer drops and counts it.
    pub fn record(&self, worker: usize, event: &Event<'_>) {
        let Some(buffer) = self.buffer(worker) else { return };
        let mut lines = buffer.lines();
        // What was made room for may be written beyond the bound: there are no more of these than requests in flight.
        if lines.len() >= BUFFER_BYTES && self.policy.when_full == WhenFull::Drop {
            buffer.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            event.push_line(SystemTime::now(), &mut lines);
            buffer.queued.store(lines.len(), Ordering::Relaxed);
        }
    }

    /// Waits for room, where the policy is to hold events back.
    ///
    /// # Errors
    /// [`Full`] when none came in time: whatever causes the event is then not to be done.
    pub async fn room(&self, worker: usize) -> Result<Room, Full> {
        let Some(buffer) = self.buffer(worker) else { return Ok(Room::Found) };
        if self.policy.when_full == WhenFull::Drop || buffer.has_room() {
            return Ok(Room::Found);
        }
        let end = Instant::now() + ROOM_DEADLINE;
        while !buffer.has_room() {
            if Instant::now() >= end {
                return Err(Full);
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(Room::WaitedFor)
    }

    /// How many events were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.dropped.load(Ordering::Relaxed)).sum()
    }

    /// Bytes that wait to be written, and how many may.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        let queued = self.buffers.iter().map(|buffer| buffer.queued.load(Ordering::Relaxed)).sum();
        (queued, self.buffers.len() * BUFFER_BYTES)
    }

    /// Whether the last writing went well.
    #[must_use]
    pub fn is_written(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    /// Writes out what is left and ends the thread, but does not wait for a sink that is stuck.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let end = Instant::now() + FLUSH_DEADLINE;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// True when the writing thread has ended by itself: what is recorded goes nowhere, so the process should end, too.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        !self.ending.load(Ordering::Acquire) && thread.as_ref().is_some_and(std::thread::JoinHandle::is_finished)
    }

    /// For tests of whoever watches the log: its thread is one that panics.
    #[cfg(test)]
    pub(crate) fn lose_thread(&self) {
        *self.thread.lock().unwrap() = Some(std::thread::spawn(|| panic!("a bug")));
    }

    /// For tests of whoever waits for room, once the thread has ended: the buffer of the first worker is full, or empty.
    #[cfg(test)]
    pub(crate) fn fill(&self, is_full: bool) {
        self.buffers[0].lines().resize(if is_full { BUFFER_BYTES } else { 0 }, b' ');
    }

    fn samples(&self, worker: usize) -> bool {
        let Some(buffer) = self.buffer(worker) else { return false };
        match self.policy.tokens {
            TokenSample::None => false,
            TokenSample::OneIn(share) => {
                // One worker writes it: a load and a store, no locked instruction.
                let issued = buffer.issued.load(Ordering::Relaxed);
                buffer.issued.store(issued.wrapping_add(1), Ordering::Relaxed);
                issued.is_multiple_of(u64::from(share.max(1)))
            }
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.end();
    }
}

/// The log as one request sees it.
#[derive(Clone, Copy, Debug)]
pub struct Trail<'a> {
    audit: &'a Audit,
    worker: usize,
    source: IpAddr,
}

impl Trail<'_> {
    /// True when the event would be written down, so that it is worth putting together. Counts for the sample.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        !self.audit.buffers.is_empty() && (kind != Kind::TokenIssued || self.audit.samples(self.worker))
    }

    /// Writes an event down, with where the request came from.
    pub fn record(&self, event: &Event<'_>) {
        self.audit.record(self.worker, &Event { source: Some(self.source), ..event.clone() });
    }

    /// As [`Audit::room`].
    ///
    /// # Errors
    /// As [`Audit::room`].
    pub async fn room(&self) -> Result<Room, Full> {
        self.audit.room(self.worker).await
    }
}

fn write_out(mut sink: Sink, buffers: &[Buffer], ending: &AtomicBool, failing: &AtomicBool) {
    let mut batch = Vec::new();
    loop {
        let last = ending.load(Ordering::Acquire);
        for buffer in buffers {
            buffer.take_into(&mut batch);
        }
        match sink.write(&batch) {
            Ok(()) => {
                batch.clear();
                if failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the audit log is written again");
                }
            }
            Err(error) => {
                sink.forget_what_was_written(&mut batch);
                if !failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the audit log cannot be written; see audit.when_full");
                }
            }
        }
        if last {
            return;
        }
        // Full buffers stay full until the sink works again, so what waits here is bounded too.
        while failing.load(Ordering::Relaxed) && batch.len() >= BUFFER_BYTES && !ending.load(Ordering::Acquire) {
            std::thread::sleep(EVERY);
            if sink.write(&batch).is_ok() {
                batch.clear();
            } else {
                sink.forget_what_was_written(&mut batch);
            }
        }
        std::thread::sleep(EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(when_full: WhenFull, tokens: TokenSample) -> Policy {
        Policy { when_full, tokens }
    }

    fn log(folder: &tempfile::TempDir, policy: Policy) -> (Audit, std::path::PathBuf) {
        let path = folder.path().join("audit.log");
        let sink = Sink::file(&path, Rotation { bytes: u64::MAX, files: 1 }).unwrap();
        (Audit::start(sink, policy, 1).unwrap(), path)
    }

    #[test]
    fn every_event_is_one_line_by_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (audit, path) = log(&folder, policy(WhenFull::Drop, TokenSample::OneIn(1)));
        for worker in [0, 1, 7] {
            audit.record(worker, &Event::new(Kind::TokenIssued, "ok"));
        }
        audit.end();
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 3);
        assert_eq!(audit.dropped(), 0);
    }

    #[test]
    fn p12_a_writing_thread_that_panics_is_missed_and_one_that_was_ended_is_not() {
        let policy = policy(WhenFull::Block, TokenSample::OneIn(1));
        let audit = Audit::start(Sink::broken(), policy, 1).unwrap();
        assert!(!audit.is_lost());
        audit.record(0, &Event::new(Kind::TokenIssued, "ok"));
        let end = Instant::now() + Duration::from_secs(10);
        while !audit.is_lost() {
            assert!(Instant::now() < end, "nobody notices");
            std::thread::sleep(EVERY);
        }
        let folder = tempfile::tempdir().unwrap();
        let (audit, _) = log(&folder, policy);
        audit.end();
        assert!(!audit.is_lost());
    }

    #[test]
    fn tokens_are_sampled_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let (audit, path) = log(&folder, policy(WhenFull::Drop, TokenSample::OneIn(10)));
        let trail = audit.trail(0, [127, 0, 0, 1].into());
        for _ in 0..30 {
            for event in [Event::new(Kind::TokenIssued, "ok"), Event::new(Kind::TokenRefused, "invalid_client")] {
                if trail.wants(event.kind) {
                    trail.record(&event);
                }
            }
        }
        audit.end();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.matches("token.issued").count(), 3);
        assert_eq!(text.matches("token.refused").count(), 30);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_buffer_drops_and_counts_or_holds_back() {
        let folder = tempfile::tempdir().unwrap();
        for (when_full, held_back) in [(WhenFull::Drop, Ok(Room::Found)), (WhenFull::Block, Err(Full))] {
            let (audit, _) = log(&folder, policy(when_full, TokenSample::OneIn(1)));
            audit.end();
            audit.fill(true);
            assert_eq!(audit.room(0).await, held_back);
            audit.record(0, &Event::new(Kind::TokenRefused, "invalid_client"));
            assert_eq!(audit.dropped(), u64::from(when_full == WhenFull::Drop));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_waits_for_room_learns_that_it_took_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (audit, _) = log(&folder, policy(WhenFull::Block, TokenSample::OneIn(1)));
        audit.end();
        audit.fill(true);
        let (room, ()) = tokio::join!(audit.room(0), async { audit.fill(false) });
        assert_eq!((room, audit.room(0).await), (Ok(Room::WaitedFor), Ok(Room::Found)));
    }
}
