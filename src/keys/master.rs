//! The master key: 256 bits from which every other secret of the server is derived (RFC 5869).
//!
//! Leaves files and the environment to `config` and `cli`. Each use has a key of its own by label, so that the
//! digest of a client secret and the encryption of a signing key share nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::record::KeyError;
use super::stream::Stream;
use crate::oauth::SecretHasher;

const NONCE_BYTES: usize = 12;

/// 32 random bytes that the operator keeps.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// What the store keeps of the master key, so that a wrong one is recognised before it does harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MasterKeyCheck(Box<str>);

impl MasterKey {
    /// The key of these random bytes.
    #[must_use]
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(Zeroizing::new(bits))
    }

    /// Reads the text of a key file: 32 bytes in base64url, white space around it ignored.
    ///
    /// # Errors
    /// When the text is anything else; the text itself is not part of the error.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| KeyError::MalformedMasterKey)?);
        let bits = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::MalformedMasterKey)?;
        Ok(Self(Zeroizing::new(bits)))
    }

    /// The text for a key file.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// A value that tells this master key from others and reveals nothing of it.
    #[must_use]
    pub fn check(&self) -> MasterKeyCheck {
        MasterKeyCheck(URL_SAFE_NO_PAD.encode(self.derive("jeton master key check")).into())
    }

    /// The hasher of client secrets.
    #[must_use]
    pub fn secret_hasher(&self) -> SecretHasher {
        self.hasher("jeton client secret hash")
    }

    /// The hasher of opaque tokens.
    #[must_use]
    pub fn token_hasher(&self) -> SecretHasher {
        self.hasher("jeton opaque token hash")
    }

    pub(super) fn record_hasher(&self) -> SecretHasher {
        self.hasher("jeton record authentication")
    }

    fn hasher(&self, label: &str) -> SecretHasher {
        let mut key = self.derive(label);
        let hasher = SecretHasher::new(&key);
        key.zeroize();
        hasher
    }

    /// Encrypts a private key for the store, bound to its `kid`. The nonce must never repeat: random is enough for
    /// the few keys of a service's life.
    ///
    /// # Errors
    /// When the cipher refuses, which it does only for absurd lengths.
    pub fn seal(&self, kid: &str, secret: &[u8], nonce: [u8; NONCE_BYTES]) -> Result<Box<str>, KeyError> {
        let payload = Payload { msg: secret, aad: kid.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).map_err(|_| KeyError::CannotSeal)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()).into())
    }

    /// Decrypts what [`MasterKey::seal`] made for the same `kid`.
    ///
    /// # Errors
    /// When the text is damaged, belongs to another `kid` or was made under another master key.
    pub fn open(&self, kid: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| KeyError::CannotOpen)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(KeyError::CannotOpen)?;
        let payload = Payload { msg: sealed, aad: kid.as_bytes() };
        self.cipher().decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| KeyError::CannotOpen)
    }

    /// What encrypts or decrypts one stream of data. Each stream needs a `salt` that no other one ever had: 256 random
    /// bits.
    #[must_use]
    pub fn stream(&self, label: &str, salt: &[u8; 32]) -> Stream {
        Stream::new(self.cipher_of(&[label.as_bytes(), salt]))
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        self.cipher_of(&[b"jeton signing key encryption"])
    }

    fn cipher_of(&self, info: &[&[u8]]) -> ChaCha20Poly1305 {
        let mut key = self.expand(info);
        let cipher = ChaCha20Poly1305::new(&key.into());
        key.zeroize();
        cipher
    }

    fn derive(&self, label: &str) -> [u8; 32] {
        self.expand(&[label.as_bytes()])
    }

    /// HKDF-Expand of RFC 5869 §2.3 for one block, with an `info` in parts of which all but the last are labels; the
    /// master key is uniform, so it needs no extraction.
    fn expand(&self, info: &[&[u8]]) -> [u8; 32] {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(self.0.iter()).for_each(|(padded, byte)| *padded = *byte);
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new(&block);
        block.as_mut_slice().zeroize();
        for part in info {
            mac.update(part);
        }
        mac.update(&[1]);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_of_encode_is_the_same() {
        let key = MasterKey::from_random([3; 32]);
        let again = MasterKey::parse(&format!("{}\n", key.encode().as_str())).unwrap();
        assert_eq!(key.check(), again.check());
    }

    #[test]
    fn k05_refuses_a_truncated_key_without_repeating_it() {
        for text in ["", "AwMDAw", "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD", "not base64!"] {
            let error = MasterKey::parse(text).unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn k08_opens_only_with_the_same_master_key_and_kid() {
        let (key, other) = (MasterKey::from_random([3; 32]), MasterKey::from_random([4; 32]));
        let sealed = key.seal("kid", b"secret", [9; 12]).unwrap();
        assert_eq!(key.open("kid", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(other.open("kid", &sealed).unwrap_err(), KeyError::CannotOpen);
        assert_eq!(key.open("other", &sealed).unwrap_err(), KeyError::CannotOpen);
        assert_eq!(key.open("kid", &sealed[1..]).unwrap_err(), KeyError::CannotOpen);
        assert_ne!(key.check(), other.check());
    }
}
