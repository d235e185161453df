//! A client that signs: a private key, the client that is registered with its public part, and assertions of all kinds.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton::keys::{SigningKey, private};
use jeton::oauth::Algorithm;
use serde_json::{Value, json};

use super::nursery::file;
use super::{API, Answer, Client, GRANT, Home, OTHER_API, Server};

/// What stands beside an assertion, as it is sent.
pub const KIND: &str = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// A client with a key of its own.
pub struct Signer {
    pub id: String,
    pub key: SigningKey,
    /// The private key, as `SigningKey::read` takes it.
    pub secret: Vec<u8>,
    made: Cell<u32>,
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn fresh(algorithm: Algorithm) -> (Vec<u8>, SigningKey) {
    let mut seed = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut seed).unwrap();
    let secret = private::generate(algorithm, &seed.into()).unwrap();
    (secret.to_vec(), SigningKey::read(algorithm, &secret).unwrap())
}

pub fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Signer {
    /// A client that may read and write at two resource servers, and has this key and no secret.
    pub fn register(home: &Home, algorithm: Algorithm) -> Self {
        Self::register_with(home, algorithm, &["--scope", "read write", "--audience", API, "--audience", OTHER_API])
    }

    pub fn register_with(home: &Home, algorithm: Algorithm, arguments: &[&str]) -> Self {
        let (secret, key) = fresh(algorithm);
        let jwks = file(&home.folder, &format!("{}.jwks", key.kid()), &format!("{{\"keys\":[{}]}}", key.jwk()));
        let arguments = [&["client", "add", "signer", "--jwks", jwks.to_str().unwrap()], arguments].concat();
        let id = home.json(&arguments)["client_id"].as_str().unwrap().to_owned();
        Self { id, key, secret, made: Cell::new(0) }
    }

    /// The same client with another key, which is not registered yet.
    pub fn with_another_key(&self, algorithm: Algorithm) -> Self {
        let (secret, key) = fresh(algorithm);
        Self { id: self.id.clone(), key, secret, made: Cell::new(0) }
    }

    /// The same key in the name of another client.
    pub fn under(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    /// A signer that signs in the name of a client with a secret.
    pub fn of(client: &Client, algorithm: Algorithm) -> Self {
        let (secret, key) = fresh(algorithm);
        Self { id: client.id.clone(), key, secret, made: Cell::new(0) }
    }

    /// Lets the client authenticate by this key as well.
    pub fn add_key(&self, home: &Home, arguments: &[&str]) {
        let jwk = file(&home.folder, &format!("{}.jwk", self.key.kid()), self.key.jwk());
        home.json(&[&["client", "key", "add", &self.id, jwk.to_str().unwrap()], arguments].concat());
    }

    /// The private key as libraries take it: only one of Ed25519 is kept as it stands there.
    pub fn private_jwk(&self) -> String {
        let mut jwk: Value = serde_json::from_str(self.key.jwk()).unwrap();
        assert_eq!(jwk["crv"], "Ed25519");
        jwk["d"] = URL_SAFE_NO_PAD.encode(&self.secret).into();
        jwk.to_string()
    }

    pub fn header(&self) -> Value {
        json!({"alg": self.key.algorithm(), "typ": "JWT", "kid": self.key.kid()})
    }

    /// The claims of a fresh assertion for this audience.
    pub fn claims(&self, audience: &str) -> Value {
        self.made.set(self.made.get() + 1);
        let jti = format!("{}-{}-{}", now(), self.key.kid(), self.made.get());
        json!({"iss": self.id, "sub": self.id, "aud": audience, "iat": now(), "exp": now() + 60, "jti": jti})
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A fresh assertion for this audience.
    pub fn assertion(&self, audience: &str) -> String {
        self.sign(&self.header(), &self.claims(audience))
    }

    /// Asks for a token by a fresh assertion.
    pub fn ask(&self, server: &Server) -> Answer {
        present(server, &self.assertion(&server.url()))
    }
}

/// The form that an assertion stands in.
pub fn form(assertion: &str) -> String {
    format!("{KIND}&client_assertion={assertion}")
}

/// Asks for a token by this assertion; again when the machine is so busy that nobody looked at it.
pub fn present(server: &Server, assertion: &str) -> Answer {
    let form = format!("{GRANT}&{}", form(assertion));
    super::wait_for("the request is admitted", || Some(server.token(&[], &form)).filter(|answer| answer.status != 503))
}

/// Until what was changed acts, which is a second at the most; more for a busy machine.
pub const SOON: Duration = Duration::from_secs(5);
