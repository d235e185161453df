//! The keys of clients: read once from the JWKS that somebody registers, then only verified with (RFC 7517, RFC 8725
//! §3.5).
//!
//! Invariant: what is registered can be used. A private or symmetric member is refused before the rest is looked at, and
//! what is refused is said by a constant, never by the text.

use std::fmt;
use std::sync::LazyLock;

use super::public_key::PublicKey;
use super::verify::VerifyError;
use crate::clock::UnixTime;
use crate::keys::thumbprint;
use crate::oauth::assertion::MAX_KID_BYTES;
use crate::oauth::client_key::{ClientKey, MAX_KEYS, PublicJwk};
use crate::oauth::json::{Malformed, Object};
use crate::oauth::{Algorithm, Assertion};

/// The longest JWKS that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;
/// Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a JWKS is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwksError {
    /// No JWKS at all, or one that is read in two ways.
    Malformed,
    /// Neither one key nor a few.
    Count,
    /// A private or symmetric key.
    Private,
    /// A member that is needed is missing, or is no text.
    Member,
    /// Not for signatures.
    Usage,
    /// Of a kind, a curve or an algorithm that is none of ours, or that do not fit together.
    Kind,
    /// An RSA key that does not say by which of two algorithms it signs.
    RsaWithoutAlg,
    /// A key that is no point, or of small order, or an RSA key that is too small, too large or odd.
    Unusable,
    /// Two keys of one name and algorithm.
    Repeated,
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a JWKS: {\"keys\":[...]}, or one JWK, without repeated members",
            Self::Count => "a client has 1 to 8 keys",
            Self::Private => "it holds a private or secret key: register the public part alone, and replace this key",
            Self::Member => "a key lacks a member, or has one that is no text",
            Self::Usage => "a key is not for signatures: use must be sig, key_ops verify",
            Self::Kind => {
                "a key is of another kind: EdDSA with Ed25519, ES256 with P-256, or RS256 or PS256 with RSA; alg must fit"
            }
            Self::RsaWithoutAlg => "an RSA key must say alg RS256 or PS256",
            Self::Unusable => "a key is weak or broken: RSA has 2048 to 8192 bits and an odd exponent above 1",
            Self::Repeated => "two keys have the same kid and alg",
        })
    }
}

impl std::error::Error for JwksError {}

impl From<Malformed> for JwksError {
    fn from(_: Malformed) -> Self {
        Self::Member
    }
}

/// The keys of a JWKS, or of a single JWK.
///
/// # Errors
/// The first thing that is wrong with any of them: none is passed over, since whoever registers a key means to use it.
pub fn read(text: &[u8], now: UnixTime) -> Result<Vec<ClientKey>, JwksError> {
    if text.len() > MAX_JWKS_BYTES {
        return Err(JwksError::Malformed);
    }
    let document = Object::parse(text).map_err(|_| JwksError::Malformed)?;
    let jwks = match document.objects("keys") {
        Ok(jwks) => jwks,
        Err(_) if document.has("kty") => vec![&document],
        Err(_) => return Err(JwksError::Malformed),
    };
    if jwks.iter().chain([&&document]).any(|jwk| PRIVATE.iter().any(|name| jwk.has(name))) {
        return Err(JwksError::Private);
    }
    if !(1..=MAX_KEYS).contains(&jwks.len()) {
        return Err(JwksError::Count);
    }
    let keys = jwks.into_iter().map(|jwk| read_key(jwk, now)).collect::<Result<Vec<_>, _>>()?;
    check_names(&keys)?;
    Ok(keys)
}

/// Whether each key can be told from the others by its name and algorithm.
///
/// # Errors
/// [`JwksError::Repeated`], or [`JwksError::Count`] when there are too many.
pub fn check_names(keys: &[ClientKey]) -> Result<(), JwksError> {
    if keys.len() > MAX_KEYS {
        return Err(JwksError::Count);
    }
    let mut names: Vec<_> = keys.iter().map(|key| (&key.kid, key.alg)).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) { Err(JwksError::Repeated) } else { Ok(()) }
}

fn read_key(jwk: &Object, now: UnixTime) -> Result<ClientKey, JwksError> {
    let signs = jwk.text("use")?.is_none_or(|usage| usage == "sig")
        && (!jwk.has("key_ops") || jwk.texts("key_ops")?.contains(&"verify"));
    if !signs {
        return Err(JwksError::Usage);
    }
    let alg = read_algorithm(jwk)?;
    let member = |name| -> Result<Option<Box<str>>, Malformed> { Ok(jwk.text(name)?.map(Into::into)) };
    let kty = member("kty")?.ok_or(JwksError::Member)?;
    // Only those of its kind: what else stands there is not kept.
    let curve = matches!(alg, Algorithm::EdDsa | Algorithm::Es256);
    let of = |is_one: bool, name| if is_one { member(name) } else { Ok(None) };
    let public = PublicJwk {
        kty,
        crv: of(curve, "crv")?,
        x: of(curve, "x")?,
        y: of(alg == Algorithm::Es256, "y")?,
        n: of(!curve, "n")?,
        e: of(!curve, "e")?,
    };
    let kid = match jwk.text("kid")? {
        Some(kid) => Some(kid).filter(|kid| is_name(kid)).map(Into::into).ok_or(JwksError::Member)?,
        None => thumbprint(&required(&public)?),
    };
    let key = ClientKey { kid, alg, jwk: public, created_at: now, expires_at: None };
    PublicKey::of_client(&key).map_err(|_| JwksError::Unusable)?;
    Ok(key)
}

