//! When to refuse early: how long requests wait before a worker looks at them, and how many it has begun.
//!
//! The wait cannot be read from the outside, so it is sampled: at most every [`PROBE_EVERY`], a task is put at
//! the end of the worker's run queue, behind every connection that has something to do; the time until it runs
//! is the time that a request waits now. Beyond [`SHED_ABOVE`], a few times in a row, requests are refused with
//! 503, which costs a fraction of a token, until the queue is short again.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::{Occupancy, Shed};

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
    max_in_flight: u64,
    /// Where it is also seen from outside.
    occupancy: Arc<Occupancy>,
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
        let occupancy = &self.0.occupancy;
        occupancy.set_in_flight(occupancy.in_flight().saturating_sub(1));
    }
}

impl Overload {
    /// A worker that begins at most `max_in_flight` requests at a time, and is as busy as `occupancy` says.
    #[must_use]
    pub fn new(max_in_flight: usize, occupancy: Arc<Occupancy>) -> Rc<Self> {
        Rc::new(Self {
            max_in_flight: max_in_flight.max(1) as u64,
            occupancy,
            probing: Cell::new(false),
            probed_at: Cell::new(Instant::now()),
            long_waits: Cell::new(0),
            sheds: Cell::new(false),
        })
    }

    /// A permit to begin a request. Runs on a worker.
    ///
    /// # Errors
    /// Why it is to be refused early.
    pub fn admit(self: &Rc<Self>, now: Instant) -> Result<Permit, Shed> {
        self.probe(now);
        if self.sheds.get() {
            return Err(Shed::RunQueue);
        }
        let in_flight = self.occupancy.in_flight();
        if in_flight >= self.max_in_flight {
            return Err(Shed::InFlight);
        }
        self.occupancy.set_in_flight(in_flight + 1);
        Ok(Permit(Rc::clone(self)))
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
        self.occupancy.note_wait(waited);
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
        let load = Overload::new(10, Arc::default());
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
        let load = Overload::new(2, Arc::default());
        load.probing.set(true);
        let now = Instant::now();
        let (first, second) = (load.admit(now), load.admit(now));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(load.admit(now).unwrap_err(), Shed::InFlight);
        drop(first);
        assert!(load.admit(now).is_ok());
    }
}
