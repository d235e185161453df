//! jeton: a token service for machines. A backend trades its id and secret for a short-lived signed token (OAuth
//! 2.0 client credentials, RFC 6749 §4.4; JWT access tokens, RFC 9068).
//!
//! # The life of a token request
//!
//! 1. A worker of [`http::server`] accepts the connection; deadlines and limits stand around it.
//! 2. [`http::routes`] finds the endpoint; the body is read within its bound. A usual token request is read where it
//!    lies by [`http::express`], and goes on with step 3 like any other.
//! 3. **parse**: [`oauth::TokenRequest`] and [`oauth::ClientAuth`], or a refusal: a request in doubt is none.
//! 4. **load**: [`store::cache`] has the client in memory, all of it in one place ([`store::cached`]); only a miss asks
//!    the [`store`].
//! 5. **authenticate**: [`oauth::Client::authenticate`] compares digests in constant time.
//! 6. **authorize**: [`oauth::Client::authorize`] decides scope and audience: an [`oauth::Grant`].
//! 7. **sign**: [`jwt`] appends the claims to what was made ready beforehand and signs with a key of [`keys`]. A client
//!    that has opaque tokens gets one of [`store::tokens`] instead, once the store has it.
//! 8. **reply**: [`http::reply`] writes status, headers and body; [`metrics`] counts.
//!
//! Steps 3 to 7 are one screen: [`issuer::TokenIssuer::issue`]. Nothing between parse and reply does I/O for a
//! client in memory. [`app::App`] holds what all requests share; [`admin`] changes it; [`cli`] starts it.

pub mod buffers;
pub mod clock;
pub mod oauth;

pub mod audit;
pub mod metrics;

pub mod jwt;
pub mod keys;

pub mod store;

pub mod admin;
pub mod authenticator;
pub mod introspection;
pub mod issuer;
pub mod limiter;
pub mod revocation;

pub mod config;

pub mod app;

pub mod http;

pub mod cli;
