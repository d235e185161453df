//! The one type that users hold: a key, and the fastest code that may sign with it.

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{Signature, VerifyingKey};
use zeroize::zeroize_stack;

use crate::engine::{self, Shared};
use crate::key::{Key, KeyMismatch};
use crate::policy::{Acceleration, Path, Policy, VerifyAfterSign, Why};
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

/// More than reading a key leaves on the stack, in bytes.
const READING_STACK: usize = 16 << 10;

/// Signs with one key, one message or many at once.
///
/// Signing takes `&self`, no lock and no allocation (but for what [`VerifyAfterSign`] costs), so a signer is shared
/// between threads as it is. It may be moved: secrets are where it points to. To make one takes a tenth of a
/// millisecond, the first one of a process one millisecond.
pub struct Signer {
    key: Box<Key>,
    /// For the portable path; only a seed can be turned into one.
    pair: Option<Ed25519KeyPair>,
    fast: Result<&'static Shared, Why>,
    verify: VerifyAfterSign,
}

impl Signer {
    /// A signer of an expanded key, by the usual policy.
    ///
    /// # Errors
    /// When `public` is not the public key of `secret`.
    pub fn new(secret: &ExpandedSecretKey, public: &VerifyingKey) -> Result<Self, KeyMismatch> {
        Self::new_with(secret, public, Policy::default())
    }

    /// The same, by another policy.
    ///
    /// # Errors
    /// As [`Signer::new`].
    pub fn new_with(secret: &ExpandedSecretKey, public: &VerifyingKey, policy: Policy) -> Result<Self, KeyMismatch> {
        let key = Key::new(secret, public).map(|key| Self::of(key, None, policy));
        zeroize_stack::<READING_STACK>();
        key
    }

