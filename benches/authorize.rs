//! authorize: what the client asks for becomes a grant.
//!
//! `cargo bench --bench authorize`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;

use jeton::oauth::TokenRequest;
use support::{GRANT, Service};

fn main() {
    let service = Service::new();
    let (client, default) = (&service.client, &service.app.authenticator.clients().defaults().audience);
    let narrowed = format!("{GRANT}&scope=read&resource=https%3A%2F%2Fapi.example.com");
    let forms = [("everything by default", GRANT.to_owned(), true), ("scope and resource", narrowed, false)];
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("authorize");
    for (name, form, is_default) in &forms {
        let request = TokenRequest::parse(form.as_bytes(), None).unwrap();
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let grant = black_box(client).authorize(&request, default).unwrap();
                assert_eq!(grant.is_default(), *is_default);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
