//! Signs an access token where it stands (RFC 7515 §5.1).
//!
//! One seam: `sign` is asynchronous, so a signer that makes several signatures at once can stand behind it. The
//! signer here is done when it returns.

use super::claims::{ClaimPrefix, Stamp, push_base64url};
use crate::keys::SigningKey;

/// Appends `header.payload.signature` to `out`.
#[allow(clippy::unused_async, reason = "the seam: a batch signer completes later than it is called")]
pub async fn sign(claims: &ClaimPrefix, stamp: &Stamp, key: &SigningKey, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(key.encoded_header());
    out.push(b'.');
    claims.push_payload(stamp, out);
    let signature = key.sign(out.get(start..).unwrap_or_default());
    out.push(b'.');
    push_base64url(&signature, out);
}

/// Bytes of a token with these claims, at the most.
#[must_use]
pub fn max_token_bytes(claims: &ClaimPrefix, key: &SigningKey) -> usize {
    key.encoded_header().len() + claims.max_payload_bytes() + SIGNATURE_CHARS + 2
}

/// 64 bytes in base64url.
const SIGNATURE_CHARS: usize = 86;
