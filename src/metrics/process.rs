//! What the kernel says of this process, by the names that every Prometheus client library uses. Read from `/proc`;
//! what cannot be read there is left out.

use std::fs;

use prometheus::proto::MetricFamily;

use super::family::{counters, float, sole_gauge, sum};

/// Clock ticks per second as `/proc` counts them, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn families() -> Vec<MetricFamily> {
    let [status, fields, limits] = ["status", "stat", "limits"].map(|file| read(&format!("/proc/self/{file}")));
    // What stands in brackets is the name, which may hold anything.
    let fields: Vec<&str> = fields.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |position: usize| fields.get(position).and_then(|text| text.parse::<u64>().ok());
    let in_status = |name: &str| number(line(&status, name)?, 0);
    let cpu = field(11).zip(field(12)).map(|(user, system)| float(user + system) / TICKS_PER_SECOND);
    let boot = line(&read("/proc/stat"), "btime ").and_then(|rest| number(rest, 0));
    let started = boot.zip(field(19)).map(|(boot, ticks)| float(boot) + float(ticks) / TICKS_PER_SECOND);
    let bytes = |kibibytes: u64| float(kibibytes * 1024);
    let gauges = [
        ("process_resident_memory_bytes", "Resident memory.", in_status("VmRSS:").map(bytes)),
        ("process_virtual_memory_bytes", "Virtual memory.", in_status("VmSize:").map(bytes)),
        ("process_threads", "Threads.", in_status("Threads:").map(float)),
        ("process_open_fds", "Open files, connections included.", open_files().map(float)),
        ("process_max_fds", "Open files that the system allows.", max_files(&limits).map(float)),
        ("process_start_time_seconds", "When the process started, since 1970.", started),
    ];
    let known = gauges.into_iter().filter_map(|(name, help, value)| Some(sole_gauge(name, help, value?)));
    let cpu = cpu.map(|seconds| {
        counters("process_cpu_seconds_total", "Processor time, of all threads.", vec![sum(&[], seconds)])
    });
    known.chain(cpu).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The rest of the line that begins with `name`.
fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

fn number(text: &str, position: usize) -> Option<u64> {
    text.split_whitespace().nth(position)?.parse().ok()
}

/// Newer kernels tell it by the size of the folder; to list it takes milliseconds when there are thousands.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        0 => fs::read_dir(folder).ok().map(|files| files.count() as u64),
        files => Some(files),
    }
}

fn max_files(limits: &str) -> Option<u64> {
    number(line(limits, "Max open files")?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_everything_of_a_running_process() {
        let families = families();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).expect(name);
            let sample = &family.get_metric()[0];
            sample.get_gauge().get_value().max(sample.get_counter().get_value())
        };
        assert!(value("process_threads") >= 1.0 && value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert_eq!(families.len(), 7);
    }

    #[test]
    fn limits_are_read_from_their_columns() {
        let limits =
            "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(max_files(limits), Some(1024));
        assert_eq!(max_files("Max open files            unlimited            unlimited            files\n"), None);
    }
}
