//! The one type that users hold: a key, and the fastest code that may sign with it.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::engine::{self, Fast};
use crate::key::{Key, KeyMismatch};
use crate::policy::{Acceleration, Path, VerifyAfterSign, Why};
use crate::scalar::Secret;
use crate::{check, portable};

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignError {
    /// There are more or fewer places for signatures than messages.
    Lengths,
    /// The signatures that were made, twice and in two ways, do not verify.
    Fault,
}

impl std::fmt::Display for SignError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lengths => "there are not as many signatures as messages",
            Self::Fault => "a signature that was made does not verify",
        })
    }
}

impl std::error::Error for SignError {}

/// Signs with one key, one message or many at once.
///
/// Signing takes `&self`, no lock and no allocation (but for what [`VerifyAfterSign`] costs), so a signer is shared
/// between threads as it is. To make one takes a tenth of a millisecond, the first one of a process one millisecond.
pub struct Signer {
    key: Key,
    /// For the portable path; only a seed can be turned into one.
    pair: Option<Ed25519KeyPair>,
    fast: Result<(&'static dyn Fast, Secret), Why>,
    has_fault: AtomicBool,
    verify: VerifyAfterSign,
}

impl Signer {
    /// A signer of an expanded key.
    ///
    /// # Errors
    /// When `public` is not the public key of `secret`.
    pub fn new(secret: &ExpandedSecretKey, public: &VerifyingKey) -> Result<Self, KeyMismatch> {
        Ok(Self::of(Key::new(secret, public)?, None))
    }

    /// A signer of the key of this seed (RFC 8032's private key). The same as [`Signer::new`], but faster where the
    /// portable path is taken.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::of(Key::from_seed(seed), Ed25519KeyPair::from_seed_unchecked(seed).ok())
    }

    fn of(key: Key, pair: Option<Ed25519KeyPair>) -> Self {
        let fast = engine::find().map(|engine| (engine, Secret::new(&key.scalar)));
        let (has_fault, verify) = (AtomicBool::new(false), VerifyAfterSign::Off);
        let signer = Self { key, pair, fast, has_fault, verify };
        signer.tested()
    }

    /// The engine was tested with a key of its own; this key may be misread nevertheless.
    fn tested(mut self) -> Self {
        let messages: [&[u8]; 2] = [b"", b"ed25519-lanes"];
        let mut made = [none(); 2];
        let mut known = made;
        portable::sign_batch(&self.key, &messages, &mut known);
        if let Ok((engine, secret)) = &self.fast {
            engine.sign((&self.key, secret), &messages, &mut made);
            if made != known {
                self.fast = Err(Why::SelfTestFailed);
            }
        }
        self
    }

    /// The same signer with vector instructions or without; [`Acceleration::Detect`] by default.
    #[must_use]
    pub fn acceleration(self, acceleration: Acceleration) -> Self {
        match acceleration {
            Acceleration::Detect => Self { verify: self.verify, ..Self::of(self.key, self.pair) },
            Acceleration::Off => Self { fast: Err(Why::SwitchedOff), ..self },
        }
    }

    /// The same signer with signatures verified before they leave; [`VerifyAfterSign::Off`] by default.
    #[must_use]
    pub fn verify_after_sign(self, verify: VerifyAfterSign) -> Self {
        Self { verify, ..self }
    }

    /// The public key.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.key.public
    }

    /// By which code this signer signs from now on. It changes when a fault is found, so look again now and then.
    #[must_use]
    pub fn path(&self) -> Path {
        match self.fast {
            Ok(_) if self.has_fault.load(Ordering::Relaxed) => Path::Portable(Why::FaultFound),
            Ok(_) => Path::Lanes,
            Err(why) => Path::Portable(why),
        }
    }

    /// Signs one message.
    ///
    /// # Errors
    /// As [`Signer::sign_batch`].
    pub fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let mut signature = none();
        self.sign_batch(&[message], std::slice::from_mut(&mut signature))?;
        Ok(signature)
    }

    /// Signs each message, and puts its signature at the same place of `signatures`. Any number of messages will do;
    /// multiples of 4 make the most of it.
    ///
    /// # Errors
    /// When the slices differ in length; with [`Signer::verify_after_sign`], when no sound signatures can be made. No
    /// signature of the call is left in `signatures` then.
    pub fn sign_batch(&self, messages: &[&[u8]], signatures: &mut [Signature]) -> Result<(), SignError> {
        if messages.len() != signatures.len() {
            return Err(SignError::Lengths);
        }
        if let (Ok((engine, secret)), Path::Lanes) = (&self.fast, self.path()) {
            engine.sign((&self.key, secret), messages, signatures);
            if !check::is_wanted(self.verify, signatures) || self.are_sound(messages, signatures) {
                return Ok(());
            }
            self.has_fault.store(true, Ordering::Relaxed);
        }
        let made = self.sign_portably(messages, signatures);
        let wanted = self.has_fault.load(Ordering::Relaxed) || check::is_wanted(self.verify, signatures);
        if made && (!wanted || self.are_sound(messages, signatures)) {
            return Ok(());
        }
        signatures.fill(none());
        Err(SignError::Fault)
    }

    fn are_sound(&self, messages: &[&[u8]], signatures: &[Signature]) -> bool {
        check::are_sound(&self.key.public, messages, signatures)
    }

    /// False when the library fails.
    fn sign_portably(&self, messages: &[&[u8]], signatures: &mut [Signature]) -> bool {
        let Some(pair) = &self.pair else {
            portable::sign_batch(&self.key, messages, signatures);
            return true;
        };
        messages
            .iter()
            .zip(signatures)
            .all(|(message, signature)| portable::sign_by_pair(pair, message).map(|made| *signature = made).is_some())
    }
}

