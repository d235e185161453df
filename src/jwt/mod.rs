//! A grant becomes a signed string, and back: JWS compact serialisation (RFC 7515), the access token profile of
//! RFC 9068, `EdDSA` (RFC 8037).
//!
//! `claims` writes what a token says, `sign` signs it in place, `verify` is what a resource server does with it,
//! `verifier` what we do with our own.
//! Leaves the keys themselves, their states and the JWKS to `keys`.

pub mod claims;
pub mod sign;
pub mod verifier;
pub mod verify;

pub use claims::{ClaimPrefix, Stamp, TokenId};
pub use sign::{Unsigned, push_unsigned, sign};
pub use verifier::{TokenVerifier, Verified};
pub use verify::{AccessToken, Expected, PublicKey, VerifyError, verify};
