//! sign: the signature alone, by each algorithm; and as a request has it, with its claims written before (`encode`) and
//! through the queue of its worker.
//!
//! `cargo bench --bench sign`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;
use std::time::Duration;

use jeton::jwt::sign::max_token_bytes;
use jeton::jwt::{Desk, Instants, SignQueue, Stamp, TokenId, push_unsigned, sign};
use jeton::keys::{SigningKey, private};
use jeton::oauth::Algorithm;
use support::{NOW, Service};

fn main() {
    let service = Service::new();
    let keys = service.app.keys.load();
    let key = keys.active(Algorithm::EdDsa, NOW).unwrap();
    let claims = service.app.authenticator.clients().defaults().claims(&service.client);
    let instants = Instants::default();
    let stamp = Stamp { issued_at: NOW, expires_at: NOW.plus(Duration::from_hours(1)), id: TokenId([5; 16]) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut token = Vec::with_capacity(max_token_bytes(&claims, key));
    let (queue, shard) = (SignQueue::default(), service.app.metrics.shard(0));
    let desk = Desk { queue: &queue, shard };
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("sign");
    push_unsigned(&claims, (&stamp, &instants), key, &mut token);
    let message = token;
    group.bench_function("signature", |bencher| bencher.iter(|| key.sign(black_box(&message))));
    group.bench_function("claims and signature", |bencher| {
        bencher.iter(|| {
            let mut token = Vec::with_capacity(max_token_bytes(&claims, key));
            let place = push_unsigned(black_box(&claims), (&stamp, &instants), key, &mut token);
            runtime.block_on(sign(place.of(token), key, None, desk)).unwrap()
        });
    });
    for algorithm in Algorithm::ALL {
        let secret = private::generate(algorithm, &[7; 32].into()).unwrap();
        let key = SigningKey::read(algorithm, &secret).unwrap();
        group.bench_function(format!("signature by {algorithm}"), |bencher| {
            bencher.iter(|| key.sign(black_box(&message)).unwrap());
        });
    }
    group.finish();
    criterion.final_summary();
}
