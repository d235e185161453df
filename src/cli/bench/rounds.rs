//! A measurement is repeated: one round may be disturbed, the median of several is what it is, and how far they are
//! apart says what it is worth.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Stage;
use super::cpu::ThreadClock;
use super::load::{Answers, Load, patiently};

/// Before the first round: everybody comes into memory, buffers and branches get warm.
const WARM_UP: Duration = Duration::from_millis(300);

/// How something is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rounds: u32,
    /// How long one of them takes.
    pub round: Duration,
    pub connections: usize,
}

/// What happened in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    pub tokens: u64,
    pub refused: u64,
    pub nanoseconds: u64,
    /// Processor time of the thread that serves.
    pub cpu_nanoseconds: u64,
}

/// Rounds, and what they say together.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub cpu_ns_per_token: Spread,
    /// What a core that does nothing else makes, by the median cost.
    pub tokens_per_second_of_a_core: u64,
    /// What came in by the clock on the wall.
    pub tokens_per_second: Spread,
    /// How much of the time the thread that serves was at work, of a hundred.
    pub busy_percent: u64,
    pub refused: u64,
    pub rounds: Vec<Round>,
}

/// The middle of several values, and the outermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub least: u64,
    pub median: u64,
    pub most: u64,
}

impl Spread {
    /// Of these values; zeros of none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        let at = |position: usize| values.get(position).copied().unwrap_or_default();
        Self { least: at(0), median: at(values.len().saturating_sub(1) / 2), most: at(values.len().saturating_sub(1)) }
    }

    /// Whether the outermost are further apart than a tenth of the median.
    #[must_use]
    pub const fn is_wide(&self) -> bool {
        (self.most - self.least).saturating_mul(10) > self.median
    }
}

impl Figures {
    /// # Errors
    /// When there is a round without a token, of which nothing can be said.
    pub fn of(rounds: Vec<Round>) -> io::Result<Self> {
        if rounds.iter().any(|round| round.tokens == 0) {
            return Err(io::Error::other("nobody got a token for a whole round"));
        }
        let sum = |value: fn(&Round) -> u64| rounds.iter().map(value).sum::<u64>();
        let cost = Spread::of(rounds.iter().map(Round::cpu_ns_per_token));
        Ok(Self {
            cpu_ns_per_token: cost,
            tokens_per_second_of_a_core: 1_000_000_000 / cost.median.max(1),
            tokens_per_second: Spread::of(rounds.iter().map(Round::tokens_per_second)),
            busy_percent: per(sum(|round| round.cpu_nanoseconds), 100, sum(|round| round.nanoseconds)),
            refused: sum(|round| round.refused),
            rounds,
        })
    }
}

impl Round {
    fn cpu_ns_per_token(&self) -> u64 {
        per(self.cpu_nanoseconds, 1, self.tokens)
    }

    fn tokens_per_second(&self) -> u64 {
        per(self.tokens, 1_000_000_000, self.nanoseconds)
    }
}

/// `amount × unit ÷ of`, without overflow.
fn per(amount: u64, unit: u64, of: u64) -> u64 {
    u64::try_from(u128::from(amount) * u128::from(unit) / u128::from(of.max(1))).unwrap_or(u64::MAX)
}

/// Nanoseconds, which a day does not exhaust.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Measures the thread of `clock`, which serves `load`, once every one of `clients` was served.
pub async fn measure<S: AsyncRead + AsyncWrite + Unpin>(
    mut load: Load<S>,
    clock: &ThreadClock,
    (plan, clients): (Plan, usize),
    (stage, place): (&Stage, &str),
) -> io::Result<Figures> {
    stage.begin(format!("{place}: warming up"));
    let mut known = 0;
    while known < clients as u64 {
        let answers = patiently(WARM_UP, for_a_while(&mut load, WARM_UP)).await?;
        known += answers.tokens + answers.refused;
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        stage.begin(format!("{place}: round {number} of {}", plan.rounds));
        let (cpu, begun) = (clock.read()?, Instant::now());
        let Answers { tokens, refused } = patiently(plan.round, for_a_while(&mut load, plan.round)).await?;
        let (nanoseconds, cpu) = (nanos(begun.elapsed()), clock.read()?.saturating_sub(cpu));
        rounds.push(Round { tokens, refused, nanoseconds, cpu_nanoseconds: nanos(cpu) });
    }
    Figures::of(rounds)
}

/// Until somebody has got a token, at least: a machine that pauses the process makes the server refuse for a moment.
async fn for_a_while<S: AsyncRead + AsyncWrite + Unpin>(load: &mut Load<S>, time: Duration) -> io::Result<Answers> {
    let (begun, mut sum) = (Instant::now(), Answers::default());
    loop {
        let Answers { tokens, refused } = load.turn().await?;
        sum = Answers { tokens: sum.tokens + tokens, refused: sum.refused + refused };
        if begun.elapsed() >= time && sum.tokens > 0 {
            return Ok(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(tokens: u64, cpu_nanoseconds: u64) -> Round {
        Round { tokens, refused: 1, nanoseconds: 1_000_000_000, cpu_nanoseconds }
    }

    #[test]
    fn the_median_round_counts_and_one_that_was_disturbed_does_not() {
        let figures = Figures::of(vec![round(50_000, 500_000_000), round(10, 900_000_000), round(40_000, 480_000_000)]);
        let figures = figures.unwrap();
        assert_eq!(figures.cpu_ns_per_token, Spread { least: 10_000, median: 12_000, most: 90_000_000 });
        assert_eq!(figures.tokens_per_second, Spread { least: 10, median: 40_000, most: 50_000 });
        assert_eq!((figures.tokens_per_second_of_a_core, figures.refused), (83_333, 3));
        assert_eq!(figures.busy_percent, 62);
        assert!(figures.cpu_ns_per_token.is_wide());
    }

    #[test]
    fn of_a_round_without_a_token_nothing_is_said() {
        assert!(Figures::of(vec![round(1, 1), round(0, 1)]).is_err());
    }

    #[test]
    fn a_spread_of_an_even_number_of_values_takes_the_lower_of_both_in_the_middle() {
        assert_eq!(Spread::of([4, 1, 3, 2]), Spread { least: 1, median: 2, most: 4 });
        assert_eq!(Spread::of([]), Spread { least: 0, median: 0, most: 0 });
        assert!(!Spread::of([100, 105, 110]).is_wide() && Spread::of([100, 105, 111]).is_wide());
    }
}
