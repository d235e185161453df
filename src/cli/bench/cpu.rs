//! The processor time of a thread, as the kernel counts it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of a clock tick as `/proc` counts them, on every Linux.
const TICK_NANOS: u64 = 10_000_000;

/// A thread of this process.
#[derive(Debug)]
pub enum ThreadClock {
    /// The one that reads it, to the nanosecond.
    Own,
    /// Another, by its folder below `/proc`: while it runs this lags by a tick of the scheduler, a few milliseconds.
    Other(PathBuf),
}

impl ThreadClock {
    /// The thread of this name, once it runs.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(name: &str) -> io::Result<Self> {
        for thread in fs::read_dir("/proc/self/task")? {
            let folder = thread?.path();
            // A thread that has just ended is none.
            if fs::read_to_string(folder.join("comm")).is_ok_and(|found| found.trim_end() == name) {
                return Ok(Self::Other(folder));
            }
        }
        Err(io::Error::other(format!("there is no thread {name}")))
    }

    /// Processor time until now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn read(&self) -> io::Result<Duration> {
        let time = match self {
            Self::Own => clock_gettime(ClockId::ThreadCPUTime).try_into().ok(),
            Self::Other(folder) => nanos_of(folder)?.map(Duration::from_nanos),
        };
        time.ok_or_else(|| io::Error::other("the kernel does not count processor time"))
    }
}

fn nanos_of(folder: &Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(folder.join("schedstat")) {
        Ok(text) => Ok(text.split(' ').next().and_then(|nanos| nanos.parse().ok())),
        // Kernels without scheduler statistics count in hundredths of a second, which is fine enough.
        Err(_) => Ok(ticks(&fs::read_to_string(folder.join("stat"))?).map(|ticks| ticks * TICK_NANOS)),
    }
}

/// User and system time. What stands in brackets is the name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let field = |position: usize| fields.get(position)?.parse::<u64>().ok();
    Some(field(11)? + field(12)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_found_by_its_name_and_its_clock_goes_on() {
        let work = || {
            let (own, named) = (ThreadClock::Own, ThreadClock::of("at-work").unwrap());
            let before = (own.read().unwrap(), named.read().unwrap());
            // Bounded by the clock itself: it ends once the clock was seen to go on.
            while own.read().unwrap() < before.0 + Duration::from_millis(20) {}
            assert!(named.read().unwrap() > before.1);
        };
        std::thread::Builder::new().name("at-work".to_owned()).spawn(work).unwrap().join().unwrap();
        assert!(ThreadClock::of("no such").is_err());
    }

    #[test]
    fn ticks_are_read_from_behind_the_name() {
        assert_eq!(ticks("7 (a) b 1) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20"), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
    }
}
