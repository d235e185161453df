//! loadgen: drives a token endpoint in an open loop, and says what it saw.
//!
//! # The life of a run
//!
//! 1. [`arguments`] are read by [`cli`]: a [`target`], a [`schedule`], an [`slo`].
//! 2. [`schedule`] says when each request is due, whatever becomes of those before it.
//! 3. [`worker`] is a thread that hands the due requests to free lines; those that find none wait their turn. A
//!    [`line`] is one kept-alive connection, [`answer`] reads what comes back.
//! 4. [`tally`] counts what became of each, and how long that took **from the instant at which it was due**: a server
//!    that stalls delays also what could not even be sent, and that is counted.
//! 5. [`drive`](mod@drive) puts the threads' seconds together, [`verify`] checks a sample of the tokens by the
//!    published keys.
//! 6. [`report`] is the result as JSON, [`html`] the page; [`find_limit`] and [`compare`] are made of results.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page and a summary are written once per run, and read better so"
)]

mod answer;
mod arguments;
mod cli;
mod compare;
mod drive;
mod find_limit;
mod html;
mod line;
mod machine;
mod report;
mod schedule;
mod slo;
mod summary;
mod tally;
mod target;
mod units;
mod verify;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
