//! One key ready to sign: expanded once, its token header and its JWK already encoded.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::jwk::Jwk;
use super::master::MasterKey;
use super::policy::{Path, SigningPolicy};
use super::private::{self, PrivateKey, Signature};
use super::record::{KeyError, KeyRecord, Kid};
use crate::clock::UnixTime;
use crate::oauth::Algorithm;

/// What is signed when a key is opened. No token: one has two dots, and base64url around them.
const PROBE: &[u8] = b"jeton: is this key sound?";

/// A key that signs tokens, by one algorithm.
pub struct SigningKey {
    kid: Kid,
    algorithm: Algorithm,
    private: PrivateKey,
    encoded_header: Box<[u8]>,
    jwk: Box<str>,
}

impl SigningKey {
    /// The key of this private part: a seed of 32 bytes for `EdDSA`, PKCS#8 for the others.
    ///
    /// # Errors
    /// When it is no sound key of this algorithm.
    pub fn read(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        Self::read_with(algorithm, secret, SigningPolicy::default())
    }

    fn read_with(algorithm: Algorithm, secret: &[u8], policy: SigningPolicy) -> Result<Self, KeyError> {
        let private = PrivateKey::read(algorithm, secret, policy)?;
        let jwk = Jwk::new(algorithm, &private.public())?;
        let header = format!(r#"{{"alg":"{algorithm}","typ":"at+jwt","kid":"{}"}}"#, jwk.kid);
        Ok(Self {
            encoded_header: URL_SAFE_NO_PAD.encode(header).into_bytes().into(),
            jwk: jwk.encode(algorithm),
            kid: jwk.kid,
            algorithm,
            private,
        })
    }

    /// Decrypts a stored key and checks that its parts belong together, so that no signature is ever made under a
    /// public key other than its own (the double-key oracle of Ed25519), and that what it signs can be verified.
    ///
    /// # Errors
    /// When the master key is wrong, the record damaged or the signature faulty.
    pub fn open(record: &KeyRecord, master: &MasterKey) -> Result<Self, KeyError> {
        Self::open_with(record, master, SigningPolicy::default())
    }

    /// The same, for a key that signs as the policy says.
    ///
    /// # Errors
    /// As [`SigningKey::open`].
    pub fn open_with(record: &KeyRecord, master: &MasterKey, policy: SigningPolicy) -> Result<Self, KeyError> {
        let algorithm = record.algorithm()?;
        let secret = master.open(record.kid.as_str(), &record.sealed)?;
        let key = Self::read_with(algorithm, &secret, policy)?;
        if key.kid != record.kid || *key.public() != *record.public {
            return Err(KeyError::Mismatch);
        }
        key.prove(record)?;
        Ok(key)
    }

    /// Signs a probe and verifies it by the stored public part alone: a key that cannot do that signs no token.
    fn prove(&self, record: &KeyRecord) -> Result<(), KeyError> {
        let public = URL_SAFE_NO_PAD.decode(record.public.as_bytes()).map_err(|_| KeyError::Mismatch)?;
        let signature = self.sign(PROBE)?;
        if private::verifies(self.algorithm, &public, PROBE, &signature) { Ok(()) } else { Err(KeyError::Faulty) }
    }

    /// The record of a new Ed25519 key.
    ///
    /// # Errors
    /// As [`SigningKey::seal_as`].
    pub fn seal(
        seed: &[u8; 32],
        master: &MasterKey,
        nonce: [u8; 12],
        instants: (UnixTime, UnixTime),
    ) -> Result<KeyRecord, KeyError> {
        Self::seal_as(Algorithm::EdDsa, seed, (master, nonce), instants)
    }

    /// The record of a new key, published and active from the given instants on.
    ///
    /// # Errors
    /// When the private part is unsound or cannot be encrypted.
    pub fn seal_as(
        algorithm: Algorithm,
        secret: &[u8],
        (master, nonce): (&MasterKey, [u8; 12]),
        (published_at, activated_at): (UnixTime, UnixTime),
    ) -> Result<KeyRecord, KeyError> {
        let key = Self::read(algorithm, secret)?;
        Ok(KeyRecord {
            sealed: master.seal(key.kid.as_str(), secret, nonce)?,
            public: key.public(),
            kid: key.kid,
            alg: algorithm.as_str().into(),
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

    /// The one algorithm that it signs by.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// By which code it signs now, of an Ed25519 key.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        self.private.path()
    }

    /// `{"alg":…,"typ":"at+jwt","kid":…}` in base64url.
    #[must_use]
    pub const fn encoded_header(&self) -> &[u8] {
        &self.encoded_header
    }

    /// The public key as it stands in the JWKS.
    #[must_use]
    pub const fn jwk(&self) -> &str {
        &self.jwk
    }

    /// The length of every signature.
    #[must_use]
    pub fn signature_bytes(&self) -> usize {
        self.private.signature_bytes()
    }

    /// Signs one message.
    ///
    /// # Errors
    /// When the library fails, which an Ed25519 key never does.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        self.private.sign(message)
    }

    /// Signs several messages at once, each into the room of the same position. For keys whose signatures have 64 bytes.
    ///
    /// # Errors
    /// When any of them cannot be signed; then none of the signatures is to be used.
    pub fn sign_batch(&self, messages: &[&[u8]], signatures: &mut [[u8; 64]]) -> Result<(), KeyError> {
        self.private.sign_batch(messages, signatures)
    }

    /// The same key, which signs nothing any more.
    #[cfg(test)]
    pub(crate) fn broken(self) -> Self {
        self.failing(|| KeyError::CannotSign)
    }

    /// The same key, which does this instead of signing.
    #[cfg(test)]
    pub(crate) fn failing(self, fail: fn() -> KeyError) -> Self {
        Self { private: PrivateKey::Broken(Box::new(self.private), fail, 0.into()), ..self }
    }

    /// How often a broken key was asked to sign.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> usize {
        match &self.private {
            PrivateKey::Broken(.., asked) => asked.load(std::sync::atomic::Ordering::Relaxed),
            _ => 0,
        }
    }

    fn public(&self) -> Box<str> {
        URL_SAFE_NO_PAD.encode(self.private.public()).into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
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
        let key = SigningKey::read(Algorithm::EdDsa, &rfc_8037_seed()).unwrap();
        assert_eq!(&*key.public(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn signs_the_example_of_rfc_8037_a_4_byte_for_byte() {
        let key = SigningKey::read(Algorithm::EdDsa, &rfc_8037_seed()).unwrap();
        let signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
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

    #[test]
    fn k12_a_key_whose_seed_is_that_of_another_is_refused_and_so_is_one_that_signs_wrongly() {
        let master = MasterKey::from_random([1; 32]);
        let record = SigningKey::seal(&[2; 32], &master, [0; 12], (AT, AT)).unwrap();
        // The seed of another key, sealed by whoever holds the master key under this one's name.
        let mismatched = KeyRecord { sealed: master.seal(record.kid.as_str(), &[3; 32], [1; 12]).unwrap(), ..record };
        assert_eq!(SigningKey::open(&mismatched, &master).unwrap_err(), KeyError::Mismatch);
        let seed = zeroize::Zeroizing::new([7; 32]);
        for algorithm in Algorithm::ALL {
            let [one, other] = [(); 2].map(|()| private::generate(algorithm, &seed).unwrap());
            let other = if algorithm == Algorithm::EdDsa { zeroize::Zeroizing::new(vec![8; 32]) } else { other };
            let record = SigningKey::seal_as(algorithm, &one, (&master, [0; 12]), (AT, AT)).unwrap();
            let [sound, faulty] = [one, other].map(|secret| SigningKey::read(algorithm, &secret).unwrap());
            assert_eq!(sound.prove(&record), Ok(()));
            assert_eq!(faulty.prove(&record), Err(KeyError::Faulty), "{algorithm}: by its own key only");
            let public = URL_SAFE_NO_PAD.decode(record.public.as_bytes()).unwrap();
            let signature = sound.sign(PROBE).unwrap();
            assert!(private::verifies(algorithm, &public, PROBE, &signature));
            assert!(!private::verifies(algorithm, &public, b"another message", &signature), "{algorithm}");
        }
    }

    #[test]
    fn a_record_from_before_there_were_other_algorithms_still_opens() {
        let record = r#"{"kid":"O5vuVpJ1_Vatz8XVcndq3ugAntOg9tnrgAVjcpioUfo","alg":"EdDSA",
            "public":"HNWezE8o_mUx8j9JI0fWrSJOMDdJJj3qVymY44UV1X0","published_at":1795453061,"activated_at":1795453061,
            "sealed":"0bJb_-kj2lAAMK2svWQ58k9KVDVMVTK7J4hkYOEd3i6pkwmzzA4JrHiJEo_rA649erOWS6SzixGL9crj"}"#;
        let record: KeyRecord = serde_json::from_str(record).unwrap();
        let master = MasterKey::parse("bN4q5aeN6uQNBehsQ3EGeak4c4FNXfiWnUOH3AOnMrU").unwrap();
        let key = SigningKey::open(&record, &master).unwrap();
        assert_eq!((key.kid(), key.algorithm()), (&record.kid, Algorithm::EdDsa));
    }

    #[test]
    fn k09_a_key_of_one_algorithm_opens_as_no_other() {
        let master = MasterKey::from_random([1; 32]);
        let seed = zeroize::Zeroizing::new([7; 32]);
        for algorithm in Algorithm::ALL {
            let secret = crate::keys::private::generate(algorithm, &seed).unwrap();
            let record = SigningKey::seal_as(algorithm, &secret, (&master, [0; 12]), (AT, AT)).unwrap();
            let key = SigningKey::open(&record, &master).unwrap();
            assert_eq!(key.sign(b"x").unwrap().as_ref().len(), key.signature_bytes());
            for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                let renamed = KeyRecord { alg: other.as_str().into(), ..record.clone() };
                // RSA keys have one form and one thumbprint: which ring they are in is the record's to say.
                assert_eq!(SigningKey::open(&renamed, &master).is_ok(), algorithm.is_slow() && other.is_slow());
            }
            let unknown = KeyRecord { alg: "ES512".into(), ..record };
            assert_eq!(SigningKey::open(&unknown, &master).unwrap_err(), KeyError::UnknownAlgorithm);
        }
    }
}
