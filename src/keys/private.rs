//! Private parts by algorithm: how they are made, what is encrypted of them, and how they sign.
//!
//! Ed25519 keys are a seed of 32 bytes and stay expanded (RFC 8032); all others are PKCS#8 (RFC 5958). Leaves their
//! encryption to `master`, their names to `signing`, and the choice of the fastest code for Ed25519 to `ed25519_lanes`.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaPublicKeyComponents, UnparsedPublicKey,
};
use ed25519_lanes::{Path, Signature as Ed25519Signature, Signer, VerifyingKey};
use zeroize::Zeroizing;

use super::policy::SigningPolicy;
use super::record::KeyError;
use crate::oauth::Algorithm;

/// Smaller keys can be factored, larger ones cost verifiers more than they are worth (RFC 8725 §3.5).
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// 65537: the one exponent that every verifier takes.
const EXPONENT: [u8; 3] = [1, 0, 1];
/// How many Ed25519 signatures are asked for at a time: more gain next to nothing, and want more room.
const AT_ONCE: usize = 16;

/// A signature as it stands in a token, before base64url.
#[derive(Debug)]
pub enum Signature {
    /// Ed25519, or R and S of P-256 side by side (RFC 7518 §3.4).
    Curve([u8; 64]),
    /// As long as the modulus.
    Rsa(Box<[u8]>),
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Curve(bytes) => bytes,
            Self::Rsa(bytes) => bytes,
        }
    }
}

/// What only the holder of a key can do.
pub(super) enum PrivateKey {
    Ed25519(Signer),
    P256(EcdsaKeyPair),
    Rsa {
        pair: RsaKeyPair,
        padding: &'static dyn RsaEncoding,
    },
    /// One that has broken since it was read, what it does when it is asked, and how often it was: for tests of whoever
    /// signs.
    #[cfg(test)]
    Broken(Box<Self>, fn() -> KeyError, std::sync::atomic::AtomicUsize),
}

/// The private part of a new key, as it is encrypted. An Ed25519 key is `seed`; the others are too intricate to be
/// made from a few random bytes, so their library draws its own.
///
/// # Errors
/// When the library's generator fails.
pub fn generate(algorithm: Algorithm, seed: &Zeroizing<[u8; 32]>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError::CannotGenerate;
    match algorithm {
        Algorithm::EdDsa => Ok(Zeroizing::new(seed.to_vec())),
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            Ok(Zeroizing::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()))
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
            Ok(Zeroizing::new(pair.as_der().map_err(failed)?.as_ref().to_vec()))
        }
    }
}

/// Whether a signature is good under the raw public part of its key: for the trial of a key, which is rare. What
/// verifies tokens is in `jwt`, with its keys parsed beforehand.
pub(super) fn verifies(algorithm: Algorithm, public: &[u8], message: &[u8], signature: &Signature) -> bool {
    let rsa = RsaPublicKeyComponents { n: public, e: EXPONENT.as_slice() };
    let signature = signature.as_ref();
    match algorithm {
        Algorithm::EdDsa => {
            let key = <&[u8; 32]>::try_from(public).ok().and_then(|public| VerifyingKey::from_bytes(public).ok());
            let signature = ed25519_dalek::Signature::from_slice(signature).ok();
            key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok())
        }
        Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(message, signature).is_ok(),
        Algorithm::Rs256 => rsa.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
        Algorithm::Ps256 => rsa.verify(&RSA_PSS_2048_8192_SHA256, message, signature).is_ok(),
    }
}

impl PrivateKey {
    /// By which code an Ed25519 key signs.
    pub(super) fn path(&self) -> Option<Path> {
        if let Self::Ed25519(signer) = self { Some(signer.path()) } else { None }
    }

    /// Reads what [`generate`] made, or what came from elsewhere in the same form. The policy is about Ed25519 alone.
    pub(super) fn read(algorithm: Algorithm, secret: &[u8], policy: SigningPolicy) -> Result<Self, KeyError> {
        let unusable = |_| KeyError::Unusable;
        let padding: &'static dyn RsaEncoding = match algorithm {
            Algorithm::EdDsa => {
                let seed = Zeroizing::new(<[u8; 32]>::try_from(secret).map_err(|_| KeyError::Unusable)?);
                return Ok(Self::Ed25519(Signer::from_seed_with(&seed, policy)));
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, secret);
                return Ok(Self::P256(pair.map_err(unusable)?));
            }
            Algorithm::Rs256 => &RSA_PKCS1_SHA256,
            Algorithm::Ps256 => &RSA_PSS_SHA256,
        };
        let pair = RsaKeyPair::from_pkcs8(secret).map_err(unusable)?;
        let sound = RSA_BYTES.contains(&pair.public_modulus_len())
            && pair.public_key().exponent().big_endian_without_leading_zero() == EXPONENT;
        if sound { Ok(Self::Rsa { pair, padding }) } else { Err(KeyError::Unusable) }
    }

    /// The raw public part: 32 bytes of Ed25519, the uncompressed point of P-256, the modulus of RSA.
    pub(super) fn public(&self) -> Box<[u8]> {
        match self {
            Self::Ed25519(signer) => signer.verifying_key().as_bytes().as_slice().into(),
            Self::P256(pair) => pair.public_key().as_ref().into(),
            Self::Rsa { pair, .. } => pair.public_key().modulus().big_endian_without_leading_zero().into(),
            #[cfg(test)]
            Self::Broken(key, ..) => key.public(),
        }
    }

    pub(super) fn signature_bytes(&self) -> usize {
        match self {
            Self::Ed25519(_) | Self::P256(_) => 64,
            Self::Rsa { pair, .. } => pair.public_modulus_len(),
            #[cfg(test)]
            Self::Broken(key, ..) => key.signature_bytes(),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        let failed = |_| KeyError::CannotSign;
        match self {
            Self::Ed25519(signer) => {
                Ok(Signature::Curve(signer.sign(message).map_err(|_| KeyError::CannotSign)?.to_bytes()))
            }
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                let both = <[u8; 64]>::try_from(signature.as_ref()).map_err(|_| KeyError::CannotSign)?;
                Ok(Signature::Curve(both))
            }
            Self::Rsa { pair, padding } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                Ok(Signature::Rsa(signature.into()))
            }
            #[cfg(test)]
            Self::Broken(_, fail, asked) => {
                asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Err(fail())
            }
        }
    }

    /// Signs several messages, where every signature has 64 bytes.
    pub(super) fn sign_batch(&self, messages: &[&[u8]], signatures: &mut [[u8; 64]]) -> Result<(), KeyError> {
        if let Self::Ed25519(signer) = self {
            return sign_together(signer, messages, signatures);
        }
        for (message, room) in messages.iter().zip(signatures) {
            match self.sign(message)? {
                Signature::Curve(signature) => *room = signature,
                Signature::Rsa(_) => return Err(KeyError::CannotSign),
            }
        }
        Ok(())
    }
}

fn sign_together(signer: &Signer, messages: &[&[u8]], signatures: &mut [[u8; 64]]) -> Result<(), KeyError> {
    let mut made = [Ed25519Signature::from_bytes(&[0; 64]); AT_ONCE];
    for (messages, rooms) in messages.chunks(AT_ONCE).zip(signatures.chunks_mut(AT_ONCE)) {
        let made = made.get_mut(..messages.len()).ok_or(KeyError::CannotSign)?;
        signer.sign_batch(messages, made).map_err(|_| KeyError::CannotSign)?;
        rooms.iter_mut().zip(made).for_each(|(room, signature)| *room = signature.to_bytes());
    }
    Ok(())
}
