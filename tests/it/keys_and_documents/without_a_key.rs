//! A server in this process whose clock stands where the test puts it: the states of keys by time.

use std::net::SocketAddr;
use std::sync::Arc;

use jeton::admin::{Admin, ClientChange, unlock};
use jeton::app::{App, Follower, Opened};
use jeton::clock::{Clock, UnixTime};
use jeton::config::{Config, RawConfig};
use jeton::http::{self, Bound};
use jeton::keys::MasterKey;
use jeton::oauth::{IssuerUrl, Scope};
use jeton::store::Store;
use jeton::store::memory::MemoryStore;
use tokio::runtime::Runtime;

use super::{JWKS, keys, kid, verifies};
use crate::support::{Answer, Client, GRANT, Wire, get};

const MADE: u64 = 1_000_000;

struct Inside {
    clock: Clock,
    store: Arc<dyn Store>,
    follower: Follower,
    runtime: Runtime,
    client: Client,
    app: Arc<App>,
    address: String,
    ops_address: String,
    _servers: [http::Server; 2],
}

impl Inside {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (clock, store) = (Clock::manual(UnixTime::from_seconds(MADE)), Arc::new(MemoryStore::default()));
        let store: Arc<dyn Store> = store;
        let master = || MasterKey::from_random([7; 32]);
        let records = runtime.block_on(unlock(&*store, &master(), clock.now())).unwrap();
        let admin = Admin::new(Arc::clone(&store), master(), clock.now());
        let change = ClientChange {
            name: Some("test".to_owned()),
            scope: Some(Scope::parse("read").unwrap()),
            ..ClientChange::default()
        };
        let (client, new) = runtime.block_on(admin.add_client(change)).unwrap();
        let client =
            Client { id: client.id.to_string(), secret: new.secret.expose().to_owned(), secret_id: new.id.to_string() };
        let mut raw = RawConfig::default();
        raw.read_toml("[serve]\nworkers = 1\n", "test").unwrap();
        let config = Config::from_raw(&raw).unwrap();
        let free = || Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let (public, ops) = (free(), free());
        let (address, ops_address) = (public.address().to_string(), ops.address().to_string());
        let issuer = IssuerUrl::parse(&format!("http://{address}")).unwrap();
        let opened = Opened { store: Arc::clone(&store), master: master(), records };
        let (app, follower) = App::new(config, issuer, opened, clock.clone()).unwrap();
        let servers = [http::serve(&app, public).unwrap(), http::serve_ops(&app, ops).unwrap()];
        let mut this = Self { clock, store, follower, runtime, client, app, address, ops_address, _servers: servers };
        this.at(MADE);
        this
    }

    /// Moves the clock, and lets the follower look at it.
    fn at(&mut self, seconds: u64) {
        self.clock.set(UnixTime::from_seconds(seconds));
        self.runtime.block_on(self.follower.step());
    }

    fn rotate(&mut self) {
        let admin = Admin::new(Arc::clone(&self.store), MasterKey::from_random([7; 32]), self.clock.now());
        self.runtime.block_on(admin.rotate_keys(self.app.config.lead())).unwrap();
        self.runtime.block_on(self.follower.step());
    }

    fn ask(&self) -> Answer {
        let mut wire = Wire::connect(&self.address);
        wire.post("/oauth2/token", &[("Authorization", &self.client.basic())], GRANT);
        wire.answer()
    }

    fn published(&self) -> Vec<String> {
        keys(&get(&self.address, JWKS).json()).into_keys().collect()
    }
}

#[test]
fn t218_without_a_usable_key_the_answer_is_503_and_nothing_is_unsigned() {
    let mut inside = Inside::start();
    let token = inside.ask().access_token();
    assert!(verifies(&token, &keys(&get(&inside.address, JWKS).json())));
    assert_eq!(get(&inside.ops_address, "/readyz").status, 200);
    // A clock before the first key's activation: no key may sign.
    inside.at(MADE - 1);
    for _ in 0..3 {
        let answer = inside.ask();
        assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"));
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.json().get("access_token").is_none() && !answer.text().contains("eyJ"), "{}", answer.text());
    }
    assert_eq!(get(&inside.ops_address, "/readyz").status, 503);
    assert_eq!(get(&inside.ops_address, "/livez").status, 200);
    inside.at(MADE);
    assert!(verifies(&inside.ask().access_token(), &keys(&get(&inside.address, JWKS).json())));
    assert_eq!(get(&inside.ops_address, "/readyz").status, 200);
}

#[test]
fn j05_t215_t218_a_key_signs_and_stands_in_the_set_for_exactly_its_time() {
    let mut inside = Inside::start();
    let old = kid(&inside.ask().access_token());
    inside.rotate();
    let lead = inside.app.config.lead();
    let (before, after) = (lead.before_use.as_secs(), lead.after_use.as_secs());
    let settings = &inside.app.config;
    assert!(lead.before_use > settings.keys.jwks_max_age + settings.keys.clock_skew, "and the spread");
    assert!(lead.after_use >= settings.token.max_lifetime + settings.keys.clock_skew);
    assert_eq!(inside.published().len(), 2, "published at once");
    inside.at(MADE + before - 1);
    assert_eq!(kid(&inside.ask().access_token()), old, "still the old one");
    inside.at(MADE + before);
    let new = kid(&inside.ask().access_token());
    assert_ne!(new, old);
    inside.at(MADE + before + after - 1);
    assert_eq!(inside.published().len(), 2, "its last token may still be valid");
    assert_eq!(kid(&inside.ask().access_token()), new);
    inside.at(MADE + before + after);
    assert_eq!(inside.published(), std::slice::from_ref(&new));
    assert_eq!(kid(&inside.ask().access_token()), new);
}
