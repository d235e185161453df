//! The integration tests: one binary, this is its table of contents.

mod support;

mod cli;
mod clients_and_verifiers;
mod house;
mod http_limits;
mod http_syntax;
mod keys_and_documents;
mod mutation;
mod process_faults;
mod server_faults;
mod store_contract;
mod store_faults;
mod token_rules;
