//! The protocol as types: what a client may ask, how it proves who it is, what it is granted.
//!
//! Pure: no I/O, no clock, no logging. Leaves bytes on sockets to `http`, decisions that need stored state to
//! `issuer`. Every rule stands beside the section of the RFC it comes from: RFC 6749 (OAuth 2.0), RFC 8707
//! (resource indicators), RFC 7617 (Basic), RFC 7523 (assertions), RFC 7662 (introspection), RFC 7009 (revocation).

pub mod algorithm;
pub mod assertion;
pub mod audience;
pub mod auth_failure;
pub mod checked;
pub mod client;
pub mod client_auth;
pub mod client_key;
pub mod error;
pub mod form;
pub mod grant;
pub mod json;
pub mod opaque;
mod parameters;
pub mod request;
pub mod response;
pub mod scope;
pub mod secret;
mod sextets;
pub mod token_reference;

pub use algorithm::Algorithm;
pub use assertion::Assertion;
pub use audience::{Audience, IssuerUrl};
pub use auth_failure::AuthFailure;
pub use client::{Client, ClientId, ClientSecret, SecretId, Secrets};
pub use client_auth::{ClientAuth, Presented};
pub use client_key::ClientKey;
pub use error::{ErrorCode, OAuthError};
pub use grant::{Grant, Lifetimes};
pub use opaque::{OpaqueToken, TokenFormat};
pub use request::TokenRequest;
pub use response::{Closing, TokenResponse};
pub use scope::{Scope, ScopeToken};
pub use secret::{Secret, SecretHash, SecretHasher};
pub use token_reference::TokenReference;
