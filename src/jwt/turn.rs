//! Slow signatures are made beside the workers: a few at a time, and only so many may wait.
//!
//! An RSA signature takes as long as twenty of Ed25519; made on a worker, it would hold up every other request there.
//! Invariants: at most half of the cores sign at a time, so that workers always find one; whoever has a turn waits no
//! longer than an overloaded worker would let it; a client that hangs up while it waits costs no signature.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::keys::{KeyError, Signature, SigningKey};
use crate::oauth::Algorithm;

/// How many turns there are for each that is made at a time: about 50 ms of RSA-2048.
const TURNS_EACH: usize = 64;

/// The line of slow signatures.
#[derive(Debug)]
pub struct Line {
    turns: Arc<Semaphore>,
    signing: Arc<Semaphore>,
}

/// A place in the line; given back when dropped. Boxed, since every request has room for one.
#[derive(Debug)]
pub struct Turn(Box<Place>);

#[derive(Debug)]
struct Place {
    signing: Arc<Semaphore>,
    _turn: OwnedSemaphorePermit,
}

/// The line is full: better to refuse now than to answer late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineFull;

impl Line {
    /// The line of a machine with this many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let at_once = (cores / 2).max(1);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { turns: semaphore(at_once * TURNS_EACH), signing: semaphore(at_once) }
    }

    /// A turn for a signature that needs one; `None` for those that are made where they are asked for.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn turn(&self, algorithm: Algorithm) -> Result<Option<Turn>, LineFull> {
        if !algorithm.is_slow() {
            return Ok(None);
        }
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| LineFull)?;
        Ok(Some(Turn(Box::new(Place { signing: Arc::clone(&self.signing), _turn: turn }))))
    }
}

impl Turn {
    /// Signs when it is its turn, on a thread where that stalls nobody.
    pub(super) async fn sign(self, key: &Arc<SigningKey>, message: &[u8]) -> Result<Signature, KeyError> {
        let (key, message) = (Arc::clone(key), message.to_vec());
        let Ok(permit) = Arc::clone(&self.0.signing).acquire_owned().await else { return Err(KeyError::CannotSign) };
        let made = tokio::task::spawn_blocking(move || {
            let signature = key.sign(&message);
            // Held until the core is free again, whether or not anyone still waits for the signature.
            drop((permit, self));
            signature
        });
        made.await.unwrap_or(Err(KeyError::CannotSign))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t228_the_line_is_bounded_and_a_turn_comes_back_when_it_is_dropped() {
        let line = Line::new(1);
        let turns: Vec<Turn> = (0..TURNS_EACH).map(|_| line.turn(Algorithm::Rs256).unwrap().unwrap()).collect();
        assert_eq!(line.turn(Algorithm::Ps256).unwrap_err(), LineFull);
        for quick in [Algorithm::EdDsa, Algorithm::Es256] {
            assert!(line.turn(quick).unwrap().is_none(), "{quick} never waits");
        }
        drop(turns);
        assert!(line.turn(Algorithm::Ps256).unwrap().is_some());
    }
}
