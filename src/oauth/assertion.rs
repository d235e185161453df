//! A client assertion: a JWT that the client signs to prove who it is (RFC 7521 §4.2, RFC 7523 §2.2 and §3, RFC 8725).
//!
//! Owns what it says: its form, header and claims, read strictly and checked against the time and the issuer. Leaves
//! keys and signatures to `jwt`, and that it is used once to the store. Invariants: nothing in the header is ever a source
//! of a key; what is read here is not yet proved, and prints nothing.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::Algorithm;
use super::client::ClientId;
use super::json::{Malformed, Object};
use crate::clock::UnixTime;

/// `client_assertion_type` of RFC 7523 §2.2.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest assertion that is looked at, in bytes: a signature of RSA 8192 and more claims than anybody needs.
pub const MAX_ASSERTION_BYTES: usize = 8 * 1024;
/// The longest `jti`, in characters.
const MAX_ID_CHARS: usize = 256;
/// The longest `kid`, in bytes.
pub const MAX_KID_BYTES: usize = 256;
/// How far `iat` and `nbf` may lie in the future. `exp` has none: an assertion ends by our clock, on the second.
const AHEAD: Duration = Duration::from_secs(30);
/// What `typ` may say (RFC 7519 §5.1, and RFC 7523 as it is being revised): another kind of JWT is no assertion.
const TYPES: [&str; 4] =
    ["JWT", "application/JWT", "client-authentication+jwt", "application/client-authentication+jwt"];

/// An assertion whose form is right.
pub struct Assertion<'a> {
    text: Cow<'a, str>,
    /// How much of the text is signed.
    signed: usize,
    signature: Vec<u8>,
    alg: Algorithm,
    kid: Option<Box<str>>,
    client: ClientId,
    audience: Box<str>,
    expires_at: UnixTime,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    id: Box<str>,
}

/// Whom an assertion must be meant for, and how long it may live.
#[derive(Clone, Debug)]
pub struct AssertionTerms {
    /// The issuer, byte for byte: the only audience for a client that was not told otherwise.
    pub issuer: Box<str>,
    /// The token endpoint, the audience of older clients.
    pub endpoint: Box<str>,
    /// How much later than now an assertion may end, and how long ago it may have been issued.
    pub longest: Duration,
}

/// Whom an assertion says that it is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeantFor {
    /// The issuer.
    Issuer,
    /// The token endpoint: good for a client that may still say so (RFC 7523 §3, item 3; CVE-2025-27370).
    Endpoint,
}

impl<'a> Assertion<'a> {
    /// Reads an assertion, and what it says without regard to time.
    ///
    /// # Errors
    /// [`Malformed`] for anything that no client of ours can have signed for us.
    pub fn parse(text: Cow<'a, str>) -> Result<Self, Malformed> {
        if text.len() > MAX_ASSERTION_BYTES {
            return Err(Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Malformed)?;
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        let (alg, kid) = read_header(&Object::parse(&header)?)?;
        let claims = Object::parse(&claims)?;
        let at = |name| -> Result<_, Malformed> { Ok(claims.number(name)?.map(instant)) };
        let (expires_at, not_before, issued_at) = (at("exp")?, at("nbf")?, at("iat")?);
        Ok(Self {
            signed: signed.len(),
            signature,
            alg,
            kid,
            client: read_client(&claims)?,
            audience: sole(&claims.texts("aud")?)?.into(),
            expires_at: expires_at.ok_or(Malformed)?,
            not_before,
            issued_at,
            id: read_id(&claims)?,
            text,
        })
    }

    /// Who it says that it is of: `iss` and `sub`.
    #[must_use]
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// What it is signed by, and with which of the client's keys.
    #[must_use]
    pub fn key(&self) -> (Option<&str>, Algorithm) {
        (self.kid.as_deref(), self.alg)
    }

    /// What is signed, and the signature.
    #[must_use]
    pub fn signed(&self) -> (&[u8], &[u8]) {
        (self.text.as_bytes().get(..self.signed).unwrap_or_default(), &self.signature)
    }

    /// `jti`: the name by which it is used once.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `exp`.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Whom it is meant for, if it is good now.
    #[must_use]
    pub fn meant_for(&self, terms: &AssertionTerms, now: UnixTime) -> Option<MeantFor> {
        let is_ahead = |instant: Option<UnixTime>| instant.is_some_and(|instant| instant > now.plus(AHEAD));
        let is_old = self.issued_at.is_some_and(|issued_at| issued_at < now.minus(terms.longest));
        let ends_well = now < self.expires_at && self.expires_at <= now.plus(terms.longest);
        if !ends_well || is_old || is_ahead(self.not_before) || is_ahead(self.issued_at) {
            return None;
        }
        match &*self.audience {
            audience if audience == &*terms.issuer => Some(MeantFor::Issuer),
            audience if audience == &*terms.endpoint => Some(MeantFor::Endpoint),
            _ => None,
        }
    }
}

impl fmt::Debug for Assertion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assertion(***)")
    }
}

