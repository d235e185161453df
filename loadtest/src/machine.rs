//! What it ran on and what of, so that figures are not read without them; and what the kernel says of a process.

use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine, as far as it matters; nothing that names it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Memory.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The load of the minute before: what else ran.
    pub load: f64,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let cores = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal:").unwrap_or_default();
        let kib: u64 = memory.trim_end_matches("kB").trim().parse().unwrap_or_default();
        Self {
            processor: field(&cores, "model name\t:").unwrap_or_else(|| "unknown".to_owned()),
            cores: cores.lines().filter(|line| line.starts_with("processor")).count(),
            memory_mib: kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default(),
        }
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

/// The commit of the folder that one is in, with a `+` when files were changed since.
#[must_use]
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { commit + "+" } else { commit }
}

/// Processor time of all threads of a process; `None` when there is none of this number.
#[must_use]
pub fn cpu_nanos(pid: u32) -> Option<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let spent = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Some(tasks.flatten().filter_map(spent).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_memory_and_a_kernel() {
        let here = Machine::here();
        assert!(here.cores > 0 && here.memory_mib > 0 && !here.kernel.is_empty(), "{here:?}");
        assert_eq!(field("a: 1\nb: 2\n", "b:").as_deref(), Some("2"));
    }

    #[test]
    fn a_process_has_spent_time_and_no_process_has_not() {
        assert!(cpu_nanos(std::process::id()).is_some_and(|nanos| nanos > 0));
        assert_eq!(cpu_nanos(u32::MAX), None);
    }
}
