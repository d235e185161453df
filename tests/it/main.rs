//! The integration tests: one binary, this is its table of contents.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the verdict; clippy allows it by itself only inside the test functions"
)]
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "requests are short, and read better as they are sent"
)]

mod support;

mod algorithms;
mod assertions;
mod audit;
mod cli;
mod clients_and_verifiers;
mod clients_in_memory;
mod dashboards;
mod express;
mod gateways;
mod house;
mod http_limits;
mod http_syntax;
mod introspection;
mod keys_and_documents;
mod moving;
mod mutation;
mod packaging;
mod process_faults;
mod redis_faults;
mod redis_store;
mod server_faults;
mod sign_queue;
mod snapshots;
mod store_contract;
mod store_faults;
mod token_rules;
