//! Secrets do not stay: no memory that is given back holds a key, and no stack that was used.
//!
//! An allocator looks into every block that is freed; the stack is read below the function that made or used a signer.
//! Looked for is what signs: the scalar, the same as lanes multiply by it, the prefix that nonces come from, and the
//! nonce of the one message here, which with its signature gives the scalar away. What registers keep is not seen.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where it fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::OnceLock;

use curve25519_dalek::scalar::Scalar;
use ed25519_lanes::{Acceleration, ExpandedSecretKey, Policy, Signature, Signer, VerifyAfterSign, VerifyingKey};
use sha2::{Digest as _, Sha512};

const SEED: [u8; 32] = [0x77; 32];
const MESSAGE: &[u8] = b"the one message";
/// More of the stack than anything here uses.
const DEPTH: usize = 128 << 10;

/// What must not be found.
struct Secrets {
    scalar: [u8; 32],
    factor: [u8; 40],
    prefix: [u8; 32],
    digest: [u8; 64],
    nonce: [u8; 32],
    /// The lowest limbs of the nonce as lanes hold it, where each has the same message.
    lanes: [u8; 64],
}

static SECRETS: OnceLock<Secrets> = OnceLock::new();

thread_local! {
    /// Blocks that this thread freed with a secret in them.
    static LEAKED: Cell<usize> = const { Cell::new(0) };
}

impl Secrets {
    fn of_seed() -> &'static Self {
        SECRETS.get_or_init(|| {
            let key = ExpandedSecretKey::from(&SEED);
            // a R², R = 2^260, in limbs of 52 bits
            let a_r2 = (0..520).fold(key.scalar, |x: Scalar, _| x + x).to_bytes();
            let bit = |at: usize| u64::from(a_r2[at / 8] >> (at % 8) & 1);
            let limb =
                |limb: usize| (0..52).filter(|at| 52 * limb + at < 256).map(|at| bit(52 * limb + at) << at).sum();
            let limbs: [u64; 5] = std::array::from_fn(limb);
            let digest = Sha512::new().chain_update(key.hash_prefix).chain_update(MESSAGE).finalize().into();
            let nonce = Scalar::from_bytes_mod_order_wide(&digest).to_bytes();
            let word = |at: usize| u64::from_le_bytes(nonce[at..at + 8].try_into().unwrap());
            let [low, high] = [word(0), word(6) >> 4].map(|word| word & ((1 << 52) - 1));
            Self {
                digest,
                nonce,
                lanes: [[low; 4], [high; 4]]
                    .map(|lanes| lanes.map(u64::to_le_bytes).concat())
                    .concat()
                    .try_into()
                    .unwrap(),
                scalar: key.scalar.to_bytes(),
                factor: limbs.map(u64::to_le_bytes).concat().try_into().unwrap(),
                prefix: key.hash_prefix,
            }
        })
    }

    /// Which of them are there.
    fn within(&self, memory: &[u8]) -> Vec<&'static str> {
        let all: [(&str, &[u8]); 7] = [
            ("scalar", &self.scalar),
            ("factor", &self.factor),
            ("prefix", &self.prefix),
            ("digest", &self.digest),
            ("nonce", &self.nonce),
            ("lowest limbs", &self.lanes[..32]),
            ("next limbs", &self.lanes[32..]),
        ];
        // Half of one is as bad.
        let holds =
            |secret: &[u8]| memory.windows(16).any(|window| window == &secret[..16] || window == &secret[16..32]);
        all.iter().filter(|(_, secret)| holds(secret)).map(|(name, _)| *name).collect()
    }
}

struct Watching;

// SAFETY: it is the system's allocator, which is only watched.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises. Zeros, since what was never written may not be read later.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's until the next line, and was written when it was made.
        let memory = unsafe { std::slice::from_raw_parts(block, layout.size()) };
        if let Some(secrets) = SECRETS.get()
            && !secrets.within(memory).is_empty()
        {
            LEAKED.set(LEAKED.get() + 1);
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// What a function left on the stack.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn left_on_the_stack(work: impl FnOnce()) -> Vec<&'static str> {
    let secrets = Secrets::of_seed();
    let mut copy = vec![0_u8; DEPTH];
    // Nothing of earlier work is to be taken for this one's.
    zeroize::zeroize_stack::<DEPTH>();
    run(work);
    // SAFETY: reads mapped stack below this frame, as a thread of two megabytes has it, and writes to `copy` alone.
    unsafe {
        std::arch::asm!(
            "lea rsi, [rsp - {depth}]",
            "rep movsb",
            depth = const DEPTH,
            inout("rdi") copy.as_mut_ptr() => _,
            inout("rcx") DEPTH => _,
            out("rsi") _,
            options(nostack),
        );
    }
    secrets.within(&copy)
}

/// So that what it calls is below the stack of whoever looks.
#[inline(never)]
fn run(work: impl FnOnce()) {
    work();
}

fn policies() -> impl Iterator<Item = Policy> {
    [Acceleration::Detect, Acceleration::Off].into_iter().flat_map(|acceleration| {
        [VerifyAfterSign::Off, VerifyAfterSign::All].map(|verify| Policy { acceleration, verify })
    })
}

/// A signer that was made both ways.
fn signers(policy: Policy) -> [Signer; 2] {
    let secret = ExpandedSecretKey::from(&SEED);
    let public = VerifyingKey::from(&secret);
    [Signer::from_seed_with(&SEED, policy), Signer::new_with(&secret, &public, policy).unwrap()]
}

fn sign(signer: &Signer, count: usize) {
    let mut signatures = [Signature::from_bytes(&[0; 64]); 9];
    signer.sign_batch(&[MESSAGE; 9][..count], &mut signatures[..count]).unwrap();
}

#[test]
fn memory_that_is_given_back_holds_no_secret() {
    let secrets = Secrets::of_seed();
    let leaked = || LEAKED.replace(0);
    drop(black_box(Box::new(secrets.prefix)));
    drop(black_box(secrets.factor.to_vec()));
    assert_eq!(leaked(), 2, "or the rest shows nothing");
    for policy in policies() {
        for signer in signers(policy) {
            let boxed = black_box(Box::new(signer));
            sign(&boxed, 9);
            // The box is freed here, and what was in it is elsewhere.
            let moved = *boxed;
            sign(&moved, 1);
            drop(black_box(Box::new(moved)));
        }
        assert_eq!(leaked(), 0, "{policy:?}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn neither_reading_a_key_nor_signing_leaves_a_secret_on_the_stack() {
    let prefix = || assert_ne!(black_box(black_box(Secrets::of_seed()).prefix), SEED);
    assert_eq!(left_on_the_stack(prefix), ["prefix"], "or the rest shows nothing");
    for policy in policies() {
        assert!(left_on_the_stack(|| drop(black_box(Signer::from_seed_with(&SEED, policy)))).is_empty(), "{policy:?}");
        let secret = ExpandedSecretKey::from(&SEED);
        let public = VerifyingKey::from(&secret);
        let read = || drop(black_box(Signer::new_with(&secret, &public, policy)));
        assert!(left_on_the_stack(read).is_empty(), "{policy:?}, expanded");
        for signer in signers(policy) {
            for count in [1, 2, 8, 9] {
                let left = left_on_the_stack(|| sign(&signer, count));
                assert!(left.is_empty(), "{policy:?}: {left:?} after signing {count}");
            }
        }
    }
}
