//! A client as one line of a file: a JSON object with the names that `client show -o json` has.
//!
//! Read strictly: an unknown name, one that stands twice, or a value of the wrong kind is refused, and what is said of it
//! repeats names and never values, since a secret may stand there by mistake.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::admin::ClientChange;
use crate::admin::roster::Declared;
use crate::clock::UnixTime;
use crate::jwt::client_keys;
use crate::keys::MasterKeyCheck;
use crate::oauth::client_key::ClientKey;
use crate::oauth::json::Object;
use crate::oauth::{Algorithm, Audience, Client, ClientId, ClientSecret, Scope, SecretHash, SecretId, TokenFormat};

/// The version of the form.
const VERSION: u32 = 1;
/// The longest that is said of a line.
const MAX_COMPLAINT_CHARS: usize = 300;
/// The longest id of a secret.
const MAX_SECRET_ID_BYTES: usize = 64;

/// A client in a file. What is left out is the default, or stays as it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(default)]
    scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_scope: Option<Scope>,
    #[serde(default)]
    audience: Vec<Audience>,
    #[serde(default)]
    serves: Vec<Audience>,
    #[serde(default = "yes")]
    may_request_tokens: bool,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u32>,
    #[serde(default)]
    alg: Algorithm,
    #[serde(default)]
    format: TokenFormat,
    #[serde(default)]
    assertion_audience: AssertionAudience,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<KeyPart>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_revoked_at: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<SecretPart>,
    /// The check value of the master key that the digests of the secrets were made under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digests_under: Option<MasterKeyCheck>,
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AssertionAudience {
    #[default]
    Issuer,
    Endpoint,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyPart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<Algorithm>,
    jwk: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<UnixTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretPart {
    secret_id: String,
    /// What the store keeps of it.
    digest: SecretHash,
    created_at: UnixTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
}

/// Only the version, so that a file of a newer one is told by it and not by what else it says.
#[derive(Deserialize)]
struct Version {
    version: Option<u32>,
}

impl Line {
    /// A client of the store; with the digests of its secrets where it is said under which master key they were made.
    #[must_use]
    pub fn of(client: &Client, digests_under: Option<&MasterKeyCheck>) -> Self {
        let secrets = digests_under.map(|_| client.secrets.iter().map(SecretPart::of).collect()).unwrap_or_default();
        let endpoint = client.accepts_endpoint_audience;
        Self {
            version: VERSION,
            client_id: Some(client.id.clone()),
            name: client.name.to_string(),
            enabled: Some(client.enabled),
            scope: client.scope.clone(),
            default_scope: client.default_scope.clone(),
            audience: client.audience.clone(),
            serves: client.serves.clone(),
            may_request_tokens: client.may_request_tokens,
            lifetime: client.lifetime_seconds,
            alg: client.alg,
            format: client.format,
            assertion_audience: if endpoint { AssertionAudience::Endpoint } else { AssertionAudience::Issuer },
            keys: Some(client.keys.iter().map(KeyPart::of).collect()),
            tokens_revoked_at: client.tokens_revoked_at,
            created_at: Some(client.created_at),
            digests_under: digests_under.filter(|_| !client.secrets.is_empty()).cloned(),
            secrets,
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(text) {
            Ok(Version { version: Some(VERSION) }) => {}
            Ok(Version { version: Some(other) }) => {
                return Err(format!("version {other} is not known: this is for files of version {VERSION}"));
            }
            Ok(Version { version: None }) => return Err(format!("\"version\":{VERSION} is missing")),
            Err(error) => return Err(explain(&error)),
        }
        let line = serde_json::from_slice(text).map_err(|error| explain(&error))?;
        // Also within a key, which is read as it comes.
        Object::parse(text).map_err(|_| "a name stands twice in it".to_owned())?;
        Ok(line)
    }

    /// What it declares, and the master key that the digests of its secrets were made under.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn declare(self, now: UnixTime) -> Result<(Declared, Option<MasterKeyCheck>), String> {
        if self.client_id.as_ref().is_some_and(|id| !ClientId::is_generated(id.as_str())) {
            return Err(
                "client_id must be one that jeton made: c_ and 22 characters; without one, import makes it".into()
            );
        }
        if self.secrets.is_empty() != self.digests_under.is_none() {
            return Err(
                "secrets and digests_under belong together: 'jeton client export --with-digests' has both".into()
            );
        }
        let keys = self.keys.map(|keys| keys.into_iter().map(|key| key.read(now)).collect()).transpose()?;
        let declared = Declared {
            id: self.client_id,
            change: ClientChange {
                name: Some(self.name),
                scope: Some(self.scope),
                default_scope: self.default_scope,
                audience: Some(self.audience),
                serves: Some(self.serves),
                lifetime: self.lifetime.map(|seconds| Duration::from_secs(seconds.into())),
                may_request_tokens: Some(self.may_request_tokens),
                ring: None,
                format: Some(self.format),
                accepts_endpoint_audience: Some(self.assertion_audience == AssertionAudience::Endpoint),
            },
            alg: self.alg,
            enabled: self.enabled,
            keys,
            secrets: self.secrets.into_iter().map(SecretPart::read).collect::<Result<_, _>>()?,
            created_at: self.created_at,
            tokens_revoked_at: self.tokens_revoked_at,
        };
        Ok((declared, self.digests_under))
    }
}

impl KeyPart {
    fn of(key: &ClientKey) -> Self {
        let jwk = match serde_json::to_value(&key.jwk) {
            Ok(Value::Object(jwk)) => jwk,
            _ => Map::new(),
        };
        Self {
            kid: Some(key.kid.to_string()),
            alg: Some(key.alg),
            jwk,
            created_at: Some(key.created_at),
            expires_at: key.expires_at,
        }
    }

    /// By the same rules as a JWKS that is registered.
    fn read(self, now: UnixTime) -> Result<ClientKey, String> {
        let mut jwk = self.jwk;
        for (name, said) in [("kid", self.kid), ("alg", self.alg.map(|alg| alg.to_string()))] {
            let Some(said) = said.map(Value::String) else { continue };
            if jwk.get(name).is_some_and(|held| *held != said) {
                return Err(format!("a key says one {name} and its jwk another"));
            }
            jwk.insert(name.to_owned(), said);
        }
        // One key, whatever else the text could be read as.
        if !jwk.contains_key("kty") || jwk.contains_key("keys") {
            return Err("a jwk is one public key".to_owned());
        }
        let text = zeroize::Zeroizing::new(Value::Object(jwk).to_string());
        let read = client_keys::read(text.as_bytes(), now).map_err(|error| error.to_string())?;
        let key = read.into_iter().next().ok_or("a jwk is one public key")?;
        Ok(ClientKey { created_at: self.created_at.unwrap_or(now), expires_at: self.expires_at, ..key })
    }
}

impl SecretPart {
    fn of(secret: &ClientSecret) -> Self {
        let ClientSecret { id, hash, created_at, expires_at } = secret;
        Self { secret_id: id.to_string(), digest: *hash, created_at: *created_at, expires_at: *expires_at }
    }

    fn read(self) -> Result<ClientSecret, String> {
        let Self { secret_id, digest, created_at, expires_at } = self;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=MAX_SECRET_ID_BYTES).contains(&secret_id.len()) || !secret_id.bytes().all(is_plain) {
            return Err("a secret_id has 1 to 64 characters from A-Z a-z 0-9 _ -".to_owned());
        }
        Ok(ClientSecret { id: SecretId::from(secret_id), hash: digest, created_at, expires_at })
    }
}

