//! A grant becomes a signed string, and back: JWS compact serialisation (RFC 7515), the access token profile of
//! RFC 9068, the algorithms of RFC 7518 and RFC 8037.
//!
//! `claims` writes what a token says, `sign` signs it in place, `queue` many at a time, `turn` where a signature takes
//! long; `public_key` is a published key, `verify` what a resource server does with it, `verifier` what we do with our
//! own; `client_keys` are those of clients, by which they sign their assertions.
//! Leaves the keys themselves, their states and the JWKS to `keys`.

pub mod claims;
pub mod client_keys;
pub mod public_key;
pub mod queue;
pub mod sign;
pub mod turn;
pub mod verifier;
pub mod verify;

pub use claims::{ClaimPrefix, Instants, Stamp, TokenId};
pub use public_key::PublicKey;
pub use queue::SignQueue;
pub use sign::{Desk, Place, Signing, Unsigned, push_unsigned, sign};
pub use turn::{Line, LineFull, Turn};
pub use verifier::{TokenVerifier, Verified};
pub use verify::{AccessToken, Expected, OneOrMany, VerifyError, verify};
