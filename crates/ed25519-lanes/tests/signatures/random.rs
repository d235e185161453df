//! Random keys, messages and batches, against ed25519-dalek and aws-lc-rs.
//!
//! `cargo test` tries a few thousand; `LANES_RANDOM` says how many, `LANES_RANDOM_SEED` begins elsewhere:
//!
//! ```text
//! LANES_RANDOM=10000000 cargo test --profile bench -p ed25519-lanes --test signatures -- random --nocapture
//! ```

use std::time::Instant;

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::{Signer as _, SigningKey};
use ed25519_lanes::{Acceleration, ExpandedSecretKey, Policy, Signature, Signer, VerifyAfterSign};
use sha2::{Digest as _, Sha512};

/// Every way to sign with the key of a seed.
pub fn every_signer(seed: &[u8; 32]) -> Vec<Signer> {
    let expanded = ExpandedSecretKey::from(seed);
    let public = SigningKey::from_bytes(seed).verifying_key();
    let off = Policy { acceleration: Acceleration::Off, ..Policy::default() };
    let verified = Policy { verify: VerifyAfterSign::All, ..Policy::default() };
    let new = |policy| Signer::new_with(&expanded, &public, policy).unwrap();
    vec![new(Policy::default()), new(off), Signer::from_seed_with(seed, off), new(verified)]
}

pub fn sign_all(signer: &Signer, messages: &[Vec<u8>]) -> Vec<Signature> {
    let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut signatures = vec![Signature::from_bytes(&[0; 64]); messages.len()];
    signer.sign_batch(&slices, &mut signatures).unwrap();
    signatures
}

/// Bytes that look random: a counter's digests.
struct Source(u64, Vec<u8>);

impl Source {
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        while self.1.len() < n {
            self.0 += 1;
            self.1.extend_from_slice(&Sha512::digest(self.0.to_le_bytes()));
        }
        self.1.split_off(self.1.len() - n)
    }

    fn below(&mut self, n: usize) -> usize {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap()) as usize % n
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Messages of one key, and dalek's signatures of them, which aws-lc-rs makes as well.
fn batch(source: &mut Source, seed: &[u8; 32]) -> (Vec<Vec<u8>>, Vec<Signature>) {
    let dalek = SigningKey::from_bytes(seed);
    let aws = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
    let count = 1 + source.below(70);
    let message = |_| {
        let length = source.below(700);
        source.bytes(length)
    };
    let messages: Vec<Vec<u8>> = (0..count).map(message).collect();
    let expected: Vec<Signature> = messages.iter().map(|message| dalek.sign(message)).collect();
    for (message, expected) in messages.iter().zip(&expected) {
        assert_eq!(aws.sign(message).as_ref(), expected.to_bytes());
    }
    (messages, expected)
}

#[test]
fn random_signatures_are_those_of_dalek_and_aws_lc() {
    let (wanted, first) = (setting("LANES_RANDOM", 3_000), setting("LANES_RANDOM_SEED", 0));
    let (mut source, began) = (Source(first << 40, Vec::new()), Instant::now());
    let (mut together, mut alone, mut keys) = (0, 0, 0);
    while together < wanted {
        let seed: [u8; 32] = source.bytes(32).try_into().unwrap();
        let (messages, expected) = batch(&mut source, &seed);
        let fast = Signer::from_seed(&seed);
        assert!(sign_all(&fast, &messages) == expected, "seed {seed:?}, {messages:?}");
        for (message, expected) in messages.iter().zip(&expected).take(8) {
            assert_eq!(fast.sign(message).unwrap(), *expected, "seed {seed:?}, {message:?}");
            alone += 1;
        }
        if source.below(16) == 0 {
            for signer in every_signer(&seed) {
                assert!(sign_all(&signer, &messages) == expected, "{:?}, seed {seed:?}, {messages:?}", signer.path());
            }
        }
        together += messages.len() as u64;
        keys += 1;
    }
    let path = Signer::from_seed(&[0; 32]).path();
    println!(
        "{together} signatures in {keys} batches and {alone} alone are the same, by {path:?}, seed {first}, {:?}",
        began.elapsed()
    );
}
