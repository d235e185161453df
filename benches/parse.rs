//! parse: a usual request is read where it lies; the form and the `Authorization` header become a request.
//!
//! `cargo bench --bench parse`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;

use jeton::http::express::request as usual;
use jeton::oauth::TokenRequest;
use jeton::oauth::client_auth::BasicText;
use support::{GRANT, Service};

fn main() {
    let service = Service::new();
    let basic = service.basic();
    let post = format!("{GRANT}&client_id={}&client_secret={}", service.client.id, service.secret);
    let narrowed = format!("{GRANT}&scope=read+write&resource=https%3A%2F%2Fapi.example.com");
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("parse");
    for (name, basic, form) in [
        ("basic", Some(&basic), GRANT),
        ("post", None, post.as_str()),
        ("basic, scope and resource", Some(&basic), narrowed.as_str()),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let text = BasicText::decode(black_box(basic).into_iter().map(String::as_bytes)).unwrap();
                let request = TokenRequest::parse(black_box(form.as_bytes()), text.as_ref()).unwrap();
                assert!(request.auth().readings().count() == 1);
            });
        });
    }
    let whole = service.request();
    group.bench_function("bytes of a usual request", |bencher| {
        bencher.iter(|| usual::parse(black_box(&whole), "/oauth2/token", 1000));
    });
    group.finish();
    criterion.final_summary();
}
