//! authenticate: the presented secret is hashed and compared. A wrong one costs the same.
//!
//! `cargo bench --bench authenticate`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;

use jeton::oauth::Client;
use support::{NOW, Service, master};

fn main() {
    let service = Service::new();
    let hasher = master().secret_hasher();
    let wrong = service.secret.to_ascii_lowercase();
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("authenticate");
    for (name, client, secret, accepted) in [
        ("right secret", Some(&service.client), &service.secret, true),
        ("wrong secret", Some(&service.client), &wrong, false),
        ("unknown client", None, &service.secret, false),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let hash = hasher.hash(black_box(secret));
                assert_eq!(Client::authenticate(black_box(client), &hash, NOW).is_some(), accepted);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
