//! store read: one client by its id from each backend, as when it is not in memory: in memory, from SQLite, from Redis.
//!
//! SQLite is read in a thread of its own and Redis over a connection, so most of both is the way there and back. The
//! Redis is a server that the bench starts on a free port. Without the program `redis-server` there is no figure for it,
//! and the bench says so; run as a test it fails then.
//!
//! `cargo bench --bench store`; one backend: `cargo bench --bench store -- Redis`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring instrument ends where it fails"
)]

#[allow(dead_code, reason = "what a server says of itself is the simulation's")]
#[path = "scaling/redis.rs"]
mod redis;
mod support;

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::Arc;

use criterion::{BenchmarkGroup, measurement::WallTime};
use jeton::admin::{Admin, ClientChange};
use jeton::keys::RecordSeal;
use jeton::store::{OpenMode, RedisOptions, Store, StoreOptions, StoreUrl};
use redis::Redis;
use support::{NOW, master};
use tokio::runtime::Runtime;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let redis = has_redis().then(Redis::start);
    let sqlite = format!("sqlite:{}/jeton.db", folder.path().display());
    let mut urls = vec![("memory", "memory:".to_owned()), ("SQLite", sqlite)];
    urls.extend(redis.as_ref().map(|redis| ("Redis", redis.url())));
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("store read");
    for (name, url) in &urls {
        read(&mut group, name, &runtime, url);
    }
    group.finish();
    criterion.final_summary();
}

/// Whether there is a Redis to start. Only a bench may do without.
fn has_redis() -> bool {
    let mut version = Command::new("redis-server");
    let found = version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::args().any(|argument| argument == "--bench"), "redis-server is missing");
        println!("store read/Redis is left out: redis-server is missing (apt-get install redis-server)");
    }
    found
}

/// One backend, with one client in it.
fn read(group: &mut BenchmarkGroup<WallTime>, name: &str, runtime: &Runtime, url: &str) {
    let (store, id) = runtime.block_on(async {
        let store = open(url);
        let admin = Admin::new(Arc::clone(&store), master(), NOW);
        let (client, _) = admin.add_client(ClientChange::default()).await.unwrap();
        (store, client.id)
    });
    group.bench_function(name, |bencher| {
        bencher.iter(|| assert!(runtime.block_on(store.find_client(black_box(id.as_str()))).unwrap().is_some()));
    });
}

fn open(url: &str) -> Arc<dyn Store> {
    let options = StoreOptions { redis: RedisOptions::default(), seal: Some(RecordSeal::new(&master())) };
    StoreUrl::parse(url).unwrap().open_with(OpenMode::CreateIfMissing, &options).unwrap()
}
