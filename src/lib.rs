//! jeton: a token service for machines.
pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod issuer;
pub mod jwt;
pub mod keys;
pub mod limiter;
pub mod metrics;
pub mod oauth;
pub mod store;