/// What is wrong, by names and places; values may be secrets.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    let of_value = ["invalid type", "invalid value", "invalid length", "unknown variant"];
    let complaint = match error.classify() {
        Category::Data if of_value.iter().any(|begin| said.starts_with(begin)) => {
            let expected = said.rsplit_once(", expected ").map_or("another value", |(_, expected)| expected);
            format!("at column {}: expected {expected}", error.column())
        }
        Category::Data => said.to_owned(),
        _ => format!("no JSON object, at column {}", error.column()),
    };
    complaint.chars().take(MAX_COMPLAINT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_000);

    fn complaint(text: &str) -> String {
        let declared = Line::parse(text.as_bytes()).and_then(|line| line.declare(NOW));
        declared.map(drop).expect_err(text)
    }

    #[test]
    fn a_line_that_is_wrong_is_told_by_names_and_never_by_values() {
        for (text, said) in [
            ("", "no JSON object"),
            ("[]", "expected struct"),
            (r#"{"name":"a"}"#, "\"version\":1 is missing"),
            (r#"{"version":2,"name":"a","colour":1}"#, "version 2 is not known"),
            (r#"{"version":1}"#, "missing field `name`"),
            (r#"{"version":1,"name":"a","scopes":"b"}"#, "unknown field `scopes`, expected one of"),
            (r#"{"version":1,"name":"a","name":"b"}"#, "duplicate field `name`"),
            (r#"{"version":1,"name":"a","scope":1}"#, "expected a string"),
            (r#"{"version":1,"name":"a","lifetime":"jtn_x, expected y"}"#, "expected u32"),
            (r#"{"version":1,"name":"a","lifetime":-1}"#, "expected u32"),
            (r#"{"version":1,"name":"a","alg":"HS256"}"#, "expected one of `EdDSA`, `ES256`"),
            (r#"{"version":1,"name":"a","scope":"a  b"}"#, "single spaces"),
            (r#"{"version":1,"name":"a","audience":["api"]}"#, "an absolute URI"),
            (r#"{"version":1,"name":"a","client_id":"billing"}"#, "one that jeton made"),
            (r#"{"version":1,"name":"a","client_id":"a b"}"#, "an id has 1 to 128"),
            (r#"{"version":1,"name":"a","digests_under":"x"}"#, "belong together"),
            (r#"{"version":1,"name":"a","keys":[{"jwk":{"kty":"OKP","kty":"OKP"}}]}"#, "stands twice"),
            (r#"{"version":1,"name":"a","keys":[{"jwk":{"keys":[]}}]}"#, "one public key"),
            (r#"{"version":1,"name":"a","keys":[{"jwk":{"kty":"oct","k":"jtn_x"}}]}"#, "private or secret"),
            (r#"{"version":1,"name":"a","keys":[{"kid":"a","jwk":{"kty":"EC","kid":"b"}}]}"#, "one kid and its jwk"),
            (r#"{"version":1,"name":"a","secrets":[{"secret_id":"s","digest":"jtn_x","created_at":1}]}"#, "32 bytes"),
        ] {
            let complaint = complaint(text);
            assert!(complaint.contains(said), "{text}: {complaint}");
            assert!(!complaint.contains("jtn_") && !complaint.contains("HS256"), "{complaint}");
        }
        let long = format!(r#"{{"version":1,"name":"a","{}":1}}"#, "x".repeat(2_000));
        assert_eq!(complaint(&long).chars().count(), MAX_COMPLAINT_CHARS);
    }

    #[test]
    fn the_least_that_a_line_says_is_its_version_and_a_name() {
        let (declared, under) = Line::parse(br#"{"version":1,"name":"a"}"#).unwrap().declare(NOW).unwrap();
        let client = declared.client(None, NOW).unwrap();
        assert!(under.is_none() && client.enabled && client.may_request_tokens && client.keys.is_empty());
        assert_eq!((client.created_at, client.lifetime_seconds, &*client.name), (NOW, None, "a"));
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Line::parse(&text);
        }

        #[test]
        fn parse_of_encode_is_the_same(name in "[a-z ]{0,5}[a-z]", scope in "[a-z]{1,9}", bits: [u8; 16], flags: [bool; 3], lifetime in proptest::option::of(1_u32..1_000_000)) {
            let (declared, _) = Line::parse(br#"{"version":1,"name":"a"}"#).unwrap().declare(NOW).unwrap();
            let mut client = declared.client(None, NOW).unwrap();
            (client.id, client.name) = (ClientId::from_random(bits), name.into());
            (client.scope, client.lifetime_seconds) = (Scope::parse(&scope).unwrap(), lifetime);
            [client.enabled, client.may_request_tokens, client.accepts_endpoint_audience] = flags;
            client.tokens_revoked_at = lifetime.map(|at| UnixTime::from_seconds(at.into()));
            let text = serde_json::to_vec(&Line::of(&client, None)).unwrap();
            let (read, _) = Line::parse(&text).unwrap().declare(UnixTime::from_seconds(5)).unwrap();
            prop_assert_eq!(read.client(None, NOW).unwrap(), client);
        }
    }
}
