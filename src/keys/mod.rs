//! Signing keys: what protects them, what they sign with, and their states by time.
//!
//! `master` is the one secret that the operator keeps; `signing` is one key ready to sign, `private` how it signs,
//! `policy` what the operator decides of that, `jwk` how it is published, `import` how one comes from elsewhere;
//! `stream` encrypts what is long; `record` is what the store keeps of it, `seal` marks records; `rotation` plans when
//! keys come and go; `set` is all keys at an instant: which ones sign, which are published, and the JWKS document.
//!
//! The keys of one algorithm are a ring: each ring rolls for itself, and exists once a client's tokens are signed by it.
//! Invariants: a private key leaves the process only encrypted under the master key; a key signs only while it is
//! published, and by its own algorithm only; `kid` is the RFC 7638 thumbprint, so that no two keys can share one.

pub mod import;
mod jwk;
pub mod master;
pub mod policy;
pub mod private;
pub mod record;
pub mod rotation;
pub mod seal;
pub mod set;
pub mod signing;
pub mod stream;

pub use jwk::thumbprint;
pub use master::{MasterKey, MasterKeyCheck};
pub use policy::{Acceleration, PATHS, Path, SigningPolicy, VerifyAfterSign, Why};
pub use private::Signature;
pub use record::{KeyError, KeyRecord, Kid};
pub use rotation::Lead;
pub use seal::RecordSeal;
pub use set::{KeySet, KeyState};
pub use signing::SigningKey;
pub use stream::Stream;
