//! Requests whose body is still on its way. They are many and cost little, so they hold no permit; beyond the bound
//! the one that has waited longest gives way, so that whoever sends slowly keeps nobody out but others like it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::metrics::Occupancy;

/// The waiting bodies of one worker.
#[derive(Debug)]
pub struct Waiting {
    limit: usize,
    occupancy: Arc<Occupancy>,
    next: Cell<u64>,
    /// By age; dropping one tells it to give way.
    places: RefCell<BTreeMap<u64, oneshot::Sender<()>>>,
}

/// A place among them, given back when dropped.
#[derive(Debug)]
pub struct Place<'a> {
    waiting: &'a Waiting,
    number: u64,
    taken: oneshot::Receiver<()>,
}

impl Waiting {
    /// Room for so many; `occupancy` is told how many there are.
    #[must_use]
    pub fn new(limit: usize, occupancy: Arc<Occupancy>) -> Self {
        Self { limit: limit.max(1), occupancy, next: Cell::new(0), places: RefCell::default() }
    }

    /// Takes a place, from the one that has waited longest when there is no other.
    pub fn enter(&self) -> Place<'_> {
        let number = self.next.replace(self.next.get() + 1);
        let (place, taken) = oneshot::channel();
        let mut places = self.places.borrow_mut();
        if places.len() >= self.limit {
            drop(places.pop_first());
        }
        places.insert(number, place);
        self.occupancy.set_bodies(places.len());
        Place { waiting: self, number, taken }
    }
}

impl Place<'_> {
    /// Completes when somebody else needs the place.
    pub async fn taken(&mut self) {
        // The sender is only ever dropped.
        let _ = (&mut self.taken).await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.waiting.places.borrow_mut();
        places.remove(&self.number);
        self.waiting.occupancy.set_bodies(places.len());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_taken(place: &mut Place<'_>) -> bool {
        pin!(place.taken()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn t019_the_one_that_has_waited_longest_gives_way_and_no_other() {
        let waiting = Waiting::new(2, Arc::default());
        let (mut first, second) = (waiting.enter(), waiting.enter());
        assert!(!is_taken(&mut first));
        let mut third = waiting.enter();
        assert!(is_taken(&mut first) && !is_taken(&mut third));
        drop(second);
        let mut fourth = waiting.enter();
        assert!(!is_taken(&mut third) && !is_taken(&mut fourth), "there was room again");
        drop((first, third, fourth));
        assert!(waiting.places.borrow().is_empty());
    }
}
