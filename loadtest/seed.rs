//! Fills a store with many clients, for measurements.
//!
//! `seed STORE_URL TEMPLATE COUNT`: copies the client `TEMPLATE` under the ids `c-0000000000`, `c-0000000001`, …, so
//! that all have its rights and its secret. The store's writer commits what waits together, so a million clients
//! take minutes and not hours. Clients that are there already stay as they are. A store in Redis needs
//! `JETON_MASTER_KEY_FILE`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a measuring instrument ends where it fails"
)]

use std::sync::Arc;

use jeton::config::{Config, RawConfig, master_key};
use jeton::oauth::{Client, ClientId};
use jeton::store::{OpenMode, Store, StoreError};

/// Writes that wait at a time; below the length of the store's queue.
const AT_ONCE: u64 = 768;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, template, count] = arguments.as_slice() else {
        eprintln!("usage: seed STORE_URL TEMPLATE COUNT");
        std::process::exit(2);
    };
    let mut raw = RawConfig::default();
    raw.read_environment(std::env::vars()).unwrap();
    raw.set_flag("store.url", Some(url.clone()), "STORE_URL").unwrap();
    let config = Config::from_raw(&raw).unwrap();
    let options = master_key::store_options(&config).unwrap();
    let store = config.store.url.open_with(OpenMode::MustExist, &options).unwrap();
    let count: u64 = count.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let template = store.find_client(template).await.unwrap().unwrap();
        fill(store, &template, count).await;
    });
}

async fn fill(store: Arc<dyn Store>, template: &Client, count: u64) {
    for first in (0..count).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let mut writes = tokio::task::JoinSet::new();
        for number in first..count.min(first + AT_ONCE) {
            let id = ClientId::parse(&format!("c-{number:010}")).unwrap();
            let (store, client) = (Arc::clone(&store), Client { id, revision: 0, ..template.clone() });
            writes.spawn(async move { store.put_client(client).await });
        }
        for written in writes.join_all().await {
            assert!(matches!(written, Ok(_) | Err(StoreError::Conflict)), "{written:?}");
        }
        if first % (AT_ONCE * 64) == 0 {
            eprint!("\r{first} of {count} clients");
        }
    }
    eprintln!("\r{count} clients in the store");
}
