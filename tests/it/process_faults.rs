//! Faults of the process and its host.