/// What stands where no signature is.
fn none() -> Signature {
    Signature::from_bytes(&[0; 64])
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("public", &self.key.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::emulated::Emulated;
    use crate::engine::Engine;
    use crate::engine::tests::damaged;

    const SEED: [u8; 32] = [4; 32];

    fn messages() -> Vec<[u8; 8]> {
        (0..200_u64).map(u64::to_le_bytes).collect()
    }

    /// Signs everything, and says whether dalek's signatures came out.
    fn is_right(signer: &Signer) -> Result<bool, SignError> {
        let messages = messages();
        let slices: Vec<&[u8]> = messages.iter().map(<[u8; 8]>::as_slice).collect();
        let mut signatures = vec![none(); slices.len()];
        let made = signer.sign_batch(&slices, &mut signatures);
        let dalek = SigningKey::from_bytes(&SEED);
        let right = slices.iter().zip(&signatures).all(|(message, signature)| dalek.sign(message) == *signature);
        assert!(made.is_ok() || signatures == vec![none(); slices.len()], "a refused signature was left");
        made.map(|()| right)
    }

    /// The signer on another engine, with a key for it.
    fn on(engine: impl Fast + 'static, seed: [u8; 32]) -> Signer {
        let secret = Secret::new(&Key::from_seed(&seed).scalar);
        Signer { fast: Ok((Box::leak(Box::new(engine)), secret)), ..Signer::from_seed(&SEED) }
    }

    #[test]
    fn a_fault_leads_to_wrong_signatures_unless_they_are_verified() {
        let signer = on(damaged(), SEED);
        assert_eq!(is_right(&signer), Ok(false), "or the test below shows nothing");
        assert_eq!(signer.path(), Path::Lanes);
    }

    #[test]
    fn a_fault_that_is_found_turns_the_fast_path_off_and_the_signatures_are_made_anew() {
        let signer = on(damaged(), SEED).verify_after_sign(VerifyAfterSign::All);
        assert_eq!(is_right(&signer), Ok(true));
        assert_eq!(signer.path(), Path::Portable(Why::FaultFound));
        assert_eq!(is_right(&signer), Ok(true));
    }

    #[test]
    fn a_signer_that_misreads_its_key_fails_the_test_of_the_key() {
        assert_eq!(on(Engine::<Emulated>::new(()), SEED).tested().path(), Path::Lanes);
        let signer = on(Engine::<Emulated>::new(()), [5; 32]).tested();
        assert_eq!(signer.path(), Path::Portable(Why::SelfTestFailed));
        assert_eq!(is_right(&signer), Ok(true));
    }

    #[test]
    fn signatures_that_neither_path_makes_right_are_refused() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).ok();
        let signer = Signer { pair, fast: Err(Why::SwitchedOff), ..Signer::from_seed(&SEED) };
        assert_eq!(is_right(&signer), Ok(false));
        assert_eq!(is_right(&signer.verify_after_sign(VerifyAfterSign::All)), Err(SignError::Fault));
    }

    #[test]
    fn acceleration_is_what_was_said_last() {
        let signer = Signer::from_seed(&SEED);
        let detected = signer.path();
        let off = signer.acceleration(Acceleration::Off);
        assert_eq!(off.path(), Path::Portable(Why::SwitchedOff));
        assert_eq!(off.acceleration(Acceleration::Detect).path(), detected);
    }
}