    /// A signer of the key of this seed (RFC 8032's private key), by the usual policy. The same as [`Signer::new`], but
    /// faster where the portable path is taken.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from_seed_with(seed, Policy::default())
    }

    /// The same, by another policy.
    #[must_use]
    pub fn from_seed_with(seed: &[u8; 32], policy: Policy) -> Self {
        let signer = Self::of(Key::from_seed(seed), Ed25519KeyPair::from_seed_unchecked(seed).ok(), policy);
        zeroize_stack::<READING_STACK>();
        signer
    }

    #[inline(never)]
    fn of(key: Box<Key>, pair: Option<Ed25519KeyPair>, policy: Policy) -> Self {
        let fast = match policy.acceleration {
            Acceleration::Detect => engine::find(),
            Acceleration::Off => Err(Why::SwitchedOff),
        };
        Self { key, pair, fast, verify: policy.verify }.tested()
    }

    /// The engine was tested with a key of its own; this key may be misread nevertheless.
    fn tested(self) -> Self {
        let messages: [&[u8]; 2] = [b"", b"ed25519-lanes"];
        let mut made = [none(); 2];
        let mut known = made;
        if let Ok(shared) = self.fast
            && let Some(engine) = shared.engine()
        {
            engine.sign(&self.key, &messages, &mut made);
            portable::sign_batch(&self.key, &messages, &mut known);
            if made != known {
                shared.distrust(Why::SelfTestFailed);
            }
        }
        self
    }

    /// The public key.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.key.public
    }

    /// By which code this signer signs from now on. It changes when a fault is found by a signer of any key, and then
    /// for all of the process that use the same code; so look again now and then.
    #[must_use]
    pub fn path(&self) -> Path {
        match self.fast {
            Ok(shared) => shared.fault().map_or(Path::Lanes, Path::Portable),
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
    /// When the slices differ in length; with [`VerifyAfterSign`], when no sound signatures can be made. No
    /// signature of the call is left in `signatures` then.
    pub fn sign_batch(&self, messages: &[&[u8]], signatures: &mut [Signature]) -> Result<(), SignError> {
        if messages.len() != signatures.len() {
            return Err(SignError::Lengths);
        }
        if let Ok(shared) = self.fast
            && let Some(engine) = shared.engine()
        {
            engine.sign(&self.key, messages, signatures);
            if !check::is_wanted(self.verify, signatures) || self.are_sound(messages, signatures) {
                return Ok(());
            }
            shared.distrust(Why::FaultFound);
        }
        let made = self.sign_portably(messages, signatures);
        // Whatever made that fault may make another.
        let is_suspect = self.path() == Path::Portable(Why::FaultFound);
        let wanted = is_suspect || check::is_wanted(self.verify, signatures);
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
    use crate::engine::tests::damaged;
    use crate::engine::{Engine, Fast};
    use crate::scalar::Secret;

    const SEED: [u8; 32] = [4; 32];
    const OTHER: [u8; 32] = [5; 32];

    fn messages() -> Vec<[u8; 8]> {
        (0..200_u64).map(u64::to_le_bytes).collect()
    }

    /// Signs everything, and says whether dalek's signatures for this seed came out.
    fn is_right(signer: &Signer, seed: &[u8; 32]) -> Result<bool, SignError> {
        let messages = messages();
        let slices: Vec<&[u8]> = messages.iter().map(<[u8; 8]>::as_slice).collect();
        let mut signatures = vec![none(); slices.len()];
        let made = signer.sign_batch(&slices, &mut signatures);
        let dalek = SigningKey::from_bytes(seed);
        let right = slices.iter().zip(&signatures).all(|(message, signature)| dalek.sign(message) == *signature);
        assert!(made.is_ok() || signatures == vec![none(); slices.len()], "a refused signature was left");
        made.map(|()| right)
    }

    /// An engine as a process has one; what is found of it is not found of any other test's.
    fn shared(engine: impl Fast + 'static) -> &'static Shared {
        Box::leak(Box::new(Shared::new(engine)))
    }

    /// A signer on that engine, as it is before its key is tested.
    fn on(engine: &'static Shared, seed: &[u8; 32], verify: VerifyAfterSign) -> Signer {
        Signer { fast: Ok(engine), ..Signer::from_seed_with(seed, Policy { verify, acceleration: Acceleration::Off }) }
    }

    #[test]
    fn a_fault_leads_to_wrong_signatures_unless_they_are_verified() {
        let signer = on(shared(damaged()), &SEED, VerifyAfterSign::Off);
        assert_eq!(is_right(&signer, &SEED), Ok(false), "or the tests below show nothing");
        assert_eq!(signer.path(), Path::Lanes);
    }

    #[test]
    fn a_fault_that_is_found_turns_the_fast_path_off_and_the_signatures_are_made_anew() {
        let signer = on(shared(damaged()), &SEED, VerifyAfterSign::All);
        assert_eq!(is_right(&signer, &SEED), Ok(true));
        assert_eq!(signer.path(), Path::Portable(Why::FaultFound));
        assert_eq!(is_right(&signer, &SEED), Ok(true));
    }

    #[test]
    fn a_fault_that_one_key_finds_turns_the_fast_path_off_for_every_key_now_and_later() {
        let engine = shared(damaged());
        let [one, other] = [(&SEED, VerifyAfterSign::All), (&OTHER, VerifyAfterSign::Off)]
            .map(|(seed, verify)| on(engine, seed, verify));
        assert_eq!(is_right(&other, &OTHER), Ok(false), "it does not look");
        assert_eq!(is_right(&one, &SEED), Ok(true));
        let later = on(engine, &OTHER, VerifyAfterSign::Off).tested();
        for signer in [&other, &later] {
            assert_eq!(signer.path(), Path::Portable(Why::FaultFound));
            assert_eq!(is_right(signer, &OTHER), Ok(true));
        }
    }

    /// Otherwise a new key after a fault would say that all is well again.
    #[test]
    fn the_test_of_a_key_may_pass_by_a_fault() {
        let engine = shared(damaged());
        let passes = |seed: u8| on(engine, &[seed; 32], VerifyAfterSign::Off).tested().path() == Path::Lanes;
        assert!((0..20).any(passes));
    }

    #[test]
    fn a_signer_that_misreads_its_key_fails_the_test_of_the_key() {
        let engine = shared(Engine::<Emulated>::new(()));
        let mut signer = on(engine, &SEED, VerifyAfterSign::Off).tested();
        assert_eq!(signer.path(), Path::Lanes);
        signer.key.secret = Secret::new(&Key::from_seed(&OTHER).scalar);
        assert_eq!(is_right(&signer, &SEED), Ok(false));
        let signer = signer.tested();
        assert_eq!(signer.path(), Path::Portable(Why::SelfTestFailed));
        assert_eq!(is_right(&signer, &SEED), Ok(true));
        assert_eq!(on(engine, &OTHER, VerifyAfterSign::Off).path(), signer.path(), "who misreads one, misreads others");
    }

    #[test]
    fn signatures_that_neither_path_makes_right_are_refused() {
        let misread = |verify| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&OTHER).ok();
            let policy = Policy { verify, acceleration: Acceleration::Off };
            Signer { pair, ..Signer::from_seed_with(&SEED, policy) }
        };
        assert_eq!(is_right(&misread(VerifyAfterSign::Off), &SEED), Ok(false));
        assert_eq!(is_right(&misread(VerifyAfterSign::All), &SEED), Err(SignError::Fault));
    }

    #[test]
    fn once_a_fault_was_found_everything_is_verified_whatever_the_policy() {
        let engine = shared(Engine::<Emulated>::new(()));
        let pair = Ed25519KeyPair::from_seed_unchecked(&OTHER).ok();
        let signer = Signer { pair, ..on(engine, &SEED, VerifyAfterSign::Off) };
        assert_eq!(is_right(&signer, &SEED), Ok(true), "in lanes");
        engine.distrust(Why::FaultFound);
        assert_eq!(is_right(&signer, &SEED), Err(SignError::Fault));
    }

    #[test]
    fn acceleration_is_as_the_policy_says() {
        let path =
            |acceleration| Signer::from_seed_with(&SEED, Policy { acceleration, verify: VerifyAfterSign::Off }).path();
        assert_eq!(path(Acceleration::Off), Path::Portable(Why::SwitchedOff));
        assert_eq!(path(Acceleration::Detect), Signer::from_seed(&SEED).path());
        assert_ne!(path(Acceleration::Detect), path(Acceleration::Off));
    }
}
