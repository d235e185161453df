//! How long work shows that it goes on: one line that is written over on a terminal, a line now and then elsewhere. On
//! standard error, beside the result.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::output::{note, printable};

/// How often a terminal's line is written over.
const TERMINAL_EVERY: Duration = Duration::from_millis(200);
/// How often a line is written elsewhere.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Does `work`, and shows what `say` says of it meanwhile.
pub async fn shown<T>(say: impl Fn() -> Option<String>, work: impl Future<Output = T>) -> T {
    let is_terminal = io::stderr().is_terminal();
    let every = if is_terminal { TERMINAL_EVERY } else { PLAIN_EVERY };
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                if is_terminal {
                    over("");
                }
                return done;
            }
            _ = ticks.tick() => match say() {
                Some(line) if is_terminal => over(&line),
                Some(line) => note(&line),
                None => {}
            }
        }
    }
}

/// Writes over the terminal's current line. A closed one has nobody to tell.
fn over(line: &str) {
    let mut out = io::stderr().lock();
    drop(write!(out, "\r\x1b[K{}", printable(line)).and_then(|()| out.flush()));
}
