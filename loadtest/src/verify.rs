//! Whether what came are tokens: a sample is checked as a resource server would, all are checked to differ.
//!
//! The signatures are checked with aws-lc-rs by the published keys, the claims for what every token must have. To
//! tell that no two tokens are the same, 64 bits of each signature are kept: so few that millions of them fit, and so
//! many that two different ones are not taken for one.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::answer::{self, Answer};

/// Tokens of which a digest is kept per thread: 32 MB.
const MOST_DIGESTS: usize = 4_000_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// What a thread keeps of the tokens that it got.
#[derive(Debug, Default)]
pub struct Sample {
    /// Every which token is kept; 0 for none.
    stride: u64,
    seen: u64,
    tokens: Vec<String>,
    digests: Vec<u64>,
    without: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verified {
    /// Tokens whose signature and claims were checked.
    pub checked: u64,
    /// Tokens that were compared with each other.
    pub compared: u64,
    /// The algorithms that signed them.
    pub algorithms: Vec<String>,
}

impl Sample {
    /// About `wanted` of `expected` tokens.
    #[must_use]
    pub fn new(wanted: u64, expected: u64) -> Self {
        let stride = expected.checked_div(wanted).map_or(0, |stride| stride.max(1));
        Self { stride, ..Self::default() }
    }

    /// Keeps what is to be kept of a token response.
    pub fn look_at(&mut self, body: &[u8]) {
        if self.stride == 0 {
            return;
        }
        let Some(token) = answer::token(body) else {
            self.without += 1;
            return;
        };
        if self.digests.len() < MOST_DIGESTS {
            self.digests.push(digest(token));
        }
        if self.seen.is_multiple_of(self.stride) {
            self.tokens.push(token.to_owned());
        }
        self.seen += 1;
    }

    /// Adds what another thread kept.
    pub fn add(&mut self, other: Self) {
        self.stride = self.stride.max(other.stride);
        self.tokens.extend(other.tokens);
        self.digests.extend(other.digests);
        self.without += other.without;
    }

