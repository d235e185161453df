//! The audit log of a command: each event is written before the command says that it is done.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::event::Event;
use super::sink::Sink;

/// A log that writes at once.
#[derive(Debug)]
pub struct Journal {
    sink: Mutex<Sink>,
    actor: Box<str>,
}

impl Journal {
    /// Writes to `sink` what `actor` does, such as `cli:1000`.
    #[must_use]
    pub fn new(sink: Sink, actor: &str) -> Self {
        Self { sink: Mutex::new(sink), actor: actor.into() }
    }

    /// Writes an event down.
    ///
    /// # Errors
    /// What the system reports.
    pub fn record(&self, event: &Event<'_>) -> io::Result<()> {
        let mut line = Vec::new();
        Event { actor: Some(&self.actor), ..event.clone() }.push_line(SystemTime::now(), &mut line);
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).write(&line)
    }
}
