//! Values as they lie in Redis: a version, what a script compares, and JSON.
//!
//! `1 REVISION MARK JSON`; the revision of an opaque token is always 0. The mark is the master key's over the name, the
//! revision and the document, so that whoever can write to Redis cannot make a client of their own, or alter one. A
//! later version of the program may have added members; a write by this one keeps them ([`encode_over`]). A later
//! version of the layout itself is refused, never guessed at.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::jwt::TokenId;
use crate::keys::{KeyRecord, MasterKeyCheck, RecordSeal};
use crate::oauth::{Audience, Client, ClientId, Scope, SecretHash};
use crate::store::unknown::encode_over;
use crate::store::{KeyRecords, StoreError, TokenRecord};

/// The version of the layout: of the values here, of the names in `keys` and of the scripts.
pub const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct KeysDocument {
    check: MasterKeyCheck,
    keys: Vec<KeyRecord>,
}

#[derive(Serialize, Deserialize)]
struct TokenDocument {
    id: [u8; 16],
    client: ClientId,
    scope: Scope,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audience: Vec<Audience>,
    issued_at: UnixTime,
    expires_at: UnixTime,
}

fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(format!("the record of {what} cannot be read"))
}

/// The parts of a value.
struct Parts<'a> {
    revision: u64,
    mark: &'a str,
    document: &'a str,
}

impl<'a> Parts<'a> {
    fn of(value: &'a [u8], what: &str) -> Result<Self, StoreError> {
        let text = std::str::from_utf8(value).map_err(|_| damaged(what))?;
        let (version, rest) = text.split_once(' ').ok_or_else(|| damaged(what))?;
        match version.parse::<u32>() {
            Ok(VERSION) => {}
            Ok(newer) if newer > VERSION => {
                return Err(StoreError::Unusable(format!(
                    "the record of {what} has layout {newer}, this build knows up to {VERSION}: use a newer jeton"
                )));
            }
            _ => return Err(damaged(what)),
        }
        let mut parts = rest.splitn(3, ' ');
        let mut next = || parts.next().ok_or_else(|| damaged(what));
        Ok(Self { revision: next()?.parse().map_err(|_| damaged(what))?, mark: next()?, document: next()? })
    }

    /// The document, if it was written under our master key.
    fn document(&self, seal: &RecordSeal, name: &str) -> Result<&'a str, StoreError> {
        if seal.is_mark(self.mark, name, &signed(self.revision, self.document)) {
            return Ok(self.document);
        }
        Err(StoreError::Corrupt(format!("the record of {name} was altered, or written under another master key")))
    }
}

/// What a mark is made over, besides the name.
fn signed(revision: u64, document: &str) -> String {
    format!("{revision} {document}")
}

fn value(seal: &RecordSeal, name: &str, revision: u64, document: &str) -> String {
    format!("{VERSION} {revision} {} {document}", seal.mark(name, &signed(revision, document)))
}

/// The document of a record, with what only a newer version knows of the one that was held under this name.
fn over<T: Serialize + DeserializeOwned>(
    seal: &RecordSeal,
    record: &T,
    (held, name): (Option<&[u8]>, &str),
) -> Result<String, StoreError> {
    let held = held.map(|held| Parts::of(held, name)?.document(seal, name)).transpose()?;
    encode_over(record, held).map_err(|error| cannot_encode(&error))
}

fn cannot_encode(error: &serde_json::Error) -> StoreError {
    StoreError::Io(error.to_string())
}

fn name_of_client(id: &str) -> String {
    format!("client {}", id.escape_debug())
}

const NAME_OF_KEYS: &str = "the signing keys";

fn name_of_token(digest: SecretHash) -> String {
    format!("opaque token {}", String::from(digest))
}

/// The client of a value that was found under its id.
pub fn parse_client(seal: &RecordSeal, id: &str, value: &[u8]) -> Result<Client, StoreError> {
    let name = name_of_client(id);
    let parts = Parts::of(value, &name)?;
    let mut client: Client = serde_json::from_str(parts.document(seal, &name)?).map_err(|_| damaged(&name))?;
    if client.id.as_str() != id {
        return Err(StoreError::Corrupt(format!("the record of {name} is that of another client")));
    }
    client.revision = parts.revision;
    Ok(client)
}

