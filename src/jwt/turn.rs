//! Slow signatures are made beside the workers: a few at a time, and only so many may wait.
//!
//! An RSA signature takes as long as ten or twenty of Ed25519; made on a worker, it would hold up every other request there.
//! Invariants: at most half of the cores sign at a time, so that workers always find one; whoever has a turn waits no
//! longer than an overloaded worker would let it; a client that hangs up while it waits costs no signature; a panic costs
//! its own signature and no thread. The threads are started for the first turn, and end with the line.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::sign::Unsigned;
use crate::keys::{KeyError, SigningKey};
use crate::oauth::Algorithm;

/// How many turns there are for each that is made at a time: some 20 ms of RSA-2048 on a free core.
const TURNS_EACH: usize = 64;

/// The line of slow signatures.
#[derive(Debug)]
pub struct Line {
    at_once: usize,
    turns: Arc<Semaphore>,
    signers: Mutex<Option<mpsc::Sender<Job>>>,
}

/// A place in the line; given back when dropped. Boxed, since every request has room for one.
#[derive(Debug)]
pub struct Turn(Box<Place>);

#[derive(Debug)]
struct Place {
    signers: mpsc::Sender<Job>,
    turn: OwnedSemaphorePermit,
}

/// A signature that is asked for. Its turn ends when it was looked at, whether or not anyone still waits for it.
#[derive(Debug)]
struct Job {
    key: Arc<SigningKey>,
    unsigned: Unsigned,
    done: oneshot::Sender<Result<Vec<u8>, KeyError>>,
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
        Self { at_once, turns: Arc::new(Semaphore::new(at_once * TURNS_EACH)), signers: Mutex::default() }
    }

    /// A turn for a signature that needs one; `None` for those that are made where they are asked for.
    ///
    /// # Errors
    /// When too many wait already, or the system has no thread left.
    pub fn turn(&self, algorithm: Algorithm) -> Result<Option<Turn>, LineFull> {
        if !algorithm.is_slow() {
            return Ok(None);
        }
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| LineFull)?;
        Ok(Some(Turn(Box::new(Place { signers: self.signers()?, turn }))))
    }

    /// How many turns are taken, and how many there are.
    #[must_use]
    pub fn length(&self) -> (usize, usize) {
        let most = self.at_once * TURNS_EACH;
        (most.saturating_sub(self.turns.available_permits()), most)
    }

    /// The way to the threads that sign.
    fn signers(&self) -> Result<mpsc::Sender<Job>, LineFull> {
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signers) = &*signers {
            return Ok(signers.clone());
        }
        let (sender, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let start = |_: &usize| {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name("signer".to_owned()).spawn(move || work(&jobs)).is_ok()
        };
        // One is enough; a machine that is short of threads has other troubles.
        if (0..self.at_once).filter(start).count() == 0 {
            return Err(LineFull);
        }
        Ok(signers.insert(sender).clone())
    }
}

/// Signs until nobody can ask any more.
fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Job { key, unsigned, done, _turn }) = next() {
        if !done.is_closed() {
            let signed = catch_unwind(AssertUnwindSafe(|| signed(&key, unsigned)));
            // Whoever waited may have gone meanwhile.
            drop(done.send(signed.unwrap_or(Err(KeyError::CannotSign))));
        }
    }
}

fn signed(key: &SigningKey, mut unsigned: Unsigned) -> Result<Vec<u8>, KeyError> {
    let signature = key.sign(unsigned.message())?;
    unsigned.fill(signature.as_ref())?;
    Ok(unsigned.into_buffer())
}

impl Turn {
    /// Signs when it is its turn, on a thread where that stalls nobody; the buffer with the signature in its place.
    pub(super) async fn sign(self, key: Arc<SigningKey>, unsigned: Unsigned) -> Result<Vec<u8>, KeyError> {
        let (done, signed) = oneshot::channel();
        let Place { signers, turn } = *self.0;
        signers.send(Job { key, unsigned, done, _turn: turn }).map_err(|_| KeyError::CannotSign)?;
        drop(signers);
        signed.await.unwrap_or(Err(KeyError::CannotSign))
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

    #[test]
    fn signatures_are_made_elsewhere_and_an_abandoned_one_gives_its_turn_back() {
        let key = crate::keys::private::generate(Algorithm::Rs256, &[7; 32].into()).unwrap();
        let key = Arc::new(SigningKey::read(Algorithm::Rs256, &key).unwrap());
        let line = Line::new(2);
        let turn = || line.turn(Algorithm::Rs256).unwrap().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sign = || turn().sign(Arc::clone(&key), Unsigned::example(&key));
        let mut expected = Unsigned::example(&key);
        expected.fill(key.sign(expected.message()).unwrap().as_ref()).unwrap();
        let expected = expected.into_buffer();
        assert_eq!(runtime.block_on(sign()).unwrap(), expected);
        for _ in 0..TURNS_EACH / 2 {
            // Begun, and given up: the job is on its way by then.
            let abandoned = async {
                tokio::select! { biased; _ = sign() => {}, () = async {} => {} }
            };
            runtime.block_on(abandoned);
        }
        let all_back = || line.turns.available_permits() == TURNS_EACH;
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !all_back() {
            assert!(std::time::Instant::now() < end, "{:?}", line.turns);
            thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(runtime.block_on(sign()).unwrap(), expected);
    }

    #[test]
    fn p12_a_panic_costs_its_own_signature_and_no_thread() {
        let secret = crate::keys::private::generate(Algorithm::Rs256, &[7; 32].into()).unwrap();
        let read = || SigningKey::read(Algorithm::Rs256, &secret).unwrap();
        let (sound, faulty) = (Arc::new(read()), Arc::new(read().failing(|| panic!("a bug"))));
        let line = Line::new(2);
        let sign = |key: &Arc<SigningKey>| {
            let turn = line.turn(Algorithm::Rs256).unwrap().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(turn.sign(Arc::clone(key), Unsigned::example(key)))
        };
        // More often than there are threads.
        for _ in 0..3 {
            assert_eq!(sign(&faulty), Err(KeyError::CannotSign));
        }
        assert!(sign(&sound).is_ok());
        assert_eq!(faulty.asked(), 3);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_signed() {
        let secret = crate::keys::private::generate(Algorithm::Rs256, &[7; 32].into()).unwrap();
        let key = Arc::new(SigningKey::read(Algorithm::Rs256, &secret).unwrap().broken());
        let (sender, jobs) = mpsc::channel();
        let turns = Arc::new(Semaphore::new(3));
        let ask = || {
            let (done, signed) = oneshot::channel();
            let turn = Arc::clone(&turns).try_acquire_owned().unwrap();
            let unsigned = Unsigned::example(&key);
            sender.send(Job { key: Arc::clone(&key), unsigned, done, _turn: turn }).unwrap();
            signed
        };
        let (gone, mut waits, also_gone) = (ask(), ask(), ask());
        drop((gone, also_gone));
        drop(sender);
        work(&Mutex::new(jobs));
        assert_eq!((waits.try_recv(), key.asked()), (Ok(Err(KeyError::CannotSign)), 1));
        assert_eq!(turns.available_permits(), 3, "their turns have come back");
    }
}
