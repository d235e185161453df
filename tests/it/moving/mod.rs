//! From one store to another: what `store copy` moves, how often it may be broken off, and what it refuses.

mod commands;
mod engine;
mod failing;
mod redis;
mod switch;

use futures_util::future::join_all;
use jeton::clock::{UnixDay, UnixTime};
use jeton::jwt::TokenId;
use jeton::keys::{MasterKey, SigningKey};
use jeton::oauth::{Algorithm, Audience, Client, ClientId, ClientSecret, Scope, SecretId, TokenFormat};
use jeton::store::assertions::UsedAssertion;
use jeton::store::transfer::{Outcome, Progress, Terms, Transfer, TransferError};
use jeton::store::{KeyRecords, Revocation, SecretUse, Store, TokenRecord};

use crate::support::Home;

const NEVER: u64 = 4_000_000_000;

/// Does something with stores on a runtime of its own.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

/// The client of this number, with something to be lost.
fn client(number: u32) -> Client {
    let hash = MasterKey::from_random([1; 32]).secret_hasher().hash(&number.to_string());
    let secret = |byte| ClientSecret {
        id: SecretId::from_random([byte; 6]),
        hash,
        created_at: UnixTime::from_seconds(7),
        expires_at: None,
    };
    Client {
        id: id(number),
        name: format!("client {number}").into(),
        enabled: !number.is_multiple_of(3),
        may_request_tokens: true,
        scope: Scope::parse("read write").unwrap(),
        default_scope: None,
        audience: Vec::new(),
        serves: Vec::new(),
        tokens_revoked_at: number.is_multiple_of(2).then(|| UnixTime::from_seconds(u64::from(number))),
        lifetime_seconds: None,
        alg: Algorithm::default(),
        format: TokenFormat::Opaque,
        secrets: vec![secret(1), secret(2)].into(),
        keys: Vec::new(),
        accepts_endpoint_audience: number.is_multiple_of(2),
        created_at: UnixTime::from_seconds(5),
        revision: 0,
    }
}

fn id(number: u32) -> ClientId {
    ClientId::parse(&format!("c_{number}")).unwrap()
}

fn use_of(number: u32, day: u32) -> SecretUse {
    SecretUse { client: id(number), secret: SecretId::from_random([1; 6]), day: UnixDay(day) }
}

fn token(number: u32) -> TokenRecord {
    TokenRecord {
        digest: MasterKey::from_random([1; 32]).token_hasher().hash(&number.to_string()),
        id: token_id(number),
        client: id(number),
        scope: Scope::parse("read").unwrap(),
        audience: vec![Audience::parse("https://api.example.com").unwrap()],
        issued_at: UnixTime::from_seconds(100),
        expires_at: UnixTime::from_seconds(NEVER + u64::from(number % 7)),
    }
}

fn token_id(number: u32) -> TokenId {
    let mut bits = [0; 16];
    bits[..4].copy_from_slice(&number.to_be_bytes());
    TokenId(bits)
}

fn revocation(number: u32) -> Revocation {
    Revocation { token: token_id(number), expires_at: UnixTime::from_seconds(NEVER) }
}

fn assertion(number: u32) -> UsedAssertion {
    UsedAssertion::new(&id(number % 3), &number.to_string(), UnixTime::from_seconds(NEVER + u64::from(number % 5)))
}

fn keys(seed: u8) -> KeyRecords {
    let (master, at) = (MasterKey::from_random([1; 32]), UnixTime::from_seconds(3));
    let key = SigningKey::seal(&[seed; 32], &master, [seed; 12], (at, at)).unwrap();
    KeyRecords { check: master.check(), keys: vec![key], revision: 0 }
}

/// Fills a store with `count` of everything; every client was written twice.
async fn fill(store: &dyn Store, count: u32) {
    for number in 0..count {
        let revision = store.put_client(client(number)).await.unwrap();
        store.put_client(Client { revision, ..client(number) }).await.unwrap();
        store.put_token(token(number)).await.unwrap();
        store.put_revocation(revocation(number)).await.unwrap();
        store.put_assertion(assertion(number)).await.unwrap();
    }
    store.put_secret_uses((0..count).map(|number| use_of(number, 20_000 + number)).collect()).await.unwrap();
    store.put_keys(keys(1)).await.unwrap();
}

fn terms() -> Terms<'static> {
    let random = [rand_bits(), rand_bits()];
    let from = UnixTime::from_seconds(NEVER - 1);
    Terms { from: "here", replaces: false, random, useful_from: from, replayable_from: from }
}

fn rand_bits() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).into()
}

/// Copies to the end.
async fn copy(source: &dyn Store, target: &dyn Store, terms: Terms<'_>) -> Result<Outcome, TransferError> {
    let progress = Progress::default();
    let mut transfer = Transfer::begin((source, target), terms, &progress).await?;
    let outcome = transfer.copy().await?;
    transfer.finish(None).await?;
    Ok(outcome)
}

impl Home {
    /// Fills the store with many clients, quickly; it must be there.
    fn fill_with_clients(&self, count: u32) {
        let store = self.store();
        run(async {
            for start in (0..count).step_by(500) {
                let puts = (start..count.min(start + 500)).map(|number| store.put_client(client(number)));
                for put in join_all(puts.collect::<Vec<_>>()).await {
                    put.unwrap();
                }
            }
        });
    }
}
