//! The whole request, from the bytes of the socket to the bytes of the reply, over a pipe in one thread: a
//! usual one, and one that is answered by way of hyper.
//!
//! `cargo bench --bench request`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use criterion::Criterion;
use support::{Pipe, Service};

fn main() {
    let service = Service::new();
    let mut pipe = Pipe::open(&service);
    let usual = service.request();
    let mut criterion: Criterion = support::criterion();
    // From the unusual one on its connection is hyper's.
    for (name, request) in [("request", &usual), ("request by hyper", &support::unusual(&usual))] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| assert!(pipe.ask(request).starts_with(b"HTTP/1.1 200 OK")));
        });
    }
    criterion.final_summary();
}
