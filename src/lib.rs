//! jeton: a token service for machines.
pub mod clock;
pub mod jwt;
pub mod keys;
pub mod oauth;
pub mod store;
