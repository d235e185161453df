//! Long data under the master key: encrypted piece by piece, so that it is never in memory as a whole.
//!
//! The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", 2015) over ChaCha20-Poly1305: the nonce is the number of the piece and whether it is the last,
//! under a key that is drawn for this data alone from 256 random bits. Pieces cannot be altered, left out, doubled,
//! reordered or cut off, nor mixed with those of other data.

use std::fmt;

use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

use super::record::KeyError;

/// By how much a piece grows.
pub const TAG_BYTES: usize = 16;

/// Encrypts or decrypts the pieces of one stream, in their order.
pub struct Stream {
    cipher: ChaCha20Poly1305,
    number: u64,
}

impl Stream {
    pub(super) const fn new(cipher: ChaCha20Poly1305) -> Self {
        Self { cipher, number: 0 }
    }

    /// The next piece, encrypted.
    ///
    /// # Errors
    /// When the cipher refuses, which it does only for absurd lengths.
    pub fn seal(&mut self, piece: &[u8], is_last: bool) -> Result<Vec<u8>, KeyError> {
        let nonce = self.nonce(is_last);
        self.cipher.encrypt(&nonce, piece).map_err(|_| KeyError::CannotSeal)
    }

    /// The next piece, decrypted. It is not wiped: what is a secret by itself is sealed for itself.
    ///
    /// # Errors
    /// When it is not what was sealed at this place, or was sealed under another master key.
    pub fn open(&mut self, piece: &[u8], is_last: bool) -> Result<Vec<u8>, KeyError> {
        let nonce = self.nonce(is_last);
        self.cipher.decrypt(&nonce, piece).map_err(|_| KeyError::CannotOpen)
    }

    /// Each is used once: the number grows, and a stream has one direction.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        for (byte, of) in nonce.iter_mut().zip(self.number.to_be_bytes()) {
            *byte = of;
        }
        if let Some(last) = nonce.last_mut() {
            *last = u8::from(is_last);
        }
        self.number += 1;
        Nonce::from(nonce)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(***)")
    }
}

#[cfg(test)]
mod tests {
    use crate::keys::MasterKey;

    const LABEL: &str = "jeton test";

    fn open(pieces: &[Vec<u8>], key: u8, salt: u8) -> Option<Vec<u8>> {
        let mut stream = MasterKey::from_random([key; 32]).stream(LABEL, &[salt; 32]);
        let mut out = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            out.extend_from_slice(&stream.open(piece, number + 1 == pieces.len()).ok()?);
        }
        Some(out)
    }

    #[test]
    fn a_stream_opens_whole_in_order_and_under_its_own_key_or_not_at_all() {
        let mut stream = MasterKey::from_random([3; 32]).stream(LABEL, &[5; 32]);
        let sealed: Vec<Vec<u8>> = [("one", false), ("two", false), ("", true)]
            .map(|(text, last)| stream.seal(text.as_bytes(), last).unwrap())
            .into();
        assert_eq!(open(&sealed, 3, 5).unwrap(), b"onetwo");
        let [one, two, last] = [0, 1, 2].map(|piece: usize| sealed[piece].clone());
        for wrong in [
            vec![one.clone(), two.clone()],
            vec![one.clone(), last.clone()],
            vec![two.clone(), one.clone(), last.clone()],
            vec![one.clone(), one.clone(), two.clone(), last.clone()],
            vec![one.clone(), two.clone(), last.clone(), last.clone()],
            vec![one.clone(), two[1..].to_vec(), last.clone()],
        ] {
            assert_eq!(open(&wrong, 3, 5), None);
        }
        assert_eq!(open(&sealed, 4, 5), None, "another master key");
        assert_eq!(open(&sealed, 3, 6), None, "another stream");
        let mut flipped = sealed.clone();
        flipped[1][0] ^= 1;
        assert_eq!(open(&flipped, 3, 5), None);
    }
}
