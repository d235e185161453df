//! The signature alone: one by one, as a lone request gets it, and by eight, as under load.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use serde::Serialize;

use super::Stage;
use super::cpu::ThreadClock;
use super::rounds::{Plan, Spread, nanos};
use super::service::Service;
use crate::keys::{KeyError, Path, SigningKey};

/// As long as what is signed of a usual token.
const MESSAGE: [u8; 400] = [b'a'; 400];
/// As many as the vector lanes make at a time.
const TOGETHER: usize = 8;
/// How many signatures there are between two looks at the clock.
const PORTION: u64 = 64;

/// What a signature costs.
#[derive(Debug, Serialize)]
pub struct Signature {
    pub one_by_one_ns: Spread,
    pub by_eight_ns: Spread,
    /// By which code they were made.
    #[serde(skip)]
    pub path: Option<Path>,
}

/// Measures by the key that would sign now, on this thread.
pub fn measure(service: &Service, plan: Plan, stage: &Stage) -> io::Result<Signature> {
    let key = service.key()?;
    let one = |key: &SigningKey| key.sign(black_box(&MESSAGE)).map(|signature| drop(black_box(signature)));
    let eight = |key: &SigningKey| {
        let mut signatures = [[0; 64]; TOGETHER];
        key.sign_batch(&[black_box(&MESSAGE[..]); TOGETHER], &mut signatures)?;
        black_box(signatures);
        Ok(())
    };
    let plan = Plan { round: plan.round / 2, ..plan };
    stage.begin("signatures, one by one".to_owned());
    let one_by_one_ns = rounds(&key, plan, (1, one))?;
    stage.begin("signatures, by eight".to_owned());
    let by_eight_ns = rounds(&key, plan, (TOGETHER as u64, eight))?;
    Ok(Signature { one_by_one_ns, by_eight_ns, path: key.path() })
}

/// Processor time per signature, where a call of `sign` makes so many.
fn rounds(
    key: &SigningKey,
    plan: Plan,
    (made, sign): (u64, impl Fn(&SigningKey) -> Result<(), KeyError>),
) -> io::Result<Spread> {
    let clock = ThreadClock::Own;
    let round = || {
        let (begun, cpu, mut signatures) = (Instant::now(), clock.read()?, 0_u64);
        while signatures == 0 || begun.elapsed() < plan.round {
            for _ in 0..PORTION / made {
                sign(key).map_err(io::Error::other)?;
            }
            signatures += PORTION;
        }
        Ok(nanos(clock.read()?.saturating_sub(cpu)) / signatures)
    };
    // The first warms up.
    (0..=plan.rounds).map(|_| round()).skip(1).collect::<io::Result<Vec<u64>>>().map(Spread::of)
}
