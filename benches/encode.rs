//! encode: the grant becomes the text of the token, and the token becomes the body of the answer; no signature.
//!
//! `cargo bench --bench encode`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

mod support;

use std::hint::black_box;
use std::time::Duration;

use jeton::buffers::Buffers;
use jeton::jwt::sign::max_token_bytes;
use jeton::jwt::{ClaimPrefix, Instants, Stamp, TokenId, push_unsigned};
use jeton::oauth::response::error_body;
use jeton::oauth::{Algorithm, Closing, IssuerUrl, OAuthError, TokenResponse};
use support::{NOW, Service};

fn main() {
    let service = Service::new();
    let keys = service.app.keys.load();
    let key = keys.active(Algorithm::EdDsa, NOW).unwrap();
    let claims = service.app.authenticator.clients().defaults().claims(&service.client);
    let instants = Instants::default();
    let stamp = Stamp { issued_at: NOW, expires_at: NOW.plus(Duration::from_hours(1)), id: TokenId([5; 16]) };
    let mut token = Vec::with_capacity(max_token_bytes(&claims, key));
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("encode");
    group.bench_function("token", |bencher| {
        bencher.iter(|| {
            token.clear();
            push_unsigned(black_box(&claims), (&stamp, &instants), key, &mut token)
        });
    });
    // What is made once for a client, and for each token whose scope or audience is not the client's default.
    let (issuer, client) = (IssuerUrl::parse("https://issuer.example.com").unwrap(), &service.client);
    group.bench_function("constant claims", |bencher| {
        bencher.iter(|| ClaimPrefix::encode(&issuer, black_box(&client.id), client.audience.iter(), &client.scope));
    });
    let (scope, buffers) = (client.scope.to_string(), Buffers::default());
    group.bench_function("body", |bencher| {
        bencher.iter(|| {
            let closing = Closing::Of(black_box(3600), &scope);
            let mut response = TokenResponse::begin(buffers.take(), token.len(), &closing);
            response.buffer_mut().extend_from_slice(black_box(&token));
            response.finish(closing);
            buffers.give_back(black_box(response.into_buffer()));
        });
    });
    group.bench_function("body of a refusal", |bencher| {
        bencher.iter(|| error_body(black_box(&OAuthError::INVALID_CLIENT)));
    });
    group.finish();
    criterion.final_summary();
}
