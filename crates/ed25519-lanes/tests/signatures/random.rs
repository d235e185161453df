//! Random keys, messages and batches, against ed25519-dalek and aws-lc-rs.
//!
//! `cargo test` tries a few thousand. `LANES_TEST_SIGNATURES=10000000 cargo test --release -p ed25519-lanes --test
//! signatures -- random --nocapture` tries as many as are asked for; `LANES_TEST_SEED` starts elsewhere.

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::{Signer as _, SigningKey};
use ed25519_lanes::{Acceleration, ExpandedSecretKey, Signature, Signer, VerifyAfterSign};
use sha2::{Digest as _, Sha512};

/// Every way to sign with the key of a seed.
pub fn every_signer(seed: &[u8; 32]) -> Vec<Signer> {
    let expanded = ExpandedSecretKey::from(seed);
    let public = SigningKey::from_bytes(seed).verifying_key();
    let new = || Signer::new(&expanded, &public).unwrap();
    vec![
        new(),
        new().acceleration(Acceleration::Off),
        Signer::from_seed(seed).acceleration(Acceleration::Off),
        new().verify_after_sign(VerifyAfterSign::All),
    ]
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

#[test]
fn random_signatures_are_those_of_dalek_and_aws_lc() {
    let wanted = setting("LANES_TEST_SIGNATURES", 3_000);
    let mut source = Source(setting("LANES_TEST_SEED", 0) << 40, Vec::new());
    let mut compared = 0;
    while compared < wanted {
        let seed: [u8; 32] = source.bytes(32).try_into().unwrap();
        let dalek = SigningKey::from_bytes(&seed);
        let aws = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let messages: Vec<Vec<u8>> = (0..=source.below(70))
            .map(|_| {
                let length = source.below(700);
                source.bytes(length)
            })
            .collect();
        let expected: Vec<Signature> = messages.iter().map(|message| dalek.sign(message)).collect();
        for (message, expected) in messages.iter().zip(&expected) {
            assert_eq!(aws.sign(message).as_ref(), expected.to_bytes());
        }
        let [fast, portable, _, checked] = <[Signer; 4]>::try_from(every_signer(&seed)).unwrap();
        assert!(sign_all(&fast, &messages) == expected, "seed {seed:?}, {messages:?}");
        assert_eq!(fast.sign(&messages[0]).unwrap(), expected[0]);
        if compared % 16 == 0 {
            assert!(sign_all(&portable, &messages) == expected);
            assert!(sign_all(&checked, &messages) == expected);
        }
        compared += messages.len() as u64 + 1;
    }
    println!("{compared} signatures are the same, by {:?}", Signer::from_seed(&[0; 32]).path());
}
