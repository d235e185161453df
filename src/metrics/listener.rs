//! What is counted of a listener, by all of its workers: events of connections, which are rare beside requests.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// It was taken.
    Accepted,
    /// It was beyond the cap.
    Refused,
    /// The system could not hand it over, as when files are short.
    Failed,
    /// It was late, or idle while others needed the room.
    Cut,
    /// It sent what is no request.
    Malformed,
}

impl ConnectionEvent {
    /// Every event, in the order of its counters.
    pub(super) const ALL: [Self; 5] = [Self::Accepted, Self::Refused, Self::Failed, Self::Cut, Self::Malformed];

    /// The metric label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
        }
    }
}

/// The connections of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicI64,
    events: [AtomicU64; ConnectionEvent::ALL.len()],
}

impl Connections {
    /// Counts an event.
    pub fn count(&self, event: ConnectionEvent) {
        if let Some(count) = self.events.get(event as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One more is open.
    pub fn opened(&self) {
        self.count(ConnectionEvent::Accepted);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them is closed.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    pub(super) fn counted(&self, event: ConnectionEvent) -> u64 {
        self.events.get(event as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