/// Canonical base64url: no padding, no stray bits (RFC 7515 §2, RFC 4648 §3.5).
fn decode(segment: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Malformed)
}

/// Extensions that would change the meaning of the rest are none of ours (RFC 7515 §4.1.11, RFC 7797, RFC 7516). Members
/// that offer a key are not even looked at.
fn read_header(header: &Object) -> Result<(Algorithm, Option<Box<str>>), Malformed> {
    if ["crit", "b64", "zip", "cty", "enc"].iter().any(|name| header.has(name)) {
        return Err(Malformed);
    }
    let is_assertion = |typ: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ));
    if !header.text("typ")?.is_none_or(is_assertion) {
        return Err(Malformed);
    }
    let alg = header.text("alg")?.and_then(Algorithm::of_header).ok_or(Malformed)?;
    let kid = header.text("kid")?;
    if kid.is_some_and(|kid| kid.len() > MAX_KID_BYTES) { Err(Malformed) } else { Ok((alg, kid.map(Into::into))) }
}

/// `iss` and `sub` are both the client (RFC 7523 §3, items 1 and 2).
fn read_client(claims: &Object) -> Result<ClientId, Malformed> {
    let (issuer, subject) = (claims.text("iss")?, claims.text("sub")?);
    let id = subject.filter(|_| issuer == subject).ok_or(Malformed)?;
    ClientId::parse(id).map_err(|_| Malformed)
}

fn read_id(claims: &Object) -> Result<Box<str>, Malformed> {
    let id = claims.text("jti")?.filter(|id| (1..=MAX_ID_CHARS).contains(&id.chars().count()));
    id.map(Into::into).ok_or(Malformed)
}

/// An assertion for several is one that any of them could present to the others.
fn sole<'a>(audience: &[&'a str]) -> Result<&'a str, Malformed> {
    if let [sole] = *audience { Ok(sole) } else { Err(Malformed) }
}

