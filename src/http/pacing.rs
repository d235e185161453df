//! Lets a failed authentication be answered at an instant that was set before anything was looked up.
//!
//! What the store finds takes microseconds more than what it does not find. The runtime's timers cannot hide that:
//! they count whole milliseconds from when the worker went to sleep, which is when the lookup was done. So one
//! thread for all workers sleeps to the exact instant. Only refusals come here; at most as many wait as requests
//! may be in flight.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How long a failed authentication takes at the least, from its last byte on: longer than the store needs, so that
/// neither what was found there nor how far the checks went shows in the time of the answer.
pub const FAILURE_TAKES: Duration = Duration::from_millis(2);

type Waiting = (Instant, oneshot::Sender<()>);

/// Where refusals wait. The thread ends with the last handle.
#[derive(Clone, Debug)]
pub struct Pacing(Sender<Waiting>);

impl Pacing {
    /// # Errors
    /// When the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let (sender, waiting) = channel();
        std::thread::Builder::new().name("pacing".to_owned()).spawn(move || run(&waiting))?;
        Ok(Self(sender))
    }

    /// Completes once a request that was read at `read` may be told that it failed.
    pub async fn wait(&self, read: Instant) {
        let (wake, woken) = oneshot::channel();
        if self.0.send((read + FAILURE_TAKES, wake)).is_ok() {
            // An error means that the thread has ended, as it does with the process.
            drop(woken.await);
        }
    }
}

fn run(waiting: &Receiver<Waiting>) {
    // The number keeps two of the same instant apart.
    let mut queue: BTreeMap<(Instant, u64), oneshot::Sender<()>> = BTreeMap::new();
    let mut number = 0_u64;
    loop {
        let now = Instant::now();
        while let Some(due) = queue.first_entry().filter(|first| first.key().0 <= now) {
            // Whoever waited may have hung up.
            let _ = due.remove().send(());
        }
        let next = match queue.first_key_value() {
            Some(((instant, _), _)) => waiting.recv_timeout(instant.saturating_duration_since(Instant::now())),
            None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok((instant, wake)) => {
                number += 1;
                queue.insert((instant, number), wake);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t069_each_waits_for_its_own_instant_whatever_the_order_of_arrival() {
        let pacing = Pacing::start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let now = Instant::now();
        let later = now + Duration::from_millis(200);
        let order = std::cell::RefCell::new(Vec::new());
        let wait = |name: &'static str, read: Instant| {
            let (pacing, order) = (pacing.clone(), &order);
            async move {
                pacing.wait(read).await;
                assert!(read.elapsed() >= FAILURE_TAKES, "{name} was answered early");
                order.borrow_mut().push(name);
            }
        };
        runtime.block_on(async { tokio::join!(wait("later", later), wait("sooner", now)) });
        assert_eq!(*order.borrow(), ["sooner", "later"]);
    }
}
