//! The fast path of this process: found, built and tested once, and believed until a fault of it is found.
//!
//! The table of the base point is the same for every key, so all signers share one. It is made when the first key is
//! read, and so is the self-test; signing finds both ready. What a signer of any key finds wrong is wrong for all of
//! them, for those made later as well: the self-test of a new key may well pass by a wrong bit of the table.

use std::sync::OnceLock;

use ed25519_dalek::Signature;
use sha2::{Digest as _, Sha512};
use zeroize::zeroize_stack;

#[cfg(not(target_arch = "x86_64"))]
use crate::emulated::Emulated as Best;
#[cfg(target_arch = "x86_64")]
use crate::ifma::Ifma as Best;
use crate::key::Key;
use crate::lanes::Lanes;
use crate::policy::Why;
use crate::sign::{Alone, Batch, Context};
use crate::table::{Build, Table};

/// What signing may leave on the stack, in bytes: more than its frames in an optimised build, with which
/// `tools/constant-time` compares it.
const BATCH_STACK: usize = 12 << 10;
const ALONE_STACK: usize = 4 << 10;

const SEED: [u8; 32] = [0x5a; 32];
/// The self-test signs messages of 0, 7, 14, … bytes, so many that every lane and every register has several.
const KNOWN_MESSAGES: usize = 37;
/// The first half of the SHA-512 digest of its signatures, by ed25519-dalek.
const KNOWN_ANSWER: [u8; 32] = [
    0x9b, 0x6a, 0x10, 0x40, 0x0d, 0x24, 0x1a, 0xa7, 0x70, 0x55, 0xec, 0x6c, 0xd9, 0x7a, 0x13, 0x5d, 0x9e, 0xe2, 0x73,
    0x5f, 0x50, 0xc8, 0x96, 0x60, 0x8d, 0xc5, 0xf9, 0xdd, 0x0e, 0x7c, 0x30, 0xb4,
];

/// An engine, in whatever lanes.
pub(crate) trait Fast: Send + Sync {
    /// Signs each message; the slices are equally long.
    fn sign(&self, key: &Key, messages: &[&[u8]], signatures: &mut [Signature]);
}

/// An engine for all signers of a process, until one of them finds a fault of it.
pub(crate) struct Shared {
    engine: Box<dyn Fast>,
    fault: OnceLock<Why>,
}

impl Shared {
    pub(crate) fn new(engine: impl Fast + 'static) -> Self {
        Self { engine: Box::new(engine), fault: OnceLock::new() }
    }

    /// The engine, while nothing is known against it.
    pub(crate) fn engine(&self) -> Option<&dyn Fast> {
        if self.fault.get().is_some() { None } else { Some(&*self.engine) }
    }

    /// What is known against it.
    pub(crate) fn fault(&self) -> Option<Why> {
        self.fault.get().copied()
    }

    /// From now on nobody signs by it. What was found first stays the reason.
    pub(crate) fn distrust(&self, why: Why) {
        self.fault.get_or_init(|| why);
    }
}

/// The processor, and the table of the base point.
pub(crate) struct Engine<V: Lanes> {
    cpu: V::Cpu,
    table: Table,
}

/// The one of this process, or why there is none.
pub(crate) fn find() -> Result<&'static Shared, Why> {
    static ENGINE: OnceLock<Result<Shared, Why>> = OnceLock::new();
    match ENGINE.get_or_init(|| set_up().map(Shared::new)) {
        Ok(engine) => Ok(engine),
        Err(why) => Err(*why),
    }
}

fn set_up() -> Result<Engine<Best>, Why> {
    // Elsewhere lanes are only emulated, for tests.
    let cpu = if cfg!(target_arch = "x86_64") { Best::detect() } else { None };
    let engine = Engine::new(cpu.ok_or(Why::Unsupported)?);
    if is_sound(&engine) { Ok(engine) } else { Err(Why::SelfTestFailed) }
}

/// Whether the signatures of the self-test come out as they must, from batches and one by one.
fn is_sound(engine: &impl Fast) -> bool {
    let key = Key::from_seed(&SEED);
    let bytes = [0xa5; 7 * KNOWN_MESSAGES];
    let messages: Vec<&[u8]> = messages(&bytes).collect();
    let mut together = vec![Signature::from_bytes(&[0; 64]); KNOWN_MESSAGES];
    engine.sign(&key, &messages, &mut together);
    let mut apart = together.clone();
    for (message, signature) in messages.iter().zip(&mut apart) {
        engine.sign(&key, &[message], std::slice::from_mut(signature));
    }
    [together, apart].iter().all(|signatures| digest(signatures).starts_with(&KNOWN_ANSWER))
}

impl<V: Lanes> Engine<V> {
    pub(crate) fn new(cpu: V::Cpu) -> Self {
        Self { cpu, table: V::run(cpu, Build) }
    }
}

impl<V: Lanes> Fast for Engine<V> {
    fn sign(&self, key: &Key, messages: &[&[u8]], signatures: &mut [Signature]) {
        let context = Context { key, table: &self.table };
        if let ([message], [signature]) = (messages, &mut *signatures) {
            *signature = V::run(self.cpu, Alone { context, message });
            return zeroize_stack::<ALONE_STACK>();
        }
        for (messages, signatures) in messages.chunks(Batch::MAX).zip(signatures.chunks_mut(Batch::MAX)) {
            V::run(self.cpu, Batch { context, messages, signatures });
        }
        zeroize_stack::<BATCH_STACK>();
    }
}

fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..KNOWN_MESSAGES).filter_map(|i| bytes.get(..7 * i))
}

fn digest(signatures: &[Signature]) -> [u8; 64] {
    let add = |hash: Sha512, signature: &Signature| hash.chain_update(signature.to_bytes());
    signatures.iter().fold(Sha512::new(), add).finalize().into()
}

#[cfg(test)]
pub(crate) mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::emulated::Emulated;

    #[test]
    fn the_known_answer_is_that_of_dalek() {
        let key = SigningKey::from_bytes(&SEED);
        let signatures: Vec<Signature> =
            messages(&[0xa5; 7 * KNOWN_MESSAGES]).map(|message| key.sign(message)).collect();
        assert_eq!(digest(&signatures)[..32], KNOWN_ANSWER);
    }

    #[test]
    fn the_emulation_passes_the_self_test() {
        assert!(is_sound(&Engine::<Emulated>::new(())));
    }

    #[test]
    fn a_table_with_one_bit_changed_fails_the_self_test() {
        assert!(!is_sound(&damaged()));
    }

    /// Signs rightly but for calls with one message, or but for those with more.
    struct Uneven {
        sound: Engine<Emulated>,
        fails_alone: bool,
    }

    impl Fast for Uneven {
        fn sign(&self, key: &Key, messages: &[&[u8]], signatures: &mut [Signature]) {
            self.sound.sign(key, messages, signatures);
            if let ([last], true) | ([_, .., last], false) = (signatures, self.fails_alone) {
                *last = Signature::from_components(*last.r_bytes(), [0; 32]);
            }
        }
    }

    #[test]
    fn an_engine_that_fails_only_alone_or_only_in_batches_fails_the_self_test() {
        for fails_alone in [true, false] {
            assert!(!is_sound(&Uneven { sound: Engine::new(()), fails_alone }), "{fails_alone}");
        }
    }

    /// An engine whose table has a wrong bit.
    pub(crate) fn damaged() -> Engine<Emulated> {
        let mut engine = Engine::new(());
        engine.table.flip_a_bit();
        engine
    }
}
