//! Cores for so many tokens per second, from what a token costs here.
//!
//! A core is planned for a part of what it makes when it does nothing else: the rest is for bursts, for the kernel's
//! share of a real network, and for smaller batches of signatures at a lower load.

use serde::Serialize;

/// What a core is planned for, of a hundred that it makes.
pub const PLANNED_PERCENT: u64 = 60;

const RATES: [u64; 4] = [1_000, 10_000, 50_000, 200_000];
const SECOND_NANOS: u64 = 1_000_000_000;

/// What so many tokens per second need.
#[derive(Debug, PartialEq, Serialize)]
pub struct Row {
    pub tokens_per_second: u64,
    /// Cores that would be at work all the time.
    pub busy_cores: f64,
    /// Cores to have.
    pub cores: u64,
    /// Servers that have as many processors as this machine.
    pub servers: u64,
}

/// What each rate needs where a token costs this much processor time and a server has so many processors.
#[must_use]
pub fn rows(cpu_ns_per_token: u64, cpus: usize) -> Vec<Row> {
    let cpus = u64::try_from(cpus).unwrap_or(u64::MAX).max(1);
    let row = |tokens_per_second: u64| {
        let busy = tokens_per_second.saturating_mul(cpu_ns_per_token);
        let cores = busy.saturating_mul(100).div_ceil(PLANNED_PERCENT * SECOND_NANOS).max(1);
        Row { tokens_per_second, busy_cores: seconds(busy), cores, servers: cores.div_ceil(cpus) }
    };
    RATES.map(row).into()
}

/// Rounded up to hundredths.
fn seconds(nanos: u64) -> f64 {
    let hundredths = nanos.div_ceil(SECOND_NANOS / 100);
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_planned_for_three_fifths_of_what_it_makes_and_there_is_always_one() {
        let rows = rows(15_000, 4);
        let cores = rows.iter().map(|row| (row.tokens_per_second, row.busy_cores, row.cores, row.servers));
        let expected = [(1_000, 0.02, 1, 1), (10_000, 0.15, 1, 1), (50_000, 0.75, 2, 1), (200_000, 3.0, 5, 2)];
        assert_eq!(cores.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_just_enough_is_enough_and_a_nanosecond_more_is_not() {
        // 200,000 at 3 µs are exactly the 0.6 of one core.
        assert_eq!(rows(3_000, 1)[3].cores, 1);
        assert_eq!(rows(3_001, 1)[3].cores, 2);
    }

    #[test]
    fn more_processors_in_a_server_need_fewer_servers_and_the_same_cores() {
        for cost in [1, 999, 15_000, 400_000, u64::MAX] {
            for (one, many) in rows(cost, 1).into_iter().zip(rows(cost, 16)) {
                assert_eq!((one.servers, many.cores), (one.cores, one.cores));
                assert!(many.servers * 16 >= many.cores && (many.servers - 1) * 16 < many.cores);
            }
        }
    }
}
