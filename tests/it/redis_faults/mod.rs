//! Faults of Redis, between nodes and of the wire to it, with real servers: what holds meanwhile and afterwards.

mod harness;
