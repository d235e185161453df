//! What is measured on.

use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;

use crate::keys::{Path, Why};

/// The processor, and what of it is used.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    /// Processors that this process may use, as the kernel counts them.
    pub cpus: usize,
    /// All that there are.
    pub all_cpus: usize,
    /// More than one where several of them share a core.
    pub threads_per_core: usize,
    /// Whether signatures are made in vector lanes.
    pub vector_signing: bool,
    /// The same in words, with the reason.
    pub signing: &'static str,
}

impl Machine {
    /// Looks at this one, whose key signs by this path.
    #[must_use]
    pub fn look(path: Option<Path>) -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpus = available_parallelism().map_or(1, usize::from);
        Self {
            processor: field(&text, "model name").unwrap_or(std::env::consts::ARCH).to_owned(),
            cpus,
            all_cpus: text.lines().filter(|line| line.starts_with("processor")).count().max(cpus),
            threads_per_core: threads_per_core(&text),
            vector_signing: path == Some(Path::Lanes),
            signing: signing(path),
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start().strip_prefix(':').map(str::trim)
}

/// One where the kernel does not say.
fn threads_per_core(text: &str) -> usize {
    let number = |name| field(text, name).and_then(|text| text.parse::<usize>().ok());
    number("siblings").zip(number("cpu cores")).map_or(1, |(threads, cores)| threads / cores.max(1)).max(1)
}

const fn signing(path: Option<Path>) -> &'static str {
    match path {
        Some(Path::Lanes) => "in the vector lanes of AVX-512 IFMA",
        Some(Path::Portable(Why::SwitchedOff)) => "without vector lanes: keys.vector_signing is off",
        Some(Path::Portable(Why::Unsupported)) => "without vector lanes: this processor has no AVX-512 IFMA",
        Some(Path::Portable(Why::SelfTestFailed | Why::FaultFound)) => {
            "without vector lanes: this processor computes wrongly with them, do not trust it"
        }
        None => "without vector lanes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_read_from_what_the_kernel_says_and_one_that_says_less_is_counted_all_the_same() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nsiblings\t: 8\ncpu cores\t: 4\n";
        assert_eq!((field(text, "model name"), threads_per_core(text)), (Some("Some CPU @ 2 GHz"), 2));
        assert_eq!((field("processor\t: 0\n", "model name"), threads_per_core("processor\t: 0\n")), (None, 1));
        let here = Machine::look(Some(Path::Lanes));
        assert!(here.cpus >= 1 && here.all_cpus >= here.cpus && !here.processor.is_empty());
        assert!(here.vector_signing && !Machine::look(Some(Path::Portable(Why::Unsupported))).vector_signing);
    }
}
