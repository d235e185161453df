//! What the process keeps in memory stays there: signing keys and the master key stand in it in clear.
//!
//! Before anything secret is read the process makes itself undumpable: no core file, no dump by `gcore`, and nobody but
//! root reads `/proc/PID/mem`, also not another process of the same user. What is freed is wiped by its type (`zeroize`).
//! Leaves swap to the operator: encrypt it, or have none.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Makes this process undumpable.
///
/// # Errors
/// When the system refuses: then no secret is to be read.
pub fn protect() -> std::io::Result<()> {
    // The limit as well: a core pattern that is a pipe asks for the flag only, one that is a file for both.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
