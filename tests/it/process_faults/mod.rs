//! Faults of the process and its host.

mod host;
mod start;
mod stop;
