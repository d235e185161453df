//! Who and what there is in every run: clients that all have the same secret, and tokens.

use jeton::clock::{UnixDay, UnixTime};
use jeton::jwt::TokenId;
use jeton::keys::MasterKey;
use jeton::oauth::{
    Algorithm, Audience, Client, ClientId, ClientSecret, Scope, Secret, SecretHash, SecretId, TokenFormat,
};
use jeton::store::{Revocation, SecretUse, TokenRecord};

/// The noon of some day.
pub const NOON: UnixTime = UnixTime::from_seconds(1_800_014_400);

/// Not a secret of anyone.
pub fn master() -> MasterKey {
    MasterKey::from_random([1; 32])
}

/// What every client presents.
pub fn secret() -> Secret {
    Secret::from_random([2; 32])
}

/// Differs for each number and looks random.
fn bits<const BYTES: usize>(number: usize) -> [u8; BYTES] {
    let spread = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
    std::array::from_fn(|at| spread[at % 16])
}

pub fn id(number: usize) -> ClientId {
    ClientId::from_random(bits(number))
}

/// A usual one: a name, two scopes, one audience, one secret.
pub fn client(number: usize, hash: SecretHash) -> Client {
    Client {
        id: id(number),
        name: format!("backend {number}").into(),
        enabled: true,
        may_request_tokens: true,
        scope: Scope::parse("read write").unwrap(),
        default_scope: None,
        audience: vec![Audience::parse("https://api.example.com").unwrap()],
        serves: Vec::new(),
        tokens_revoked_at: None,
        lifetime_seconds: None,
        alg: Algorithm::default(),
        format: TokenFormat::default(),
        secrets: [ClientSecret { id: SecretId::from_random([7; 6]), hash, created_at: NOON, expires_at: None }].into(),
        keys: Vec::new(),
        accepts_endpoint_audience: false,
        created_at: NOON,
        revision: 0,
    }
}

pub fn used(number: usize, day: UnixDay) -> SecretUse {
    SecretUse { client: id(number), secret: SecretId::from_random([7; 6]), day }
}

/// Of a token that is valid for long after any run.
pub fn revocation(number: usize) -> Revocation {
    Revocation { token: TokenId(bits(number)), expires_at: UnixTime::from_seconds(NOON.seconds() + 864_000) }
}

/// An opaque token of an hour.
pub fn token(number: usize) -> TokenRecord {
    TokenRecord {
        digest: SecretHash::from_bytes(bits(number)),
        id: TokenId(bits(number)),
        client: id(number),
        scope: Scope::parse("read write").unwrap(),
        audience: vec![Audience::parse("https://api.example.com").unwrap()],
        issued_at: NOON,
        expires_at: UnixTime::from_seconds(NOON.seconds() + 3600),
    }
}
