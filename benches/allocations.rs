//! How often a token request allocates: the real connection, from bytes to bytes, with a counting allocator.
//!
//! Fails when a request allocates more often, or more bytes, than `benches/counts.toml` says, by more than a few per
//! cent; with `--accept` it writes there what it counted. Allocations are what a thread shares with the others of its
//! process, so their number is a bound on the path and not only a figure; their bytes tell when the future of a request,
//! which is one of them, has grown again: each async layer keeps its arguments beside what it awaits. Reallocations
//! count as well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

#[path = "support/figures.rs"]
mod figures;
mod support;

use figures::Counts;
use support::{Pipe, Service, request};

/// The first requests fill caches and buffers.
const WARM_UP: usize = 200;

fn main() {
    // Nothing here takes arguments, but the harness gives some.
    let full = std::env::args().any(|argument| argument == "--bench");
    let requests = if full { 100_000 } else { 2_000 };
    let service = Service::new();
    let post = format!("{}&client_id={}&client_secret={}", support::GRANT, service.client.id, service.secret);
    let narrowed = format!("{}&scope=read", support::GRANT);
    let (mut allocations, mut bytes) = (Counts::new(), Counts::new());
    for (name, request) in [
        ("basic", vec![service.request()]),
        ("basic, by hyper", vec![support::unusual(&service.request())]),
        ("basic, in two pieces", in_two_pieces(service.request())),
        ("post", vec![without_authorization(&post)]),
        // What is not the client's default is parsed, checked and encoded anew.
        ("narrowed scope", vec![request(&service.basic(), &narrowed)]),
    ] {
        let pieces: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
        // The lesser of two: a busy machine only adds to it.
        let counted = [(); 2].map(|()| count(&service, &pieces, requests));
        let (number, size) = (counted[0].0.min(counted[1].0), counted[0].1.min(counted[1].1));
        allocations.insert(name.to_owned(), (number * 100.0).round() / 100.0);
        bytes.insert(name.to_owned(), size.round());
    }
    let (said, code) = figures::settle(&[(figures::ALLOCATIONS, allocations), (figures::BYTES, bytes)]);
    println!("{said}");
    std::process::exit(code);
}

fn without_authorization(form: &str) -> Vec<u8> {
    let text = String::from_utf8(request("-", form)).unwrap_or_default();
    text.replace("Authorization: -\r\n", "").into_bytes()
}

/// As many clients write it: the head, and then the form.
fn in_two_pieces(mut request: Vec<u8>) -> Vec<Vec<u8>> {
    let form = request.split_off(request.len() - support::GRANT.len());
    vec![request, form]
}

/// Allocations and their bytes per request.
fn count(service: &Service, pieces: &[&[u8]], requests: usize) -> (f64, f64) {
    let mut pipe = Pipe::open(service);
    let mut ask = |times: usize| {
        for _ in 0..times {
            assert!(pipe.ask_in_pieces(pieces).starts_with(b"HTTP/1.1 200 OK"));
        }
    };
    ask(WARM_UP);
    let counted = allocation_counter::measure(|| ask(requests));
    let float = |number: u64| f64::from(u32::try_from(number).unwrap());
    let per_request = |total: u64| float(total) / float(requests as u64);
    (per_request(counted.count_total), per_request(counted.bytes_total))
}
