//! Faults of the process and its host.

mod host;
mod memory;
mod pauses;
mod start;
mod stop;
