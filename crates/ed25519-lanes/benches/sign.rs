//! One key, messages of 420 bytes as in a token: this crate by batch size, beside ed25519-dalek and aws-lc-rs one by
//! one in the same run; then what verifying costs, and what it takes to make a signer. The figures of `cargo bench -p
//! ed25519-lanes --bench sign` are per batch, with signatures per second. They are processor time of the thread, so that
//! a machine with other work to do spoils them less.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::signature::Ed25519KeyPair;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signer as _, SigningKey};
use ed25519_lanes::{Acceleration, ExpandedSecretKey, Policy, Signature, Signer, VerifyAfterSign};

const SEED: [u8; 32] = [7; 32];
const MESSAGE: [u8; 420] = [b'a'; 420];

/// Nanoseconds that this thread was running.
struct ProcessorTime;

impl ProcessorTime {
    fn now() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a place for what the call writes.
        let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        assert_eq!(outcome, 0);
        u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
    }
}

impl Measurement for ProcessorTime {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        Self::now()
    }

    fn end(&self, start: u64) -> u64 {
        Self::now() - start
    }

    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }

    fn zero(&self) -> u64 {
        0
    }

    #[expect(clippy::cast_precision_loss, reason = "a bench does not run for months")]
    fn to_f64(&self, value: &u64) -> f64 {
        *value as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn sign(criterion: &mut Criterion<ProcessorTime>) {
    let began = Instant::now();
    black_box(Signer::from_seed(&SEED));
    println!("the first signer of the process, with the table and the self-test: {:?}", began.elapsed());
    let mut group = criterion.benchmark_group("sign");
    let dalek = SigningKey::from_bytes(&SEED);
    let aws = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    group.throughput(Throughput::Elements(1));
    group.bench_function("ed25519-dalek", |bencher| bencher.iter(|| dalek.sign(black_box(&MESSAGE))));
    group.bench_function("aws-lc-rs", |bencher| bencher.iter(|| aws.sign(black_box(&MESSAGE))));
    let (expanded, public) = (ExpandedSecretKey::from(&SEED), dalek.verifying_key());
    let new = |policy| Signer::new_with(&expanded, &public, policy).unwrap();
    let signer = new(Policy::default());
    let portable = new(Policy { acceleration: Acceleration::Off, ..Policy::default() });
    let verified = new(Policy { verify: VerifyAfterSign::All, ..Policy::default() });
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
    for n in [1, 8, 16] {
        let messages = vec![MESSAGE.as_slice(); n];
        let mut signatures = vec![Signature::from_bytes(&[0; 64]); n];
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("verified", n), |bencher| {
            bencher.iter(|| verified.sign_batch(black_box(&messages), &mut signatures));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("a signer from its seed", |bencher| bencher.iter(|| Signer::from_seed(black_box(&SEED))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = sign
}
criterion_main!(benches);