/// Fractions of a second are dropped (RFC 7519 §2); what lies before the epoch or beyond all time is as early or late as
/// can be.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "such a cast keeps within the bounds")]
fn instant(seconds: f64) -> UnixTime {
    UnixTime::from_seconds(seconds as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r#"{"alg":"ES256","typ":"JWT","kid":"k"}"#;
    const CLAIMS: &str =
        r#"{"iss":"c_1","sub":"c_1","aud":"https://issuer.example","exp":1060,"iat":1000,"nbf":1000,"jti":"j"}"#;

    fn encode(header: &str, claims: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn parse(header: &str, claims: &str) -> Option<Assertion<'static>> {
        Assertion::parse(encode(header, claims).into()).ok()
    }

    fn meant_for(claims: &str) -> Option<MeantFor> {
        let terms = AssertionTerms {
            issuer: "https://issuer.example".into(),
            endpoint: "https://issuer.example/oauth2/token".into(),
            longest: Duration::from_mins(5),
        };
        parse(HEADER, claims)?.meant_for(&terms, UnixTime::from_seconds(1000))
    }

    #[test]
    fn says_what_it_says_and_prints_nothing() {
        let text = encode(HEADER, CLAIMS);
        let assertion = Assertion::parse(text.as_str().into()).unwrap();
        assert_eq!((assertion.client().as_str(), assertion.id()), ("c_1", "j"));
        assert_eq!(assertion.key(), (Some("k"), Algorithm::Es256));
        assert_eq!(assertion.expires_at(), UnixTime::from_seconds(1060));
        assert_eq!(assertion.signed(), (text.strip_suffix(".AAAA").unwrap().as_bytes(), &[0_u8, 0, 0][..]));
        assert_eq!(format!("{assertion:?}"), "Assertion(***)");
        assert_eq!(meant_for(CLAIMS), Some(MeantFor::Issuer));
    }

    #[test]
    fn t102_t136_only_three_canonical_segments_are_an_assertion() {
        let good = encode(HEADER, CLAIMS);
        let (dots, long) = (".".repeat(MAX_ASSERTION_BYTES), format!("{good}{}", "A".repeat(MAX_ASSERTION_BYTES)));
        let parts: Vec<&str> = good.split('.').collect();
        for text in [
            "",
            ".",
            "..",
            "...",
            &dots,
            &long,
            &good.replace('.', ""),
            &format!("{}.{}", parts[0], parts[1]),
            &format!("{good}.AAAA"),
            &format!("{good}.AAAA.AAAA"),
            &format!(".{}.AAAA", parts[1]),
            &format!("{}..AAAA", parts[0]),
            &format!("{good}="),
            &format!("{good} "),
            &format!("\n{good}"),
            &good.replace("AAAA", "AA+/"),
            &good.replace(".AAAA", ".AAB"),
            r#"{"payload":"e30","signatures":[]}"#,
        ] {
            assert!(Assertion::parse(text.into()).is_err(), "{}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn t103_t105_t115_t116_t117_a_header_that_means_anything_else_is_refused() {
        for header in [
            r#"{"alg":"ES256"}"#,
            r#"{"alg":"ES256","typ":"jwt"}"#,
            r#"{"alg":"ES256","typ":"client-authentication+jwt"}"#,
            r#"{"alg":"ES256","typ":"application/client-authentication+jwt"}"#,
            r#"{"alg":"Ed25519","jku":"https://a.example","jwk":{},"x5u":"y","x5c":[],"x5t":"z"}"#,
        ] {
            assert!(parse(header, CLAIMS).is_some(), "T-114 T-116 {header}");
        }
        for member in [
            r#""alg":"none""#,
            r#""alg":"None""#,
            r#""alg":"nOnE""#,
            r#""alg":"""#,
            r#""kid":"k""#,
            r#""alg":1"#,
            r#""alg":["ES256"]"#,
            r#""alg":null"#,
            r#""alg":"HS256""#,
            r#""alg":"HS512""#,
            r#""alg":"es256""#,
            r#""alg":"ES384""#,
            r#""alg":"ES256","typ":"at+jwt""#,
            r#""alg":"ES256","typ":"dpop+jwt""#,
            r#""alg":"ES256","typ":"token-introspection+jwt""#,
            r#""alg":"ES256","typ":"logout+jwt""#,
            r#""alg":"ES256","typ":"oauth-authz-req+jwt""#,
            r#""alg":"ES256","typ":"""#,
            r#""alg":"ES256","typ":null"#,
            r#""alg":"ES256","crit":["exp"]"#,
            r#""alg":"ES256","crit":[]"#,
            r#""alg":"ES256","crit":"x"#,
            r#""alg":"ES256","crit":null"#,
            r#""alg":"ES256","b64":false"#,
            r#""alg":"ES256","b64":false,"crit":["b64"]"#,
            r#""alg":"ES256","zip":"DEF""#,
            r#""alg":"ES256","cty":"JWT""#,
            r#""alg":"ES256","enc":"A128GCM""#,
            r#""alg":"ES256","alg":"none""#,
            r#""alg":"ES256","kid":7"#,
            r#""alg":"ES256","kid":null"#,
        ] {
            assert!(parse(&format!("{{{member}}}"), CLAIMS).is_none(), "{member}");
        }
        let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(MAX_KID_BYTES + 1));
        assert!(parse(&long, CLAIMS).is_none(), "T-113");
    }

    #[test]
    fn t119_t120_t123_t128_claims_that_are_missing_or_of_another_kind_are_refused() {
        for (from, to) in [
            (r#""iss":"c_1","#, ""),
            (r#""iss":"c_1","#, r#""iss":"c_2","#),
            (r#""sub":"c_1","#, ""),
            (r#""iss":"c_1","sub":"c_1","#, ""),
            (r#""sub":"c_1","#, r#""sub":["c_1"],"#),
            (r#""iss":"c_1","sub":"c_1""#, r#""iss":"a b","sub":"a b""#),
            (r#""aud":"https://issuer.example","#, ""),
            (r#""aud":"https://issuer.example""#, r#""aud":[]"#),
            (r#""aud":"https://issuer.example""#, r#""aud":["https://issuer.example","https://other.example"]"#),
            (r#""aud":"https://issuer.example""#, r#""aud":["https://issuer.example",1]"#),
            (r#""aud":"https://issuer.example""#, r#""aud":[1]"#),
            (r#""aud":"https://issuer.example""#, r#""aud":{"a":"https://issuer.example"}"#),
            (r#""exp":1060,"#, ""),
            (r#""exp":1060"#, r#""exp":"1060""#),
            (r#""exp":1060"#, r#""exp":1e400"#),
            (r#""exp":1060"#, r#""exp":null"#),
            (r#""nbf":1000"#, r#""nbf":"1000""#),
            (r#""iat":1000"#, r#""iat":"1000""#),
            (r#","jti":"j""#, ""),
            (r#""jti":"j""#, r#""jti":"""#),
            (r#""jti":"j""#, r#""jti":7"#),
            (r#""jti":"j""#, r#""jti":"j","jti":"k""#),
        ] {
            assert!(CLAIMS.contains(from), "{from}");
            assert!(parse(HEADER, &CLAIMS.replacen(from, to, 1)).is_none(), "{from} -> {to}");
        }
        let id = |chars| CLAIMS.replacen(r#""j""#, &format!("\"{}\"", "\u{e4}".repeat(chars)), 1);
        assert!(parse(HEADER, &id(256)).is_some());
        assert!(parse(HEADER, &id(257)).is_none(), "T-128");
    }

    #[test]
    fn t120_to_t127_it_is_for_us_and_for_now() {
        let with = |from: &str, to: &str| meant_for(&CLAIMS.replacen(from, to, 1));
        let aud = |aud: &str| with(r#""aud":"https://issuer.example""#, &format!("\"aud\":{aud}"));
        assert_eq!(aud(r#"["https://issuer.example"]"#), Some(MeantFor::Issuer), "T-122");
        assert_eq!(aud(r#""https://issuer.example/oauth2/token""#), Some(MeantFor::Endpoint), "T-121");
        for other in [
            "https://issuer.example/",
            "https://ISSUER.example",
            "https://issuer.exampl",
            "https://issuer.example/oauth2/introspect",
            "https://other.example",
            "",
        ] {
            assert_eq!(aud(&format!("\"{other}\"")), None, "T-120 {other}");
        }
        for (rule, from, to, is_good) in [
            ("T-123 ends now", "1060", "1000", false),
            ("T-123 ended", "1060", "700", false),
            ("T-123 negative", "1060", "-1", false),
            ("T-123 fractional", "1060", "1060.5", true),
            ("T-123 2^63", "1060", "9223372036854775808", false),
            ("T-124 at the cap", "1060", "1300", true),
            ("T-124 beyond it", "1060", "1301", false),
            ("T-125 ahead", r#""nbf":1000"#, r#""nbf":1010"#, true),
            ("T-125 ahead", r#""iat":1000"#, r#""iat":1010"#, true),
            ("T-126 far ahead", r#""nbf":1000"#, r#""nbf":1061"#, false),
            ("T-126 far ahead", r#""iat":1000"#, r#""iat":1061"#, false),
            ("T-127 no iat", r#""iat":1000,"#, "", true),
            ("T-127 as old as may be", r#""iat":1000"#, r#""iat":700"#, true),
            ("T-127 older", r#""iat":1000"#, r#""iat":699"#, false),
            ("no nbf", r#""nbf":1000,"#, "", true),
        ] {
            assert_eq!(with(from, to).is_some(), is_good, "{rule}");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in ".{0,200}", header in "[ -~]{0,60}", claims in "[ -~]{0,60}") {
            let _ = Assertion::parse(text.into());
            let _ = parse(&header, &claims);
        }
    }
}
