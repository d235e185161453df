//! What a run must keep: `p99=5ms,p99.9=10ms,max=50ms,errors=0,rate=20000`.
//!
//! A percentile is one of **all** requests that were due: one that got no token counts as slower than any bound.
//! `errors` bounds the requests without a token, as a count or a share (`errors=0.1%`); `rate` is the least number of
//! tokens per second.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::tally::Tally;
use crate::units::{float, parse_duration, show_count, show_micros};

/// Bounds, in the order they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    text: String,
    bounds: Vec<Bound>,
}

#[derive(Clone, Debug, PartialEq)]
enum Bound {
    /// The part of all requests, and within what it must be answered.
    Percentile(f64, Duration),
    Max(Duration),
    Errors(u64),
    ErrorShare(f64),
    Rate(f64),
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bounds: Result<Vec<Bound>, String> = text.split(',').map(|bound| parse(bound.trim())).collect();
        Ok(Self { text: text.to_owned(), bounds: bounds? })
    }
}

fn parse(bound: &str) -> Result<Bound, String> {
    let wrong = || format!("{bound:?} is no bound such as p99=5ms, max=50ms, errors=0, errors=0.1% or rate=20000");
    let (name, value) = bound.split_once('=').ok_or_else(wrong)?;
    let number =
        |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0).ok_or_else(wrong);
    match name {
        "max" => Ok(Bound::Max(parse_duration(value)?)),
        "rate" => Ok(Bound::Rate(number(value)?)),
        "errors" => match value.strip_suffix('%') {
            Some(percent) => Ok(Bound::ErrorShare(number(percent)? / 100.0)),
            None => value.parse().map(Bound::Errors).map_err(|_| wrong()),
        },
        _ => {
            let percent = number(name.strip_prefix('p').ok_or_else(wrong)?)?;
            if percent <= 0.0 || percent >= 100.0 {
                return Err(wrong());
            }
            Ok(Bound::Percentile(percent, parse_duration(value)?))
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Slo {
    /// The bounds that a run of this length broke, each as a sentence.
    #[must_use]
    pub fn missed_by(&self, tally: &Tally, measured: Duration) -> Vec<String> {
        self.bounds.iter().filter_map(|bound| bound.missed_by(tally, measured)).collect()
    }
}

impl Bound {
    fn missed_by(&self, tally: &Tally, measured: Duration) -> Option<String> {
        let failed = tally.failed();
        match self {
            Self::Percentile(percent, most) => {
                let found = tally.percentile_micros(*percent);
                is_later(found, *most).map(|found| format!("p{percent} is {found}, more than {most:?}"))
            }
            Self::Max(most) => {
                is_later(tally.max_micros(), *most).map(|found| format!("the longest took {found}, more than {most:?}"))
            }
            Self::Errors(most) => (failed > *most).then(|| format!("{failed} requests got no token, more than {most}")),
            Self::ErrorShare(most) => {
                let share = float(failed) / float(tally.offered().max(1));
                let told = || format!("{:.3} % got no token, more than {} %", share * 100.0, most * 100.0);
                (share > *most).then(told)
            }
            Self::Rate(least) => {
                let rate = float(tally.issued()) / measured.as_secs_f64();
                let told = || format!("{} tokens/s, fewer than {}", show_count(rate), show_count(*least));
                (rate < *least).then(told)
            }
        }
    }
}

/// The figure as text, when it is later than the bound; nothing at all is later than any.
fn is_later(micros: Option<f64>, most: Duration) -> Option<String> {
    match micros {
        None => Some("never".to_owned()),
        Some(micros) if micros > most.as_secs_f64() * 1e6 => Some(show_micros(micros)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 requests a millisecond apart in latency, of which `failed` got no token.
    fn tally(failed: u64) -> Tally {
        let mut tally = Tally::new();
        for number in 0..1000_u64 {
            tally.note_due();
            if number < 1000 - failed {
                tally.note_issued(1_000_000 * (number + 1));
            } else {
                tally.note_unsent();
            }
        }
        tally
    }

    fn missed(slo: &str, failed: u64) -> usize {
        slo.parse::<Slo>().unwrap().missed_by(&tally(failed), Duration::from_secs(1)).len()
    }

    #[test]
    fn every_kind_of_bound_is_kept_or_missed() {
        for (slo, failed, expected) in [
            ("p50=501ms", 0, 0),
            ("p50=499ms", 0, 1),
            ("p99.9=1s", 0, 0),
            ("p99.9=990ms", 0, 1),
            ("max=1001ms", 0, 0),
            ("max=999ms", 0, 1),
            ("errors=0", 0, 0),
            ("errors=0", 1, 1),
            ("errors=1", 1, 0),
            ("errors=0.1%", 1, 0),
            ("errors=0.1%", 2, 1),
            ("rate=1000", 0, 0),
            ("rate=1000", 1, 1),
            ("p50=1ms, max=1ms,errors=0,rate=1e6", 1, 4),
        ] {
            assert_eq!(missed(slo, failed), expected, "{slo} with {failed} failed");
        }
    }

    #[test]
    fn a_request_without_a_token_is_slower_than_any_bound() {
        // 2 % failed: the 98th percentile is the slowest answer, the 99th never came.
        assert_eq!(missed("p98=982ms", 20), 0);
        assert_eq!(missed("p99=1h", 20), 1);
        assert_eq!(missed("max=1h", 1), 1);
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        for text in ["", "p99", "p99=5", "p0=1ms", "p100=1ms", "q99=1ms", "errors=-1", "errors=1.5", "rate=x", "a=1,"] {
            assert!(text.parse::<Slo>().is_err(), "{text}");
        }
        assert_eq!("p99=5ms,errors=0".parse::<Slo>().unwrap().to_string(), "p99=5ms,errors=0");
    }
}