/// The value of a client with this revision, in place of the one that was `held`.
pub fn encode_client(
    seal: &RecordSeal,
    client: &Client,
    revision: u64,
    held: Option<&[u8]>,
) -> Result<String, StoreError> {
    let (client, name) = (Client { revision, ..client.clone() }, name_of_client(client.id.as_str()));
    let document = over(seal, &client, (held, &name))?;
    Ok(value(seal, &name, revision, &document))
}

/// All keys of a value.
pub fn parse_keys(seal: &RecordSeal, value: &[u8]) -> Result<KeyRecords, StoreError> {
    let parts = Parts::of(value, NAME_OF_KEYS)?;
    let read = |document| serde_json::from_str::<KeysDocument>(document).map_err(|_| damaged(NAME_OF_KEYS));
    let document = parts.document(seal, NAME_OF_KEYS).or_else(|error| match read(parts.document) {
        // Whoever takes care of the keys says it in their own words; they open none of these.
        Ok(foreign) if !seal.is_under(&foreign.check) => Ok(parts.document),
        _ => Err(error),
    })?;
    let KeysDocument { check, keys } = read(document)?;
    Ok(KeyRecords { check, keys, revision: parts.revision })
}

/// The value of all keys with this revision, in place of the one that was `held`.
pub fn encode_keys(
    seal: &RecordSeal,
    records: &KeyRecords,
    revision: u64,
    held: Option<&[u8]>,
) -> Result<String, StoreError> {
    let document = KeysDocument { check: records.check.clone(), keys: records.keys.clone() };
    let document = over(seal, &document, (held, NAME_OF_KEYS))?;
    Ok(value(seal, NAME_OF_KEYS, revision, &document))
}

/// The token of a value that was found under its digest.
pub fn parse_token(seal: &RecordSeal, digest: SecretHash, value: &[u8]) -> Result<TokenRecord, StoreError> {
    let name = name_of_token(digest);
    let document = Parts::of(value, &name)?.document(seal, &name)?;
    let document = serde_json::from_str(document).map_err(|_| damaged(&name))?;
    let TokenDocument { id, client, scope, audience, issued_at, expires_at } = document;
    Ok(TokenRecord { digest, id: TokenId(id), client, scope, audience, issued_at, expires_at })
}

