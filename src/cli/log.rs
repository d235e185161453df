//! Log lines: JSON when nobody looks, pretty on a terminal; written by a thread of its own.
//!
//! A worker never waits for whoever reads the log: lines go through a bounded queue, and what does not fit is
//! counted and said once there is room again (a pipe that is full or closed stops nothing).

use std::io::{self, IsTerminal as _, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{ConfigError, Log, LogFormat};

/// How many lines may wait.
const QUEUE: usize = 4096;
/// How long the end of the process waits for the last lines.
pub const FLUSH_DEADLINE: Duration = Duration::from_millis(500);

/// Hands whole lines to the writing thread.
#[derive(Clone, Debug)]
struct Lines {
    queue: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// Lines that were queued and not yet written.
static WAITING: AtomicU64 = AtomicU64::new(0);

/// Waits until what was logged is written, but not for a reader that has stopped.
pub fn flush() {
    let end = Instant::now() + FLUSH_DEADLINE;
    while WAITING.load(Ordering::Acquire) > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One line on its way; handed over when it is dropped.
struct Line<'a> {
    lines: &'a Lines,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        WAITING.fetch_add(1, Ordering::Relaxed);
        if self.lines.queue.try_send(std::mem::take(&mut self.text)).is_err() {
            WAITING.fetch_sub(1, Ordering::Relaxed);
            self.lines.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, text: Vec::new() }
    }
}

/// What `log.level` lets through.
///
/// # Errors
/// When it is no filter.
pub fn filter(log: &Log) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(&log.level).map_err(|_| {
        let level = log.level.escape_debug();
        ConfigError::new(format!("log.level is \"{level}\": a level (error, warn, info, debug, trace) or a filter"))
    })
}

/// Sets the process's log up: to standard error, by the configuration.
///
/// # Errors
/// When the level is no filter, or the thread cannot be started.
pub fn start(log: &Log) -> Result<(), ConfigError> {
    let filter = filter(log)?;
    let (queue, lines) = sync_channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&dropped);
    let thread =
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&lines, &count, io::stderr()));
    thread.map_err(|error| ConfigError::new(format!("the log cannot be started: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines { queue, dropped });
    let pretty = match log.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    let set = if pretty {
        builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    set.map_err(|_| ConfigError::new("the log was set up twice"))
}

fn write_lines(lines: &Receiver<Vec<u8>>, dropped: &AtomicU64, mut target: impl Write) {
    while let Ok(line) = lines.recv() {
        // A panic costs its line, not all that come after it.
        let written = catch_unwind(AssertUnwindSafe(|| write_line(&line, dropped, &mut target)));
        if written.is_err() {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
        WAITING.fetch_sub(1, Ordering::Release);
    }
}

fn write_line(line: &[u8], dropped: &AtomicU64, target: &mut impl Write) {
    let lost = dropped.swap(0, Ordering::Relaxed);
    let note = format!("{{\"level\":\"WARN\",\"message\":\"log lines were dropped\",\"dropped\":{lost}}}\n");
    if lost > 0 && target.write_all(note.as_bytes()).is_err() {
        dropped.fetch_add(lost, Ordering::Relaxed);
    }
    // A full disk or a closed pipe: said once it can be.
    if target.write_all(line).is_err() {
        dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics at its first line, as a bug would.
    struct Fragile<'a> {
        panicked: bool,
        text: &'a mut Vec<u8>,
    }

    impl Write for Fragile<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(std::mem::replace(&mut self.panicked, true), "a bug");
            self.text.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn p12_a_panic_costs_one_line_and_is_said_with_the_next() {
        let (queue, lines) = sync_channel(QUEUE);
        for line in ["first\n", "second\n"] {
            WAITING.fetch_add(1, Ordering::Relaxed);
            queue.send(line.as_bytes().to_vec()).unwrap();
        }
        drop(queue);
        let mut text = Vec::new();
        write_lines(&lines, &AtomicU64::new(0), Fragile { panicked: false, text: &mut text });
        let text = String::from_utf8(text).unwrap();
        let said: Vec<&str> = text.lines().collect();
        assert!(matches!(said[..], [note, "second"] if note.contains("\"dropped\":1")), "{text}");
    }
}
