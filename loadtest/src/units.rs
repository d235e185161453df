//! Durations as people write and read them.

use std::time::Duration;

/// Units with their length in nanoseconds; `ms` before `m` and `s`.
const UNITS: [(&str, f64); 6] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Reads a number with a unit, such as `0.5ms` or `10s`.
///
/// # Errors
/// A sentence, when it is none.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 0.5ms, 10s or 1h");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let nanos = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * nanos / 1e9).map_err(|_| wrong())
}

/// Microseconds with three significant digits and a fitting unit.
#[must_use]
pub fn show_micros(micros: f64) -> String {
    let (value, unit) = match micros {
        micros if micros < 1e3 => (micros, "µs"),
        micros if micros < 1e6 => (micros / 1e3, "ms"),
        micros => (micros / 1e6, "s"),
    };
    let decimals = match value {
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// A whole number with its thousands apart.
#[must_use]
pub fn show_count(count: f64) -> String {
    let digits = format!("{:.0}", count.abs());
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if count <= -0.5 { format!("-{shown}") } else { shown }
}

/// A count as a number to calculate with; exact below 2⁵³.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "no count of requests comes near 2^53")]
pub const fn float(count: u64) -> f64 {
    count as f64
}

/// The nearest count; negative numbers and what is none are 0.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, as is said")]
pub fn count(number: f64) -> u64 {
    number.round() as u64
}

/// A duration in nanoseconds; 584 years at most.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit_and_nothing_else_is() {
        for (text, nanos) in
            [("250us", 250_000), ("0.5ms", 500_000), ("10s", 10_000_000_000), ("1.5m", 90_000_000_000), ("7ns", 7)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(parse_duration("1h"), Ok(Duration::from_hours(1)));
        for text in ["", "5", "s", "-1s", "1 s", "1.2.3s", "5 ms", "1d", "1e3s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn figures_are_shown_with_as_many_digits_as_say_something() {
        for (micros, shown) in
            [(0.25, "0.25 µs"), (97.6, "97.6 µs"), (812.0, "812 µs"), (4210.0, "4.21 ms"), (1.3e6, "1.30 s")]
        {
            assert_eq!(show_micros(micros), shown);
        }
        for (count, shown) in [(0.0, "0"), (999.6, "1,000"), (1_234_567.0, "1,234,567"), (-1200.0, "-1,200")] {
            assert_eq!(show_count(count), shown);
        }
    }
}
