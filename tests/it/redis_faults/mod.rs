//! Faults of Redis, between nodes and of the wire to it, with real servers: what holds meanwhile and afterwards.

mod access;
mod availability;
mod clock;
mod cluster;
mod coherence;
mod data;
mod failover;
mod harness;
mod keys;
mod nodes;
mod tls;
mod witness;

use std::process::{Child, Stdio};

use crate::support::Home;
use crate::support::faults::free_address;

/// A server that is started while its store is gone, so that it says nothing yet: its public and its ops address.
fn down_at_start(home: &Home) -> (Child, String, String) {
    let (listen, ops_listen) = (free_address(), free_address());
    let mut command = home.command();
    command.args(["serve", "--listen", &listen, "--ops-listen", &ops_listen]).stdout(Stdio::null());
    (command.stderr(Stdio::null()).spawn().unwrap(), listen, ops_listen)
}
