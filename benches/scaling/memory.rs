//! What a client, a revocation and a token take, in Redis and in a server.

use std::time::Duration;

use tokio::time::sleep;

use crate::people::{NOON, revocation, token, used};
use crate::reality::{SETTLING, Server, furnish, register};
use crate::redis::Redis;

/// How many uses go to the store at a time, as the follower has it.
const USES_AT_ONCE: usize = 1000;

/// Bytes of one of each.
#[derive(Debug, Default)]
pub struct Bytes {
    /// In Redis.
    pub client: f64,
    pub used: f64,
    pub revocation: f64,
    pub token: f64,
    /// In a server, which asked for all.
    pub known: f64,
    pub revoked: f64,
}

/// Measures with so many of each. What a write leaves behind for a few seconds is given `patience` to go.
pub async fn measure(count: usize, patience: Duration) -> Bytes {
    let (mut redis, store) = furnish(0).await;
    let (many, mut last) = (count as f64, redis.usage().memory);
    let mut grown = async |redis: &mut Redis| {
        sleep(patience).await;
        let now = redis.usage().memory;
        (now - std::mem::replace(&mut last, now)) / many
    };
    register(&*store, count).await;
    let client = grown(&mut redis).await;
    for number in 0..count {
        store.put_token(token(number)).await.unwrap();
    }
    let token = grown(&mut redis).await;
    for first in (0..count).step_by(USES_AT_ONCE) {
        let some = first..count.min(first + USES_AT_ONCE);
        store.put_secret_uses(some.map(|number| used(number, NOON.day())).collect()).await.unwrap();
    }
    let used = grown(&mut redis).await;
    let (folder, url) = (tempfile::tempdir().unwrap(), redis.url());
    let mut server = Server::start(&url, folder.path());
    // What a server needs in any case.
    server.ask(0);
    sleep(SETTLING).await;
    let before = server.memory();
    (0..count).for_each(|number| server.ask(number));
    sleep(SETTLING).await;
    let after = server.memory();
    grown(&mut redis).await;
    for number in 0..count {
        store.put_revocation(revocation(number)).await.unwrap();
    }
    let revocation = grown(&mut redis).await;
    sleep(SETTLING).await;
    let revoked = (server.memory() - after) / many;
    Bytes { client, used, revocation, token, known: (after - before) / many, revoked }
}
