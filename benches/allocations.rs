//! How often a token request allocates: the real connection, from bytes to bytes, with a counting allocator.
//!
//! Fails above [`MOST`] or [`MOST_BYTES`]. Allocations are what a thread shares with the others of its process, so
//! their number is a bound on the path and not only a figure; their bytes tell when the future of a request, which
//! is one of them, has grown again: each async layer keeps its arguments beside what it awaits. Reallocations count
//! as well.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use support::{Pipe, Service, request};

/// The bound per request.
const MOST: f64 = 4.5;
/// The bound on their bytes.
const MOST_BYTES: f64 = 4.0 * 1024.0;
/// The first requests fill caches and buffers.
const WARM_UP: usize = 200;

fn main() {
    // Nothing here takes arguments, but the harness gives some.
    let full = std::env::args().any(|argument| argument == "--bench");
    let requests = if full { 100_000 } else { 2_000 };
    let service = Service::new();
    let post = format!("{}&client_id={}&client_secret={}", support::GRANT, service.client.id, service.secret);
    let narrowed = format!("{}&scope=read", support::GRANT);
    let mut failed = false;
    for (name, request, most) in [
        ("basic", service.request(), MOST),
        ("post", without_authorization(&post), MOST),
        // What is not the client's default is parsed, checked and encoded anew.
        ("narrowed scope", request(&service.basic(), &narrowed), 8.0),
    ] {
        let (number, bytes) = count(&service, &request, requests);
        let too_many = number > most || bytes > MOST_BYTES;
        let verdict = if too_many { "TOO MANY" } else { "ok" };
        println!(
            "{name:15} {number:6.2} allocations, {bytes:5.0} bytes per token request, at most {most}, {MOST_BYTES}: {verdict}"
        );
        failed |= too_many;
    }
    std::process::exit(i32::from(failed));
}

fn without_authorization(form: &str) -> Vec<u8> {
    let text = String::from_utf8(request("-", form)).unwrap_or_default();
    text.replace("Authorization: -\r\n", "").into_bytes()
}

/// Allocations and their bytes per request.
fn count(service: &Service, request: &[u8], requests: usize) -> (f64, f64) {
    let mut pipe = Pipe::open(service);
    let mut ask = |times: usize| {
        for _ in 0..times {
            assert!(pipe.ask(request).starts_with(b"HTTP/1.1 200 OK"));
        }
    };
    ask(WARM_UP);
    let counted = allocation_counter::measure(|| ask(requests));
    let float = |number: u64| f64::from(u32::try_from(number).unwrap());
    let per_request = |total: u64| float(total) / float(requests as u64);
    (per_request(counted.count_total), per_request(counted.bytes_total))
}
