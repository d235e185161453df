//! Redis as the simulation has it: one thread that does one thing after the other, at the end of a line of some length.
//!
//! Every operation arrives, waits for what came before it, takes its measured time, and is answered. A long one goes in
//! slices, since it is many commands and others come in between. Everything is counted.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jeton::clock::UnixDay;
use jeton::oauth::ClientId;
use jeton::store::{SecretUse, StoreError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::costs::{Cost, Costs};

/// The longest that an operation holds the server in one go.
const SLICE_MICROS: f64 = 20.0;

/// The one Redis of all servers.
#[derive(Debug)]
pub struct Machine {
    pub costs: Costs,
    /// From a server to Redis and back.
    round_trip: Duration,
    state: Mutex<State>,
    /// Told when it goes down.
    pub ended: Notify,
}

#[derive(Debug)]
struct State {
    /// Until when it has something to do.
    busy_until: Instant,
    is_up: bool,
    count: Count,
    /// How long clients that were not in memory took to be read, in milliseconds.
    reads: Vec<f64>,
    listeners: Vec<Arc<Notify>>,
    /// Until when the one turn that there is has been taken.
    turn_ends: Option<Instant>,
    /// Whose use of a secret was told today.
    used: HashSet<(ClientId, UnixDay)>,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub cost: Cost,
    /// Operations that had no answer in time.
    pub late: u64,
    /// Connections that were made.
    pub connections: u64,
}

/// An operation that has begun.
pub struct Turn {
    begun: Instant,
    /// When it is done, to the microsecond; timers know milliseconds.
    at: Instant,
    deadline: Option<Duration>,
}

impl Turn {
    /// Of an operation that must be done by then.
    pub fn begin(deadline: Option<Duration>) -> Self {
        let now = Instant::now();
        Self { begun: now, at: now, deadline }
    }
}

impl Machine {
    pub fn new(costs: Costs, round_trip: Duration) -> Self {
        let state = State {
            busy_until: Instant::now(),
            is_up: true,
            count: Count::default(),
            reads: Vec::new(),
            listeners: Vec::new(),
            turn_ends: None,
            used: HashSet::new(),
        };
        Self { costs, round_trip, state: Mutex::new(state), ended: Notify::new() }
    }

    /// Until what costs so much is done at the server.
    pub async fn work(&self, turn: &mut Turn, cost: Cost) -> Result<(), StoreError> {
        // Whole ones: trips are a measured mean.
        let slices = (cost.micros / SLICE_MICROS).ceil().min(cost.trips.round()).max(1.0);
        let (part, way) = (cost * (1.0 / slices), self.round_trip.mul_f64(cost.trips / slices / 2.0));
        let mut left = slices;
        while left > 0.0 {
            left -= 1.0;
            turn.at = self.take(turn.at + way, part)?;
            if left > 0.0 {
                turn.at += way;
            }
            self.wait(turn).await?;
        }
        Ok(())
    }

    /// Until the answer is where it was asked for. Takes what the operation took.
    pub async fn answer(&self, turn: &mut Turn) -> Result<Duration, StoreError> {
        turn.at += self.round_trip / 2;
        self.wait(turn).await?;
        if self.state().is_up { Ok(turn.at - turn.begun) } else { Err(unreachable()) }
    }

    async fn wait(&self, turn: &Turn) -> Result<(), StoreError> {
        let end = turn.deadline.map(|deadline| turn.begun + deadline);
        if let Some(end) = end.filter(|end| turn.at > *end) {
            sleep_until(end).await;
            self.state().count.late += 1;
            return Err(StoreError::Deadline);
        }
        // A timer is up to a millisecond late: what is nearer is now.
        let early = Duration::from_millis(1);
        if turn.at > Instant::now() + early {
            sleep_until(turn.at - early).await;
        }
        Ok(())
    }

    /// Has its turn at the server, after whoever came before; when that is over.
    fn take(&self, arrived: Instant, cost: Cost) -> Result<Instant, StoreError> {
        let mut state = self.state();
        if !state.is_up {
            return Err(unreachable());
        }
        state.count.cost = state.count.cost + cost;
        state.busy_until = arrived.max(state.busy_until) + Duration::from_secs_f64(cost.micros / 1e6);
        Ok(state.busy_until)
    }

    /// What nobody waits for.
    pub fn charge(&self, cost: Cost) {
        // A server that is down does nothing.
        let _ = self.take(Instant::now(), cost);
    }

    /// A write calls everybody who listens.
    pub fn call(self: &Arc<Self>) {
        let listeners = self.state().listeners.clone();
        self.charge(self.costs.call * listeners.len() as f64);
        let machine = Arc::clone(self);
        tokio::spawn(async move {
            sleep(machine.round_trip / 2).await;
            for listener in &listeners {
                listener.notify_one();
            }
        });
    }

    pub fn listen(&self, listener: Arc<Notify>) {
        self.state().listeners.push(listener);
    }

    pub fn connected(&self) {
        self.state().count.connections += 1;
    }

    pub fn note_read(&self, took: Duration) {
        self.state().reads.push(took.as_secs_f64() * 1e3);
    }

    /// Whether it is the turn of whoever asks.
    pub fn take_turn(&self, period: Duration) -> bool {
        let mut state = self.state();
        let is_free = state.turn_ends.is_none_or(|end| end <= Instant::now());
        if is_free {
            state.turn_ends = Some(Instant::now() + period);
        }
        is_free
    }

    /// What it costs to note uses of secrets: less when another server has told of them.
    pub fn uses(&self, uses: &[SecretUse]) -> Cost {
        let mut state = self.state();
        let first = uses.iter().filter(|used| state.used.insert((used.client.clone(), used.day))).count();
        let Costs { uses: slope, uses_again: again, .. } = &self.costs;
        slope.at(first) + again.each * (uses.len() - first) as f64
    }

    /// Ends it, and all connections with it.
    pub fn stop(&self) {
        let mut state = self.state();
        state.is_up = false;
        state.listeners.clear();
        self.ended.notify_waiters();
    }

    pub fn start(&self) {
        let mut state = self.state();
        (state.is_up, state.busy_until) = (true, Instant::now());
    }

    pub fn count(&self) -> Count {
        self.state().count
    }

    /// The readings of clients since the last time, in order.
    pub fn take_reads(&self) -> Vec<f64> {
        let mut reads = std::mem::take(&mut self.state().reads);
        reads.sort_by(f64::total_cmp);
        reads
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn unreachable() -> StoreError {
    StoreError::Unreachable("the simulated Redis is down".to_owned())
}
