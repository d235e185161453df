//! Faults of the process and its host.

mod host;
mod memory;
mod start;
mod stop;