    /// Checks all of it by the keys of a JWKS document; `None` where nothing was to be kept.
    ///
    /// # Errors
    /// A sentence that says what is wrong with which token, by its number.
    pub fn verify(mut self, keys: impl FnOnce() -> Result<Value, String>) -> Result<Option<Verified>, String> {
        if self.stride == 0 {
            return Ok(None);
        }
        if self.without > 0 {
            return Err(format!("{} answers with status 200 had no token", self.without));
        }
        let compared = self.digests.len();
        self.digests.sort_unstable();
        self.digests.dedup();
        if self.digests.len() < compared {
            return Err(format!("{} of {compared} tokens were handed out before", compared - self.digests.len()));
        }
        let (keys, now) = (keys()?, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        let (mut names, mut algorithms) = (HashSet::new(), Vec::new());
        for (number, token) in self.tokens.iter().enumerate() {
            let (algorithm, jti) = check(token, &keys, now).map_err(|error| format!("token {number}: {error}"))?;
            if !names.insert(jti) {
                return Err(format!("token {number} has a jti that another has"));
            }
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        Ok(Some(Verified { checked: self.tokens.len() as u64, compared: compared as u64, algorithms }))
    }
}

/// FNV-1a of the end of the token, which is the end of its signature.
fn digest(token: &str) -> u64 {
    let end = token.as_bytes().get(token.len().saturating_sub(24)..).unwrap_or_default();
    end.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The algorithm and the `jti` of a sound token.
fn check(token: &str, keys: &Value, now: u64) -> Result<(String, String), String> {
    let (signed, signature) = token.rsplit_once('.').ok_or("not a JWT")?;
    let (header, claims) = signed.split_once('.').ok_or("not a JWT")?;
    let (header, claims) = (object(header)?, object(claims)?);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let algorithm = text(&header, "alg").ok_or("no alg")?;
    let all = keys.get("keys").and_then(Value::as_array).ok_or("the key document has no keys")?;
    let key = all.iter().find(|key| key.get("kid") == header.get("kid")).ok_or("no published key has its kid")?;
    is_signed_by(key, &algorithm, signed.as_bytes(), &decode(signature)?)?;
    for name in ["iss", "sub", "client_id"] {
        text(&claims, name).ok_or_else(|| format!("no {name}"))?;
    }
    let instant = |name: &str| claims.get(name).and_then(Value::as_u64).ok_or_else(|| format!("no {name}"));
    if instant("exp")? <= now {
        return Err("it has expired".to_owned());
    }
    if instant("iat")? > now + 60 {
        return Err("it is from the future".to_owned());
    }
    Ok((algorithm, text(&claims, "jti").ok_or("no jti")?))
}

fn object(segment: &str) -> Result<Value, String> {
    serde_json::from_slice(&decode(segment)?).map_err(|_| "a segment is no JSON".to_owned())
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a segment is no base64url".to_owned())
}

fn is_signed_by(key: &Value, algorithm: &str, message: &[u8], made: &[u8]) -> Result<(), String> {
    let part =
        |name: &str| decode(key.get(name).and_then(Value::as_str).ok_or_else(|| format!("a key without {name}"))?);
    let verified = match algorithm {
        "EdDSA" | "Ed25519" => UnparsedPublicKey::new(&signature::ED25519, part("x")?).verify(message, made),
        "ES256" => {
            let point = [vec![4], part("x")?, part("y")?].concat();
            UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, made)
        }
        "RS256" | "PS256" => {
            let key = RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
            let parameters = if algorithm == "RS256" {
                &signature::RSA_PKCS1_2048_8192_SHA256
            } else {
                &signature::RSA_PSS_2048_8192_SHA256
            };
            key.verify(parameters, message, made)
        }
        other => return Err(format!("the algorithm {other} is not known here")),
    };
    verified.map_err(|_| "the signature is wrong".to_owned())
}

/// Fetches a JSON document.
///
/// # Errors
/// A sentence.
pub fn fetch_json(address: SocketAddr, host: &str, path: &str) -> Result<Value, String> {
    let at = |error: &dyn std::fmt::Display| format!("http://{host}{path}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).map_err(|error| at(&error))?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(|error| at(&error))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| at(&error))?;
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let came = stream.read(&mut part).map_err(|error| at(&error))?;
        bytes.extend_from_slice(part.get(..came).unwrap_or_default());
        match answer::parse(&bytes) {
            Answer::Incomplete if came > 0 => {}
            Answer::Incomplete => return Err(at(&"the connection was closed")),
            Answer::Bad(reason) => return Err(at(&reason)),
            Answer::Whole(whole) if whole.status == 200 => {
                return serde_json::from_slice(whole.body).map_err(|error| at(&error));
            }
            Answer::Whole(whole) => return Err(at(&format!("status {}", whole.status))),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    const SEED: [u8; 32] = [9; 32];

    fn published() -> Value {
        let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
        serde_json::json!({"keys": [{"kty": "OKP", "kid": "k", "x": URL_SAFE_NO_PAD.encode(pair.public_key())}]})
    }

    fn token(jti: u32, exp: u64) -> String {
        let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
        let claims =
            serde_json::json!({"iss": "i", "sub": "c", "client_id": "c", "iat": 1, "exp": exp, "jti": jti.to_string()});
        let signed = [r#"{"alg":"EdDSA","kid":"k"}"#.to_owned(), claims.to_string()]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".");
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sample(tokens: &[String], wanted: u64) -> Sample {
        let mut sample = Sample::new(wanted, tokens.len() as u64);
        for token in tokens {
            sample.look_at(format!(r#"{{"access_token":"{token}"}}"#).as_bytes());
        }
        sample
    }

    fn verdict(tokens: &[String]) -> Result<Option<Verified>, String> {
        sample(tokens, u64::MAX).verify(|| Ok(published()))
    }

    #[test]
    fn sound_tokens_are_checked_and_all_are_compared() {
        let tokens: Vec<String> = (0..100).map(|jti| token(jti, u64::MAX)).collect();
        let all = Verified { checked: 100, compared: 100, algorithms: vec!["EdDSA".to_owned()] };
        assert_eq!(verdict(&tokens), Ok(Some(all.clone())));
        let (mut first, second) = (sample(&tokens[..50], 5), sample(&tokens[50..], 5));
        first.add(second);
        assert_eq!(first.verify(|| Ok(published())), Ok(Some(Verified { checked: 10, ..all })));
        assert_eq!(sample(&tokens, 0).verify(|| Err("unasked".to_owned())), Ok(None));
    }

    #[test]
    fn unsound_tokens_are_found() {
        let sound = token(1, u64::MAX);
        let (signed, _) = sound.rsplit_once('.').unwrap();
        let (_, foreign) = sound.rsplit_once('.').unwrap();
        let other = token(2, u64::MAX);
        let (other_signed, _) = other.rsplit_once('.').unwrap();
        for (tokens, complaint) in [
            (vec![sound.clone(), sound.clone()], "handed out before"),
            (vec![format!("{other_signed}.{foreign}")], "the signature is wrong"),
            (vec![token(1, 5)], "it has expired"),
            (vec![signed.to_owned()], "not a JWT"),
            (vec![format!("a.b.{foreign}")], "a segment is no"),
            (vec!["opaque".to_owned()], "not a JWT"),
            // Other bytes, so that they are not the same token, with the same name.
            (vec![token(1, 1 << 40), token(1, 1 << 41)], "a jti that another has"),
        ] {
            let verdict = verdict(&tokens).unwrap_err();
            assert!(verdict.contains(complaint), "{complaint}: {verdict}");
        }
        let mut empty = Sample::new(1, 1);
        empty.look_at(b"{}");
        assert!(empty.verify(|| Ok(published())).is_err());
    }
}
