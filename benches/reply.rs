//! reply: the token, or the refusal, becomes a response with its headers and its body (which `encode` has alone).
//!
//! `cargo bench --bench reply`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;

use criterion::BatchSize;
use http::HeaderMap;
use jeton::buffers::Buffers;
use jeton::http::express::Heads;
use jeton::http::reply;
use jeton::oauth::{Closing, OAuthError, TokenResponse};
use support::NOW;

/// Characters of a usual token.
const TOKEN_CHARS: usize = 500;

fn main() {
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("reply");
    let buffers = Buffers::default();
    let response = || {
        let closing = Closing::Of(black_box(3600), "read write");
        let mut response = TokenResponse::begin(buffers.take(), TOKEN_CHARS, &closing);
        response.buffer_mut().extend_from_slice(&[b'e'; TOKEN_CHARS]);
        response.finish(closing);
        response
    };
    let heads = Heads::default();
    group.bench_function("issued", |bencher| {
        bencher.iter(|| buffers.give_back(heads.issued(response(), NOW).0));
    });
    group.bench_function("issued by hyper", |bencher| {
        // hyper hands every request the map of the reply before.
        let recycled = || HeaderMap::with_capacity(8);
        let reply = |headers| reply::issued(headers, &response());
        bencher.iter_batched(recycled, reply, BatchSize::SmallInput);
    });
    group.bench_function("refused", |bencher| bencher.iter(|| reply::refused(black_box(&OAuthError::INVALID_CLIENT))));
    group.finish();
    criterion.final_summary();
}
