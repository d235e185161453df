//! Signs an access token where it stands (RFC 7515 §5.1).
//!
//! A token is written with room for its signature, and signed afterwards. `sign` is the one seam: it is
//! asynchronous, so a signer that makes several signatures at once can stand behind it. The signer here is done
//! when it returns.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{ClaimPrefix, Stamp};
use crate::keys::SigningKey;

/// 64 bytes in base64url.
const SIGNATURE_CHARS: usize = 86;

/// Where in a buffer the parts of a token stand.
#[derive(Clone, Debug)]
pub struct Unsigned {
    signed: Range<usize>,
    signature: Range<usize>,
}

/// Appends `header.payload.` and room for the signature.
pub fn push_unsigned(claims: &ClaimPrefix, stamp: &Stamp, key: &SigningKey, out: &mut Vec<u8>) -> Unsigned {
    let start = out.len();
    out.extend_from_slice(key.encoded_header());
    out.push(b'.');
    claims.push_payload(stamp, out);
    let end = out.len();
    out.push(b'.');
    out.resize(end + 1 + SIGNATURE_CHARS, b'A');
    Unsigned { signed: start..end, signature: end + 1..out.len() }
}

/// Signs the token at `place` of `buffer` with the key whose header it carries.
#[allow(clippy::unused_async, reason = "the seam: a batch signer completes later than it is called")]
pub async fn sign(buffer: &mut [u8], place: &Unsigned, key: &SigningKey) {
    let signature = key.sign(buffer.get(place.signed.clone()).unwrap_or_default());
    if let Some(room) = buffer.get_mut(place.signature.clone()) {
        // 64 bytes fill 86 characters exactly, so this writes the whole room.
        drop(URL_SAFE_NO_PAD.encode_slice(signature, room));
    }
}

/// Bytes of a token with these claims, at the most.
#[must_use]
pub fn max_token_bytes(claims: &ClaimPrefix, key: &SigningKey) -> usize {
    key.encoded_header().len() + claims.max_payload_bytes() + SIGNATURE_CHARS + 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::UnixTime;
    use crate::jwt::{Expected, PublicKey, TokenId, VerifyError, verify};
    use crate::keys::{KeySet, MasterKey};
    use crate::oauth::{Audience, ClientId, IssuerUrl, Scope};

    const NOW: UnixTime = UnixTime::from_seconds(1_000);

    /// A signed token and the keys that verify it.
    fn signed() -> (String, Vec<PublicKey>) {
        let master = MasterKey::from_random([1; 32]);
        let record = SigningKey::seal(&[7; 32], &master, [0; 12], (NOW, NOW)).unwrap();
        let set = KeySet::open(&[record], &master, NOW).unwrap();
        let audience = Audience::parse("https://api.example").unwrap();
        let claims = ClaimPrefix::encode(
            &IssuerUrl::parse("https://issuer.example").unwrap(),
            &ClientId::parse("c_1").unwrap(),
            std::iter::once(&audience),
            &Scope::parse("read").unwrap(),
        );
        let stamp = Stamp { issued_at: NOW, expires_at: UnixTime::from_seconds(2_000), id: TokenId([5; 16]) };
        let key = set.active(NOW).unwrap();
        let mut out = b"before".to_vec();
        let place = push_unsigned(&claims, &stamp, key, &mut out);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(sign(&mut out, &place, key));
        assert!(out.len() <= 6 + max_token_bytes(&claims, key));
        (String::from_utf8(out.split_off(6)).unwrap(), PublicKey::from_jwks(set.document()).unwrap())
    }

    fn check(token: &str, keys: &[PublicKey], audience: &str, now: u64) -> Result<String, VerifyError> {
        let (issuer, now, leeway) = ("https://issuer.example", UnixTime::from_seconds(now), Duration::ZERO);
        verify(token, keys, &Expected { issuer, audience: Some(audience), now, leeway }).map(|claims| claims.client_id)
    }

    #[test]
    fn t214_what_is_signed_verifies_by_the_published_keys() {
        let (token, keys) = signed();
        assert_eq!(check(&token, &keys, "https://api.example", 1_999), Ok("c_1".to_owned()));
        assert_eq!(check(&token, &keys, "https://api.example", 2_000), Err(VerifyError::Expired));
        assert_eq!(check(&token, &keys, "https://api.example", 999), Err(VerifyError::NotYetValid));
        assert_eq!(check(&token, &keys, "https://api.example/", 1_000), Err(VerifyError::WrongAudience));
        assert_eq!(check(&token, &[], "https://api.example", 1_000), Err(VerifyError::UnknownKey));
    }

    #[test]
    fn a_token_with_any_character_changed_is_refused() {
        let (token, keys) = signed();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(check(&changed, &keys, "https://api.example", 1_000).is_err(), "character {at}");
        }
        for changed in [format!("{token}="), format!("{token}A"), token[1..].to_owned(), format!("{token}.{token}")] {
            assert!(check(&changed, &keys, "https://api.example", 1_000).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn verify_never_panics(token in "[A-Za-z0-9_=.{}\"-]{0,200}") {
            let (_, keys) = signed();
            let _ = check(&token, &keys, "https://api.example", 1_000);
        }
    }
}
