//! One key ready to sign: expanded once, its token header already encoded (RFC 8032, RFC 8037).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey as Ed25519Key, VerifyingKey};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::master::MasterKey;
use super::record::{KeyError, KeyRecord, Kid};
use crate::clock::UnixTime;

/// The algorithm's name in `alg`: most verifiers know only this one, not RFC 9864's `Ed25519`.
pub const EDDSA: &str = "EdDSA";

/// An Ed25519 key that signs tokens.
pub struct SigningKey {
    kid: Kid,
    verifying: VerifyingKey,
    expanded: ExpandedSecretKey,
    encoded_header: Box<[u8]>,
}

impl SigningKey {
    /// The key of this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let verifying = Ed25519Key::from_bytes(seed).verifying_key();
        let kid = thumbprint(&verifying);
        let header = format!(r#"{{"alg":"{EDDSA}","typ":"at+jwt","kid":"{kid}"}}"#);
        Self {
            encoded_header: URL_SAFE_NO_PAD.encode(header).into_bytes().into(),
            expanded: ExpandedSecretKey::from(seed),
            verifying,
            kid,
        }
    }

    /// Decrypts a stored key and checks that its parts belong together, so that no signature is ever made under a
    /// public key other than its own (the double-key oracle of Ed25519).
    ///
    /// # Errors
    /// When the master key is wrong or the record damaged.
    pub fn open(record: &KeyRecord, master: &MasterKey) -> Result<Self, KeyError> {
        if *record.alg != *EDDSA {
            return Err(KeyError::UnknownAlgorithm);
        }
        let seed = master.open(record.kid.as_str(), &record.sealed)?;
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice()).map_err(|_| KeyError::CannotOpen)?);
        let key = Self::from_seed(&seed);
        if key.kid == record.kid && *key.public() == *record.public { Ok(key) } else { Err(KeyError::Mismatch) }
    }

    /// The record of a new key, published and active from the given instants on.
    ///
    /// # Errors
    /// When the private part cannot be encrypted.
    pub fn seal(
        seed: &[u8; 32],
        master: &MasterKey,
        nonce: [u8; 12],
        (published_at, activated_at): (UnixTime, UnixTime),
    ) -> Result<KeyRecord, KeyError> {
        let key = Self::from_seed(seed);
        Ok(KeyRecord {
            sealed: master.seal(key.kid.as_str(), seed, nonce)?,
            public: key.public(),
            kid: key.kid,
            alg: EDDSA.into(),
            published_at,
            activated_at,
            retired_at: None,
            removed_at: None,
        })
    }

    /// The key's name.
    #[must_use]
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    /// `{"alg":…,"typ":"at+jwt","kid":…}` in base64url.
    #[must_use]
    pub const fn encoded_header(&self) -> &[u8] {
        &self.encoded_header
    }

    /// Signs one message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.expanded, message, &self.verifying).to_bytes()
    }

    fn public(&self) -> Box<str> {
        URL_SAFE_NO_PAD.encode(self.verifying.as_bytes()).into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// RFC 7638 over the required members of RFC 8037 §2, in lexicographic order.
fn thumbprint(key: &VerifyingKey) -> Kid {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let digest = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
    Kid(URL_SAFE_NO_PAD.encode(digest).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixTime = UnixTime::from_seconds(1);

    fn rfc_8037_seed() -> [u8; 32] {
        URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap().try_into().unwrap()
    }

    #[test]
    fn j04_kid_is_the_thumbprint_of_rfc_8037_a_3() {
        let key = SigningKey::from_seed(&rfc_8037_seed());
        assert_eq!(&*key.public(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn signs_the_example_of_rfc_8037_a_4_byte_for_byte() {
        let signature =
            SigningKey::from_seed(&rfc_8037_seed()).sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn k09_a_record_whose_parts_do_not_belong_together_is_refused() {
        let master = MasterKey::from_random([1; 32]);
        let record = SigningKey::seal(&[2; 32], &master, [0; 12], (AT, AT)).unwrap();
        assert_eq!(SigningKey::open(&record, &master).unwrap().kid(), &record.kid);
        let other = SigningKey::seal(&[3; 32], &master, [1; 12], (AT, AT)).unwrap();
        let swapped = KeyRecord { public: other.public.clone(), ..record.clone() };
        assert_eq!(SigningKey::open(&swapped, &master).unwrap_err(), KeyError::Mismatch);
        let renamed = KeyRecord { kid: other.kid, ..record };
        assert_eq!(SigningKey::open(&renamed, &master).unwrap_err(), KeyError::CannotOpen);
    }
}
