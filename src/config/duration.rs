//! Durations as people write them: `250ms`, `10s`, `5m`, `1h`, `30d`.

use std::time::Duration;

const FORM: &str = "a whole number with a unit: ms, s, m, h or d";
/// A hundred years: more is a mistake, and less can be added to any instant.
const LONGEST: Duration = Duration::from_hours(36_500 * 24);
const TOO_LONG: &str = "at most 36500d";

/// Reads a duration.
///
/// # Errors
/// What is allowed, when the text is anything else.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or(FORM)?;
    let number: u64 = number.parse().map_err(|_| FORM)?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs).ok_or(FORM);
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => seconds(1)?,
        "m" => seconds(60)?,
        "h" => seconds(3600)?,
        "d" => seconds(86_400)?,
        _ => return Err(FORM),
    };
    if duration > LONGEST { Err(TOO_LONG) } else { Ok(duration) }
}

/// Writes a duration in the largest unit that fits exactly.
#[must_use]
pub fn encode(duration: Duration) -> String {
    let millis = duration.as_millis();
    let fitting = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")].into_iter();
    let (each, unit) =
        fitting.into_iter().find(|(each, _)| millis > 0 && millis.is_multiple_of(*each)).unwrap_or((1, "ms"));
    format!("{}{unit}", millis / each)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_has_no_unit_or_no_number() {
        for text in ["", "10", "s", "1.5s", "-1s", "10 s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse(text), Err(FORM), "{text}");
        }
    }

    #[test]
    fn refuses_what_no_instant_can_be_moved_by() {
        assert_eq!(parse("36500d"), Ok(LONGEST));
        for text in ["36501d", "213503982334601d", "18446744073709551615s", "18446744073709551615ms"] {
            assert_eq!(parse(text), Err(TOO_LONG), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_of_encode_is_the_same(millis in 0_u64..=36_500 * 86_400_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&encode(duration)), Ok(duration));
        }
    }
}
