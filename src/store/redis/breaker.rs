//! Whether Redis is asked at all: one connection for all, and a breaker in front of it.
//!
//! While it is up, requests share it. Once it breaks, or several requests in a row had no answer in time, it is given
//! up: who comes then waits for the first try at another one, within its own deadline. When that fails, everybody is
//! refused at once, until a try succeeds. Leaves the trying to `connection`, and what a connection is to whoever has it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::StoreError;

/// How many requests in a row may be late before the connection counts as dead.
const LATE_IN_A_ROW: u32 = 3;

/// A connection that was looked at: it leads to the store that we know.
#[derive(Clone, Debug)]
pub struct Live<L> {
    /// The connection itself.
    pub link: L,
    /// Which store this is.
    pub epoch: Arc<str>,
    number: u64,
}

#[derive(Clone)]
enum State<L> {
    /// Never connected so far, and no try has failed.
    Starting,
    Up(Live<L>),
    /// It broke a moment ago; the first try is under way.
    Reconnecting,
    /// The last try failed.
    Down(StoreError),
}

/// The state that requests and the supervisor share.
pub struct Breaker<L> {
    state: watch::Sender<State<L>>,
    late: AtomicU32,
}

impl<L> fmt::Debug for Breaker<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("late", &self.late).finish_non_exhaustive()
    }
}

impl<L> Default for Breaker<L> {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::Starting), late: AtomicU32::new(0) }
    }
}

impl<L: Clone> Breaker<L> {
    /// Waits until the first try has ended: a command that was just started has nothing else to do.
    pub async fn has_started(&self) {
        // The sender is `self`, so the channel is open.
        drop(self.state.subscribe().wait_for(|state| !matches!(state, State::Starting)).await);
    }

    /// The connection.
    ///
    /// # Errors
    /// Why there is none: at once while Redis is down, and when `deadline` passes during the first try.
    pub async fn acquire(&self, deadline: Instant) -> Result<Live<L>, StoreError> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| matches!(state, State::Up(_) | State::Down(_)));
        match tokio::time::timeout_at(deadline, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(live) => Ok(live.clone()),
                State::Down(error) => Err(error.clone()),
                State::Starting | State::Reconnecting => Err(StoreError::Deadline),
            },
            _ => Err(StoreError::Deadline),
        }
    }

    /// The server answered, whatever it said.
    pub fn answered(&self) {
        if self.late.load(Ordering::Relaxed) != 0 {
            self.late.store(0, Ordering::Relaxed);
        }
    }

    /// A request over this connection had no answer in time.
    pub fn was_late(&self, live: &Live<L>) {
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE_IN_A_ROW {
            self.broke(live);
        }
    }

    /// This connection is of no use any more; nothing happens if another one has taken its place.
    pub fn broke(&self, live: &Live<L>) {
        self.state.send_if_modified(|state| {
            let is_this = matches!(state, State::Up(current) if current.number == live.number);
            if is_this {
                *state = State::Reconnecting;
            }
            is_this
        });
    }

    /// Whatever connection there is, it is not to be used any more.
    pub fn break_any(&self) {
        self.state.send_if_modified(|state| {
            let is_up = matches!(state, State::Up(_));
            if is_up {
                *state = State::Reconnecting;
            }
            is_up
        });
    }

    /// A try succeeded.
    pub fn set_up(&self, link: L, epoch: Arc<str>) {
        self.late.store(0, Ordering::Relaxed);
        let number = rand::random();
        self.state.send_replace(State::Up(Live { link, epoch, number }));
    }

    /// A try failed.
    pub fn set_down(&self, error: StoreError) {
        self.state.send_replace(State::Down(error));
    }

    /// Waits until there is no connection.
    pub async fn until_broken(&self) {
        drop(self.state.subscribe().wait_for(|state| !matches!(state, State::Up(_))).await);
    }
}