/// A name that can be shown, and given to a command.
fn is_name(kid: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&kid.len()) && !kid.chars().any(char::is_control)
}

fn read_algorithm(jwk: &Object) -> Result<Algorithm, JwksError> {
    let fitting: &[Algorithm] = match (jwk.text("kty")?, jwk.text("crv")?) {
        (Some("OKP"), Some("Ed25519")) => &[Algorithm::EdDsa],
        (Some("EC"), Some("P-256")) => &[Algorithm::Es256],
        (Some("RSA"), None) => &[Algorithm::Rs256, Algorithm::Ps256],
        (None, _) => return Err(JwksError::Member),
        _ => return Err(JwksError::Kind),
    };
    match (jwk.text("alg")?, fitting) {
        (Some(said), fitting) => {
            Algorithm::of_header(said).filter(|said| fitting.contains(said)).ok_or(JwksError::Kind)
        }
        (None, [sole]) => Ok(*sole),
        (None, _) => Err(JwksError::RsaWithoutAlg),
    }
}

/// The members that a thumbprint is made over, in the order of their names (RFC 7638 §3.2).
fn required(jwk: &PublicJwk) -> Result<Vec<(&'static str, &str)>, JwksError> {
    let all = [
        ("crv", jwk.crv.as_deref()),
        ("e", jwk.e.as_deref()),
        ("kty", Some(&*jwk.kty)),
        ("n", jwk.n.as_deref()),
        ("x", jwk.x.as_deref()),
        ("y", jwk.y.as_deref()),
    ];
    // Whatever is no base64url cannot be a key either, and needs no escape.
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let required: Vec<_> = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if required.iter().all(|(_, value)| is_plain(value)) { Ok(required) } else { Err(JwksError::Unusable) }
}

/// A client's keys, ready to verify; each in the place of its record. One that cannot be used verifies nothing.
#[derive(Debug)]
pub struct VerifyingKeys(Box<[Option<PublicKey>]>);

impl VerifyingKeys {
    /// Those of a client.
    #[must_use]
    pub fn of(keys: &[ClientKey]) -> Self {
        Self(keys.iter().map(|key| PublicKey::of_client(key).ok()).collect())
    }

    /// Whether the key at `position` signed the assertion.
    #[must_use]
    pub fn verifies(&self, position: usize, assertion: &Assertion<'_>) -> bool {
        let (text, signature) = assertion.signed();
        let key = self.0.get(position).and_then(Option::as_ref);
        key.is_some_and(|key| key.verify(text, signature).is_ok())
    }
}

/// The public keys of RFC 8037 A.2 and RFC 7515 A.2 and A.3, whose private halves everybody knows.
static DECOYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| {
    let jwk = |kty: &str, members: [Option<&str>; 5]| {
        let [crv, x, y, n, e] = members.map(|member| member.map(Into::into));
        PublicJwk { kty: kty.into(), crv, x, y, n, e }
    };
    let rsa = || jwk("RSA", [None, None, None, Some(DECOY_MODULUS), Some("AQAB")]);
    let ed25519 = jwk("OKP", [Some("Ed25519"), Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"), None, None, None]);
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let p256 = jwk("EC", [Some("P-256"), Some(x), Some(y), None, None]);
    let decoys = [ed25519, p256, rsa(), rsa()];
    let decoy = |(alg, jwk)| {
        let at = UnixTime::from_seconds(0);
        PublicKey::of_client(&ClientKey { kid: "decoy".into(), alg, jwk, created_at: at, expires_at: None }).ok()
    };
    Algorithm::ALL.into_iter().zip(decoys).filter_map(decoy).collect()
});
const DECOY_MODULUS: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC",
    "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6",
    "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW",
    "yuXpoQ"
);

