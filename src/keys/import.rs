//! Private keys that were made elsewhere: PKCS#8 in PEM (RFC 5958, RFC 7468 §10), or a private JWK (RFC 7517).
//!
//! What is read here becomes the form in which `private` keeps its keys. Invariant: a key whose public part is not its
//! own is refused, and no text of it is in an error.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::policy::SigningPolicy;
use super::private::PrivateKey;
use super::record::KeyError;
use crate::oauth::Algorithm;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A private key for this algorithm, from the text of a file.
///
/// # Errors
/// [`KeyError::Unusable`] for anything else.
pub fn read(algorithm: Algorithm, text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = text.trim();
    let Some(body) = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END)) else {
        let jwk: PrivateJwk = serde_json::from_str(text).map_err(|_| KeyError::Unusable)?;
        return jwk.read(algorithm);
    };
    let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
    let der = STANDARD.decode(body.as_bytes()).map_err(|_| KeyError::Unusable)?;
    read_pkcs8(algorithm, Zeroizing::new(der))
}

fn read_pkcs8(algorithm: Algorithm, der: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if algorithm == Algorithm::EdDsa {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError::Unusable)?;
        let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| KeyError::Unusable)?;
        return Ok(Zeroizing::new(seed.as_ref().to_vec()));
    }
    Ok(der)
}

/// The members of all kinds of private keys.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct PrivateJwk {
    kty: String,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
}

impl PrivateJwk {
    fn read(&self, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let fits = self.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str());
        match (algorithm, self.kty.as_str(), self.crv.as_deref()) {
            (Algorithm::EdDsa, "OKP", Some("Ed25519")) if fits => self.ed25519(),
            (Algorithm::Es256, "EC", Some("P-256")) if fits => self.p256(),
            (Algorithm::Rs256 | Algorithm::Ps256, "RSA", None) if fits => self.rsa(),
            _ => Err(KeyError::Unusable),
        }
    }

    fn ed25519(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let seed = member(self.d.as_ref())?;
        let public = PrivateKey::read(Algorithm::EdDsa, &seed, SigningPolicy::default())?.public();
        if *public == **member(self.x.as_ref())? { Ok(seed) } else { Err(KeyError::Mismatch) }
    }

    fn p256(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let point = [&[4][..], &member(self.x.as_ref())?, &member(self.y.as_ref())?].concat();
        let private = member(self.d.as_ref())?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &point);
        let document = pair.map_err(|_| KeyError::Unusable)?.to_pkcs8v1().map_err(|_| KeyError::Unusable)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    fn rsa(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (n, e) = (member(self.n.as_ref())?, member(self.e.as_ref())?);
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: n.as_slice(), e: e.as_slice() },
            d: member(self.d.as_ref())?,
            p: member(self.p.as_ref())?,
            q: member(self.q.as_ref())?,
            dP: member(self.dp.as_ref())?,
            dQ: member(self.dq.as_ref())?,
            qInv: member(self.qi.as_ref())?,
        };
        let pair = RsaKeyPair::from_components(&components).map_err(|_| KeyError::Unusable)?;
        Ok(Zeroizing::new(pair.as_der().map_err(|_| KeyError::Unusable)?.as_ref().to_vec()))
    }
}

fn member(text: Option<&String>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes.map(Zeroizing::new).ok_or(KeyError::Unusable)
}
