//! Signatures without vector instructions.
//!
//! With the seed at hand aws-lc-rs signs, which is nearly twice as fast as ed25519-dalek. Without it (its API takes no
//! expanded key) the signatures are put together from the parts of curve25519-dalek, several with one inversion among
//! them: to encode a point takes one inversion mod p, a quarter of the whole, and n of them cost one and 3n products
//! (Montgomery's trick). What that leaves on the stack, of hash states above all, is wiped; aws-lc-rs sees to its own.

use aws_lc_rs::signature::Ed25519KeyPair;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;
use ed25519_dalek::Signature;
use sha2::{Digest as _, Sha512};
use zeroize::{Zeroize as _, Zeroizing, zeroize_stack};

use crate::key::Key;

/// Points that share an inversion.
const SHARED: usize = 8;
/// More than signing leaves on the stack, in bytes.
const STACK: usize = 16 << 10;

/// Signs by aws-lc-rs; `None` when it fails, which it never does for a sound key.
pub(crate) fn sign_by_pair(pair: &Ed25519KeyPair, message: &[u8]) -> Option<Signature> {
    Signature::from_slice(pair.try_sign(message).ok()?.as_ref()).ok()
}

/// Signs each message; the slices are equally long.
pub(crate) fn sign_batch(key: &Key, messages: &[&[u8]], signatures: &mut [Signature]) {
    sign_all(key, messages, signatures);
    zeroize_stack::<STACK>();
}

#[inline(never)]
fn sign_all(key: &Key, messages: &[&[u8]], signatures: &mut [Signature]) {
    for (messages, signatures) in messages.chunks(SHARED).zip(signatures.chunks_mut(SHARED)) {
        match (messages, signatures) {
            ([message], [signature]) => *signature = sign(key, message),
            (messages, signatures) => sign_shared(key, messages, signatures),
        }
    }
}

fn sign(key: &Key, message: &[u8]) -> Signature {
    let r = nonce(key, message);
    let point = EdwardsPoint::mul_base(&r).compress();
    finish(key, message, (&r, point))
}

fn sign_shared(key: &Key, messages: &[&[u8]], signatures: &mut [Signature]) {
    let mut nonces = Zeroizing::new([Scalar::ZERO; SHARED]);
    let mut points = [EdwardsPoint::identity(); SHARED];
    for ((message, r), point) in messages.iter().zip(nonces.iter_mut()).zip(&mut points) {
        *r = *nonce(key, message);
        *point = EdwardsPoint::mul_base(r);
    }
    let compressed = EdwardsPoint::compress_batch(&points);
    // The projective coordinates of a nonce's point tell of the nonce.
    points.zeroize();
    for (((message, signature), r), point) in messages.iter().zip(signatures).zip(nonces.iter()).zip(compressed) {
        *signature = finish(key, message, (r, point));
    }
}

/// r = H(prefix ‖ M) mod l
fn nonce(key: &Key, message: &[u8]) -> Zeroizing<Scalar> {
    wide_scalar(Sha512::new().chain_update(key.nonce_prefix).chain_update(message))
}

/// R ‖ r + H(R ‖ A ‖ M) a
fn finish(key: &Key, message: &[u8], (r, point): (&Scalar, CompressedEdwardsY)) -> Signature {
    let hash = Sha512::new().chain_update(point.as_bytes()).chain_update(key.public.as_bytes()).chain_update(message);
    let s = *wide_scalar(hash) * key.scalar + r;
    Signature::from_components(point.to_bytes(), s.to_bytes())
}

fn wide_scalar(hash: Sha512) -> Zeroizing<Scalar> {
    let digest = Zeroizing::new(<[u8; 64]>::from(hash.finalize()));
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&digest))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    #[test]
    fn signatures_with_a_shared_inversion_are_those_of_dalek_and_of_aws_lc() {
        let dalek = SigningKey::from_bytes(&[6; 32]);
        let key = Key::from_seed(dalek.as_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(dalek.as_bytes()).unwrap();
        let bytes = [0x11; 300];
        for n in 0..=2 * SHARED + 1 {
            let messages: Vec<&[u8]> = (0..n).map(|i| &bytes[..13 * i]).collect();
            let mut signatures = vec![Signature::from_bytes(&[0; 64]); n];
            sign_batch(&key, &messages, &mut signatures);
            for (message, signature) in messages.iter().zip(signatures) {
                assert_eq!(signature, dalek.sign(message));
                assert_eq!(sign_by_pair(&pair, message), Some(signature));
            }
        }
    }
}