/// The value of a token.
pub fn encode_token(seal: &RecordSeal, token: &TokenRecord) -> Result<String, StoreError> {
    let TokenRecord { digest, id, client, scope, audience, issued_at, expires_at } = token.clone();
    let document = TokenDocument { id: id.0, client, scope, audience, issued_at, expires_at };
    let document = serde_json::to_string(&document).map_err(|error| cannot_encode(&error))?;
    Ok(value(seal, &name_of_token(digest), 0, &document))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::{MasterKey, SigningKey};
    use crate::oauth::client_key::{ClientKey, PublicJwk};
    use crate::oauth::{Algorithm, ClientSecret, SecretId, TokenFormat};

    /// With something in every member.
    fn client() -> Client {
        let at = UnixTime::from_seconds(7);
        let hash = MasterKey::from_random([1; 32]).secret_hasher().hash("x");
        let jwk = PublicJwk { kty: "OKP".into(), crv: None, x: None, y: None, n: None, e: None };
        let key = |byte: u8| ClientKey {
            kid: byte.to_string().into(),
            alg: Algorithm::EdDsa,
            jwk: jwk.clone(),
            created_at: at,
            expires_at: Some(at),
        };
        let secret =
            |byte| ClientSecret { id: SecretId::from_random([byte; 6]), hash, created_at: at, expires_at: Some(at) };
        Client {
            id: ClientId::parse("c_1").unwrap(),
            name: "a name".into(),
            enabled: true,
            may_request_tokens: true,
            scope: Scope::parse("read write").unwrap(),
            default_scope: Some(Scope::parse("read").unwrap()),
            audience: vec![Audience::parse("urn:a").unwrap()],
            serves: vec![Audience::parse("urn:b").unwrap()],
            tokens_revoked_at: Some(at),
            lifetime_seconds: Some(60),
            alg: Algorithm::Es256,
            format: TokenFormat::Opaque,
            secrets: vec![secret(1), secret(2)].into(),
            keys: vec![key(1), key(2)],
            accepts_endpoint_audience: true,
            created_at: at,
            revision: 0,
        }
    }

    fn keys() -> KeyRecords {
        let (master, at) = (MasterKey::from_random([1; 32]), UnixTime::from_seconds(7));
        let mut key = SigningKey::seal(&[3; 32], &master, [3; 12], (at, at)).unwrap();
        (key.retired_at, key.removed_at) = (Some(at), Some(at));
        KeyRecords { check: master.check(), keys: vec![key], revision: 4 }
    }

    fn seal() -> RecordSeal {
        RecordSeal::new(&MasterKey::from_random([1; 32]))
    }

    fn document(value: &str) -> Value {
        serde_json::from_str(value.splitn(4, ' ').nth(3).unwrap()).unwrap()
    }

    #[test]
    fn p17_members_of_a_newer_version_outlive_a_write_by_this_one() {
        let mut newer = document(&encode_client(&seal(), &client(), 3, None).unwrap());
        newer["colour"] = json!({"of": ["sky", 1.5]});
        newer["secrets"][0]["device"] = json!("hsm");
        newer["secrets"][1]["device"] = json!("gone with its secret");
        newer["keys"][1]["origin"] = json!("tpm");
        let held = value(&seal(), "client c_1", 3, &newer.to_string());
        let mut changed = parse_client(&seal(), "c_1", held.as_bytes()).unwrap();
        assert_eq!(changed.revision, 3);
        changed.secrets.remove(1);
        changed.keys.remove(0);
        changed.default_scope = None;
        let written = document(&encode_client(&seal(), &changed, 4, Some(held.as_bytes())).unwrap());
        assert_eq!(written["colour"], newer["colour"]);
        assert_eq!(written["secrets"][0]["device"], "hsm");
        assert_eq!(written["secrets"].as_array().unwrap().len(), 1);
        assert_eq!((&written["keys"][0]["origin"], written["keys"].as_array().unwrap().len()), (&json!("tpm"), 1));
        assert!(written.get("default_scope").is_none(), "what this version knows and took away stays away");

        let mut newer = document(&encode_keys(&seal(), &keys(), 4, None).unwrap());
        newer["keys"][0]["origin"] = json!("kms");
        newer["policy"] = json!(1);
        let held = value(&seal(), NAME_OF_KEYS, 4, &newer.to_string());
        let read = parse_keys(&seal(), held.as_bytes()).unwrap();
        assert_eq!(read, keys());
        let written = document(&encode_keys(&seal(), &read, 5, Some(held.as_bytes())).unwrap());
        assert_eq!((&written["keys"][0]["origin"], &written["policy"]), (&json!("kms"), &json!(1)));
    }

    #[test]
    fn d20_garbage_is_damage_and_a_newer_layout_is_said() {
        let sound = encode_client(&seal(), &client(), 1, None).unwrap();
        assert_eq!(parse_client(&seal(), "c_1", sound.as_bytes()).unwrap(), Client { revision: 1, ..client() });
        for garbage in ["", "1", "1 ", "1 x m {}", "1 1 m {}", "0 1 m {}", "x", "1 -1 m {}", "\u{0}", &sound[4..]] {
            let refused = parse_client(&seal(), "c_1", garbage.as_bytes());
            assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{garbage:?}: {refused:?}");
            assert!(parse_keys(&seal(), garbage.as_bytes()).is_err());
            assert!(parse_token(&seal(), SecretHash::DECOY, garbage.as_bytes()).is_err());
        }
        assert!(matches!(parse_client(&seal(), "c_1", b"\xff 1 m {}"), Err(StoreError::Corrupt(_))));
        assert!(
            matches!(parse_client(&seal(), "c_2", sound.as_bytes()), Err(StoreError::Corrupt(_))),
            "another client's"
        );
        assert!(parse_client(&seal(), "c_1", sound.replace("read write", "read write all").as_bytes()).is_err());
        let newer = parse_client(&seal(), "c_1", format!("2{}", &sound[1..]).as_bytes());
        assert!(matches!(newer, Err(StoreError::Unusable(ref text)) if text.contains("newer jeton")), "{newer:?}");
    }
}
