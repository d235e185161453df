//! load: the client, with what was made ready for it, comes from memory. What a store takes instead is in `store`.
//!
//! `cargo bench --bench load`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;

use support::Service;

fn main() {
    let service = Service::new();
    let (clients, id) = (service.app.authenticator.clients(), service.client.id.as_str());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(clients.load(id)).unwrap().is_some());
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("load");
    group.bench_function("cache hit", |bencher| {
        bencher.iter(|| assert!(clients.with_known(black_box(id), |known| known.client().enabled).unwrap()));
    });
    group.bench_function("cache miss", |bencher| {
        bencher.iter(|| assert!(clients.with_known(black_box("nobody"), |_| ()).is_none()));
    });
    group.finish();
    criterion.final_summary();
}
