//! load: the client comes from memory, or from the store.

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
    let folder = tempfile::tempdir().unwrap();
    let service = Service::on(&format!("sqlite:{}/jeton.db", folder.path().display()));
    let (clients, id) = (service.app.authenticator.clients(), service.client.id.as_str());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("load");
    // Two threads take part, so this is mostly the way there and back.
    group.bench_function("store read", |bencher| {
        bencher.iter(|| assert!(runtime.block_on(clients.load(black_box(id))).unwrap().is_some()));
    });
    group.bench_function("cache hit", |bencher| {
        bencher.iter(|| clients.with_known(black_box(id), |known| known.client.enabled).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
