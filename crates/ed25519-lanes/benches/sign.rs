//! One key, messages of 420 bytes as in a token: this crate by batch size, beside ed25519-dalek and aws-lc-rs one by
//! one in the same run. The figures of `cargo bench -p ed25519-lanes` are per batch, with signatures per second.

#![allow(missing_docs, clippy::unwrap_used, reason = "a measuring instrument ends where it fails")]

use std::hint::black_box;

use aws_lc_rs::signature::Ed25519KeyPair;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signer as _, SigningKey};
use ed25519_lanes::{Acceleration, ExpandedSecretKey, Signature, Signer};

const SEED: [u8; 32] = [7; 32];
const MESSAGE: [u8; 420] = [b'a'; 420];

fn sign(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sign");
    let dalek = SigningKey::from_bytes(&SEED);
    let aws = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    group.throughput(Throughput::Elements(1));
    group.bench_function("ed25519-dalek", |bencher| bencher.iter(|| dalek.sign(black_box(&MESSAGE))));
    group.bench_function("aws-lc-rs", |bencher| bencher.iter(|| aws.sign(black_box(&MESSAGE))));
    let (expanded, public) = (ExpandedSecretKey::from(&SEED), dalek.verifying_key());
    let signer = Signer::new(&expanded, &public).unwrap();
    let portable = Signer::new(&expanded, &public).unwrap().acceleration(Acceleration::Off);
    for (name, signer) in [(format!("{:?}", signer.path()), &signer), ("without lanes".to_owned(), &portable)] {
        group.bench_function(format!("{name}, one"), |bencher| bencher.iter(|| signer.sign(black_box(&MESSAGE))));
        for n in [1, 2, 4, 8, 16, 32, 64] {
            let messages = vec![MESSAGE.as_slice(); n];
            let mut signatures = vec![Signature::from_bytes(&[0; 64]); n];
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(BenchmarkId::new(&name, n), |bencher| {
                bencher.iter(|| signer.sign_batch(black_box(&messages), &mut signatures));
            });
        }
        group.throughput(Throughput::Elements(1));
    }
    group.finish();
}

criterion_group!(benches, sign);
criterion_main!(benches);
