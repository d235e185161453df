//! What a store in Redis promises beyond the contract of all stores.

mod document;
mod health;
mod news;
mod preload;
mod records;
mod replicas;

use std::sync::Arc;

use jeton::clock::UnixTime;
use jeton::keys::{MasterKey, RecordSeal};
use jeton::oauth::{Algorithm, Client, ClientId, ClientSecret, Scope, SecretId, TokenFormat};
use jeton::store::{OpenMode, RedisOptions, Store, StoreError, StoreOptions, StoreUrl};

/// The servers of one service have the same master key.
fn master() -> MasterKey {
    MasterKey::from_random([7; 32])
}

fn open(url: &str) -> Arc<dyn Store> {
    open_with(url, RedisOptions::default())
}

fn open_with(url: &str, redis: RedisOptions) -> Arc<dyn Store> {
    let options = StoreOptions { redis, seal: Some(RecordSeal::new(&master())) };
    StoreUrl::parse(url).unwrap().open_with(OpenMode::CreateIfMissing, &options).unwrap()
}

fn client(name: &str) -> Client {
    let at = UnixTime::from_seconds(7);
    let hash = master().secret_hasher().hash(name);
    Client {
        id: ClientId::parse(name).unwrap(),
        name: name.into(),
        enabled: true,
        may_request_tokens: true,
        scope: Scope::parse("read").unwrap(),
        default_scope: None,
        audience: Vec::new(),
        serves: Vec::new(),
        tokens_revoked_at: None,
        lifetime_seconds: None,
        alg: Algorithm::default(),
        format: TokenFormat::default(),
        secrets: [ClientSecret { id: SecretId::from_random([1; 6]), hash, created_at: at, expires_at: None }].into(),
        keys: Vec::new(),
        accepts_endpoint_audience: false,
        created_at: at,
        revision: 0,
    }
}

fn is_corrupt<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Corrupt(_)))
}
