//! Faults of the store beneath a running server.
