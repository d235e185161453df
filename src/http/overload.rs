//! When to refuse early: how long requests wait before a worker looks at them, and how many it has begun.
//!
//! The wait cannot be read from the outside, so it is sampled: at most every [`PROBE_EVERY`], a task is put at
//! the end of the worker's run queue, behind every connection that has something to do; the time until it runs
//! is the time that a request waits now. Beyond [`SHED_ABOVE`], a few times in a row, requests are refused with
//! 503, which costs a fraction of a token, until the queue is short again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often the run queue is sampled while requests come.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// Waiting longer than this, a request is better refused than answered late.
const SHED_ABOVE: Duration = Duration::from_millis(50);
/// Having begun to refuse, go on until the wait is below this.
const SERVE_BELOW: Duration = Duration::from_millis(25);
/// How many samples in a row must be too long: one may be a pause of the whole machine, which is no queue.
const SAMPLES: u32 = 3;

/// The load of one worker.
#[derive(Debug)]
pub struct Overload {
    max_in_flight: usize,
    in_flight: Cell<usize>,
    probing: Cell<bool>,
    probed_at: Cell<Instant>,
    long_waits: Cell<u32>,
    sheds: Cell<bool>,
}

/// A request that a worker has begun; given back when dropped, also when the client hangs up.
#[derive(Debug)]
pub struct Permit(Rc<Overload>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}

impl Overload {
    /// A worker that begins at most `max_in_flight` requests at a time.
    #[must_use]
    pub fn new(max_in_flight: usize) -> Rc<Self> {
        Rc::new(Self {
            max_in_flight: max_in_flight.max(1),
            in_flight: Cell::new(0),
            probing: Cell::new(false),
            probed_at: Cell::new(Instant::now()),
            long_waits: Cell::new(0),
            sheds: Cell::new(false),
        })
    }

    /// A permit to begin a request, or `None` when it is to be refused early. Runs on a worker.
    #[must_use]
    pub fn admit(self: &Rc<Self>, now: Instant) -> Option<Permit> {
        self.probe(now);
        if self.sheds.get() || self.in_flight.get() >= self.max_in_flight {
            return None;
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Some(Permit(Rc::clone(self)))
    }

    fn probe(self: &Rc<Self>, now: Instant) {
        if self.probing.get() || now.saturating_duration_since(self.probed_at.get()) < PROBE_EVERY {
            return;
        }
        self.probing.set(true);
        let load = Rc::clone(self);
        tokio::task::spawn_local(async move {
            load.note_wait(now.elapsed());
            load.probed_at.set(Instant::now());
            load.probing.set(false);
        });
    }

    fn note_wait(&self, waited: Duration) {
        let limit = if self.sheds.get() { SERVE_BELOW } else { SHED_ABOVE };
        self.long_waits.set(if waited > limit { self.long_waits.get().saturating_add(1) } else { 0 });
        self.sheds.set(self.long_waits.get() >= SAMPLES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t226_sheds_above_the_bound_and_serves_again_well_below_it() {
        let load = Overload::new(10);
        for (waited, sheds) in [
            (10, false),
            (300, false),
            (49, false),
            (51, false),
            (60, false),
            (70, true),
            (40, true),
            (26, true),
            (24, false),
            (40, false),
        ] {
            load.note_wait(Duration::from_millis(waited));
            assert_eq!(load.sheds.get(), sheds, "after {waited} ms");
        }
    }

    #[test]
    fn t228_a_permit_comes_back_when_it_is_dropped() {
        let load = Overload::new(2);
        load.probing.set(true);
        let now = Instant::now();
        let (first, second) = (load.admit(now), load.admit(now));
        assert!(first.is_some() && second.is_some() && load.admit(now).is_none());
        drop(first);
        assert!(load.admit(now).is_some());
    }
}
