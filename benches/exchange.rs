//! Token requests over several connections in one thread, from bytes to bytes: what a profiler is pointed at.
//!
//! `exchange [--connections N] [--rounds N] [--scope TEXT]`: in each round every connection sends a request before any
//! reads its answer, so that they meet on the way as they do under load. The clients' side is part of it, but does next
//! to nothing. As under callgrind, which says where the instructions go that `benches/counts` counts; two lengths of it
//! differ by so many requests and nothing of the start.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::net::SocketAddr;

use jeton::http::Peer;
use support::{ANSWER_BYTES, GRANT, Service, is_overload, request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::LocalOptions;

/// The value behind `name` on the command line.
fn option<T: std::str::FromStr>(name: &str, default: T) -> T {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let (connections, rounds): (usize, usize) = (option("--connections", 32), option("--rounds", 100));
    let scope: String = option("--scope", String::new());
    let service = Service::new();
    let form = if scope.is_empty() { GRANT.to_owned() } else { format!("{GRANT}&scope={scope}") };
    let request = request(&service.basic(), &form);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let worker = service.worker();
    let mut streams: Vec<DuplexStream> = (0..connections)
        .map(|_| {
            let (ours, theirs) = tokio::io::duplex(16 * 1024);
            let peer = Peer { address: SocketAddr::from(([127, 0, 0, 1], 1)) };
            runtime.spawn_local(jeton::http::serve_stream(worker.clone(), theirs, peer));
            ours
        })
        .collect();
    let (mut tokens, mut answer) = (0, vec![0; ANSWER_BYTES]);
    runtime.block_on(async {
        for _ in 0..rounds {
            for stream in &mut streams {
                stream.write_all(&request).await.unwrap();
            }
            for stream in &mut streams {
                let length = stream.read(&mut answer).await.unwrap();
                // A machine that pauses the process looks like overload to it.
                let is_token = answer[..length].starts_with(b"HTTP/1.1 200 ");
                assert!(is_token || is_overload(&answer[..length]), "{}", String::from_utf8_lossy(&answer[..length]));
                tokens += usize::from(is_token);
            }
        }
    });
    println!("{tokens}");
}