/// Takes as long as verifying with a client's key, where there is none to verify with. What it finds says nothing: those
/// keys are nobody's.
pub fn verify_in_vain(assertion: &Assertion<'_>) {
    let ((_, alg), (text, signature)) = (assertion.key(), assertion.signed());
    if let Some(decoy) = DECOYS.iter().find(|decoy| decoy.algorithm() == alg) {
        let _: Result<(), VerifyError> = std::hint::black_box(decoy.verify(text, signature));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn rsa() -> String {
        format!(r#""kty":"RSA","n":"{DECOY_MODULUS}","e":"AQAB""#)
    }

    fn registered(text: &str) -> Result<Vec<(String, Algorithm)>, JwksError> {
        let keys = read(text.as_bytes(), UnixTime::from_seconds(7))?;
        Ok(keys.into_iter().map(|key| (key.kid.into(), key.alg)).collect())
    }

    #[test]
    fn there_is_a_decoy_of_every_algorithm() {
        assert!(Algorithm::ALL.iter().all(|alg| DECOYS.iter().any(|decoy| decoy.algorithm() == *alg)));
    }

    #[test]
    fn t100_t112_keys_of_every_algorithm_are_registered_under_their_names() {
        let all = format!(
            r#"{{"keys":[{{{ED25519}}},{{{ED25519},"kid":"a","alg":"Ed25519","use":"sig"}},{{{P256},"kid":"a","key_ops":["verify"]}},
                {{{},"alg":"RS256","kid":"r"}},{{{},"alg":"PS256","kid":"r","x5t":"ignored"}}]}}"#,
            rsa(),
            rsa()
        );
        let own = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        let expected = [
            (own, Algorithm::EdDsa),
            ("a", Algorithm::EdDsa),
            ("a", Algorithm::Es256),
            ("r", Algorithm::Rs256),
            ("r", Algorithm::Ps256),
        ];
        assert_eq!(registered(&all).unwrap(), expected.map(|(kid, alg)| (kid.to_owned(), alg)), "RFC 8037 A.3");
        assert_eq!(registered(&format!("{{{ED25519}}}")).unwrap(), [(own.to_owned(), Algorithm::EdDsa)], "one JWK");
    }

    #[test]
    fn t111_t137_a05_what_cannot_or_must_not_be_used_is_refused() {
        use JwksError as E;
        let rsa = rsa();
        let with = |members: &str| format!("{{\"keys\":[{{{members}}}]}}");
        let small = format!(r#""kty":"RSA","n":"{}","e":"AQAB","alg":"RS256""#, &DECOY_MODULUS[..171]);
        let even = format!(r#""kty":"RSA","n":"{}g","e":"AQAB","alg":"RS256""#, &DECOY_MODULUS[..341]);
        let nine = [&*format!("{{{ED25519}}}"); 9].join(",");
        for (text, error) in [
            (String::new(), E::Malformed),
            ("{}".to_owned(), E::Malformed),
            ("[]".to_owned(), E::Malformed),
            (r#"{"keys":{}}"#.to_owned(), E::Malformed),
            (format!(r#"{{"keys":[{{{ED25519},"kty":"OKP"}}]}}"#), E::Malformed),
            (" ".repeat(MAX_JWKS_BYTES + 1), E::Malformed),
            (r#"{"keys":[]}"#.to_owned(), E::Count),
            (format!("{{\"keys\":[{nine}]}}"), E::Count),
            (with(&format!(r#"{ED25519},"d":"x""#)), E::Private),
            (with(r#""kty":"oct","k":"AyM1""#), E::Private),
            (with(&format!(r#"{rsa},"alg":"RS256","p":"AQ""#)), E::Private),
            (with(r#""crv":"Ed25519""#), E::Member),
            (with(&format!(r#"{ED25519},"kid":7"#)), E::Member),
            (with(&format!(r#"{ED25519},"kid":"""#)), E::Member),
            (with(&format!(r#"{ED25519},"kid":"{}""#, "k".repeat(257))), E::Member),
            (with(&format!(r#"{ED25519},"kid":"a\nb""#)), E::Member),
            (with(&format!(r#"{ED25519},"use":"enc""#)), E::Usage),
            (with(&format!(r#"{ED25519},"key_ops":["sign"]"#)), E::Usage),
            (with(&format!(r#"{ED25519},"key_ops":[]"#)), E::Usage),
            (with(&format!(r#"{ED25519},"alg":"ES256""#)), E::Kind),
            (with(&format!(r#"{P256},"alg":"none""#)), E::Kind),
            (with(&format!(r#"{rsa},"alg":"HS256""#)), E::Kind),
            (with(&P256.replace("P-256", "P-384")), E::Kind),
            (with(&ED25519.replace("Ed25519", "X25519")), E::Kind),
            (with(r#""kty":"oct""#), E::Kind),
            (with(&rsa), E::RsaWithoutAlg),
            (with(&small), E::Unusable),
            (with(&even), E::Unusable),
            (with(&format!(r#"{},"alg":"PS256""#, rsa.replace("AQAB", "AQ"))), E::Unusable),
            (with(&format!(r#"{},"alg":"PS256""#, rsa.replace("AQAB", "Ag"))), E::Unusable),
            (with(&P256.replace("x_FEzR", "y_FEzR")), E::Unusable),
            (with(r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU""#), E::Unusable),
            (with(&format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, "A".repeat(43))), E::Unusable),
            (with(r#""kty":"OKP","crv":"Ed25519","x":"\"","kid":"a""#), E::Unusable),
            (format!("{{\"keys\":[{{{ED25519}}},{{{ED25519}}}]}}"), E::Repeated),
        ] {
            assert_eq!(registered(&text), Err(error), "{}", &text[..text.len().min(120)]);
        }
    }
}
