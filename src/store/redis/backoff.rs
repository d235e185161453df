//! The pauses between tries: none before the first, then growing ones that differ from server to server, so that many
//! servers do not come back all at once.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// How long a try must have been good for, for the next one to come at once.
const LASTING: Duration = Duration::from_secs(1);

/// The state between tries.
#[derive(Debug)]
pub struct Backoff {
    pause: Duration,
    begun: Instant,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: Duration::ZERO, begun: Instant::now() }
    }
}

impl Backoff {
    /// Waits until the next try may begin. `was_good` says that the last one succeeded, until now.
    pub async fn wait(&mut self, was_good: bool) {
        self.pause = self.next(was_good && self.begun.elapsed() >= LASTING);
        tokio::time::sleep(self.pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        self.begun = Instant::now();
    }

    fn next(&self, has_lasted: bool) -> Duration {
        if has_lasted { Duration::ZERO } else { (self.pause * 2).clamp(FIRST, LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d02_pauses_grow_to_a_second_and_begin_anew_after_what_lasted() {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            backoff.pause = backoff.next(false);
            pauses.push(backoff.pause.as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.next(true), Duration::ZERO);
    }
}
