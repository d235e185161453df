//! Does the time of a signature depend on the key or the message? The test of Reparaz, Balasch and Verbauwhede,
//! "Dude, is my code constant time?" (2016).
//!
//! Signatures of a fixed key and message are timed among those of random ones of the same length, in random order, and
//! Welch's t-test asks whether the two samples have one mean: of all measurements, and of those below a row of
//! thresholds, since the slow tail is the machine's doing and hides what is not. A t beyond 4.5 in either direction is
//! suspicious, one beyond 10 proves a dependence. The signer and the messages are made in the same place before each
//! measurement: where in memory they are makes a difference of nanoseconds. Two cases watch over the instrument: in one
//! nothing differs between the classes, and in one half of the random messages are a block longer, which must be found.
//!
//! `cargo bench -p ed25519-lanes --bench timing`; `LANES_TIMING` sets the number of measurements of each case. Ends
//! with 1 when a case is suspicious or the one to be found is not. Run as a test it only tries a few.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

use std::hint::black_box;
use std::time::Instant;

use ed25519_lanes::{Signature, Signer};
use sha2::{Digest as _, Sha512};

const LENGTH: usize = 420;
const SUSPICIOUS: f64 = 4.5;

/// What differs between the classes.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    random_keys: bool,
    random_messages: bool,
    batch: usize,
    /// How much longer every second random message is.
    longer: usize,
}

const CASES: [Case; 6] = [
    Case { name: "nothing", random_keys: false, random_messages: false, batch: 1, longer: 0 },
    Case { name: "keys, alone", random_keys: true, random_messages: false, batch: 1, longer: 0 },
    Case { name: "messages, alone", random_keys: false, random_messages: true, batch: 1, longer: 0 },
    Case { name: "keys, batch of 8", random_keys: true, random_messages: false, batch: 8, longer: 0 },
    Case { name: "messages, batch of 8", random_keys: false, random_messages: true, batch: 8, longer: 0 },
    Case { name: "to be found", random_keys: false, random_messages: true, batch: 1, longer: 128 },
];

/// Bytes that look random.
struct Source(u64);

impl Source {
    fn next(&mut self) -> [u8; 64] {
        self.0 += 1;
        Sha512::digest(self.0.to_le_bytes()).into()
    }

    fn fill(&mut self, message: &mut [u8]) {
        for part in message.chunks_mut(64) {
            part.copy_from_slice(&self.next()[..part.len()]);
        }
    }
}

/// What one measurement is of, as numbers that seeds and messages are made from where they are used: no class has a
/// place of its own in memory.
struct Inputs {
    key: u64,
    message: u64,
    length: usize,
}

impl Inputs {
    fn new(case: Case, random: Option<u32>) -> Self {
        let of = |is_random: bool| random.filter(|_| is_random).map_or(0, |number| 1 + u64::from(number));
        let is_longer = random.is_some_and(|number| number.is_multiple_of(2));
        Self {
            key: of(case.random_keys) << 10,
            message: of(case.random_messages) << 10 | 1 << 50,
            length: if is_longer { LENGTH + case.longer } else { LENGTH },
        }
    }
}

/// Where all inputs are signed.
struct Bench {
    signer: Option<Signer>,
    /// Where the key of the first signer was.
    place: Option<usize>,
    buffer: Vec<u8>,
    signatures: Vec<Signature>,
}

impl Bench {
    fn new(case: Case) -> Self {
        let buffer = vec![0; case.batch * (LENGTH + case.longer)];
        Self { signer: None, place: None, buffer, signatures: vec![Signature::from_bytes(&[0; 64]); case.batch] }
    }

    /// Signs, and says how many nanoseconds that took.
    fn measure(&mut self, inputs: &Inputs) -> f64 {
        // Only then is its place free for the next one.
        drop(self.signer.take());
        let seed = Source(inputs.key).next();
        let signer = self.signer.insert(Signer::from_seed(seed[..32].try_into().unwrap()));
        let place = std::ptr::from_ref(signer.verifying_key()).addr();
        assert_eq!(place, *self.place.get_or_insert(place), "this key is elsewhere");
        let room = self.buffer.len() / self.signatures.len();
        for (message, number) in self.buffer.chunks_mut(room).zip(0..) {
            Source(inputs.message + (number << 5)).fill(&mut message[..inputs.length]);
        }
        let slices: Vec<&[u8]> = self.buffer.chunks(room).map(|message| &message[..inputs.length]).collect();
        let began = Instant::now();
        signer.sign_batch(black_box(&slices), black_box(&mut self.signatures)).unwrap();
        began.elapsed().as_nanos() as f64
    }
}

/// The measurements of both classes, in the order in which they were made.
fn measure(case: Case, count: usize) -> [Vec<f64>; 2] {
    let mut source = Source(7 << 55);
    let mut bench = Bench::new(case);
    let mut times = [Vec::new(), Vec::new()];
    for at in 0..count {
        let [choice, a, b, c, d, ..] = source.next();
        let class = usize::from(choice & 1);
        let random = u32::from_le_bytes([a, b, c, d]);
        let time = bench.measure(&Inputs::new(case, (class == 1).then_some(random)));
        // The first ones warm the caches up.
        if at > count / 20 {
            times[class].push(time);
        }
    }
    times
}

fn mean_and_variance(sample: &[f64]) -> (f64, f64) {
    let mean = sample.iter().sum::<f64>() / sample.len() as f64;
    (mean, sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (sample.len() as f64 - 1.0))
}

fn welch(samples: &[Vec<f64>; 2]) -> f64 {
    let [(m, v), (n, w)] = [mean_and_variance(&samples[0]), mean_and_variance(&samples[1])];
    (m - n) / (v / samples[0].len() as f64 + w / samples[1].len() as f64).sqrt()
}

/// t of all measurements and of those below each of a row of quantiles: the one furthest from zero.
fn furthest(samples: &[Vec<f64>; 2]) -> (f64, usize) {
    let mut all: Vec<f64> = samples.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let below = |percent: usize| {
        let threshold = all[(all.len() - 1) * percent / 100];
        (welch(&samples.each_ref().map(|sample| sample.iter().copied().filter(|x| *x <= threshold).collect())), percent)
    };
    let by_size = |a: &(f64, usize), b: &(f64, usize)| a.0.abs().total_cmp(&b.0.abs());
    [30, 50, 70, 80, 90, 95, 99, 100].map(below).into_iter().max_by(by_size).unwrap()
}

fn main() {
    let in_earnest = std::env::args().any(|argument| argument == "--bench");
    let default = if in_earnest { 300_000 } else { 400 };
    let count = std::env::var("LANES_TIMING").map_or(default, |count| count.parse().unwrap());
    println!("{:?}, {count} measurements of each case", Signer::from_seed(&[0; 32]).path());
    let mut is_well = true;
    for case in CASES {
        let samples = measure(case, count);
        let [fixed, random] = [0, 1].map(|class| {
            let mut sorted = samples[class].clone();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() / 2]
        });
        let (t, percent) = furthest(&samples);
        println!("{:22} medians {fixed:.0} and {random:.0} ns, t = {t:+.2} (below {percent} %)", case.name);
        is_well &= (t.abs() > SUSPICIOUS) == (case.longer > 0);
    }
    // A few measurements say nothing: then it is enough that they could be made.
    std::process::exit(i32::from(in_earnest && !is_well));
}
