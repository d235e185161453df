//! A simulated place: one Redis, its clients, and as many servers as wanted, each of which is the real thing behind
//! [`NodeStore`]: the cache, the follower, the set of revocations, the uses of secrets.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jeton::app::{self, App, Opened, Survey};
use jeton::authenticator::Occasion;
use jeton::buffers::Buffers;
use jeton::clock::Clock;
use jeton::config::{Config, RawConfig};
use jeton::jwt::{Instants, SignQueue};
use jeton::metrics::Laps;
use jeton::oauth::{ClientAuth, ClientId, IssuerUrl};
use jeton::store::memory::MemoryStore;
use jeton::store::{KeyRecords, Store};
use tokio::time::{Instant, sleep};

use crate::costs::Costs;
use crate::model::Machine;
use crate::people::{NOON, client, id, master, secret};
use crate::store::NodeStore;

/// What a place is like.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Clients that are used.
    pub clients: usize,
    /// Clients that there are.
    pub registered: usize,
    /// Clients that were used lately, as Redis has it.
    pub recent: usize,
    /// From a server to Redis and back.
    pub round_trip: Duration,
}

/// The place.
pub struct World {
    pub memory: Arc<MemoryStore>,
    pub machine: Arc<Machine>,
    pub ids: Vec<ClientId>,
    pub clock: Clock,
    place: Place,
    secret: String,
    began: Instant,
    /// Requests that got no answer from the store.
    pub refused: AtomicUsize,
}

/// One server.
pub struct Node {
    pub app: Arc<App>,
}

impl World {
    pub async fn new(costs: &Costs, place: Place) -> Arc<Self> {
        let memory = Arc::new(MemoryStore::default());
        jeton::admin::unlock(&*memory, &master(), NOON).await.unwrap();
        let hash = master().secret_hasher().hash(secret().expose());
        for number in 0..place.clients {
            memory.put_client(client(number, hash)).await.unwrap();
        }
        let world = Arc::new(Self {
            memory,
            machine: Arc::new(Machine::new(costs.clone(), place.round_trip)),
            ids: (0..place.clients).map(id).collect(),
            clock: Clock::manual(NOON),
            place,
            secret: secret().expose().to_owned(),
            began: Instant::now(),
            refused: AtomicUsize::default(),
        });
        tokio::spawn(Arc::clone(&world).keep_time());
        world
    }

    /// Lets the wall clock go with the simulated one, and Redis do what it does by itself.
    async fn keep_time(self: Arc<Self>) {
        loop {
            self.clock.set(NOON.plus(self.began.elapsed()));
            sleep(Duration::from_millis(250)).await;
            self.machine.charge(self.machine.costs.alone * 0.25);
        }
    }

    /// A way to the store like that of a server.
    pub fn open(&self) -> Arc<NodeStore> {
        NodeStore::open(&self.memory, &self.machine, self.place)
    }

    /// Starts a server as `jeton serve` does.
    pub async fn start(&self) -> Node {
        let store = self.open();
        let dynamic: Arc<dyn Store> = store.clone();
        let config = config();
        let begun = async {
            let survey = Survey::begin(Arc::clone(&dynamic)).await.ok()?;
            dynamic.find_keys().await.ok()?;
            let records = app::begin(&dynamic, &master(), config.lead(), self.clock.now()).await.ok()?;
            Some((survey, records))
        };
        let begun = begun.await;
        let (survey, records) = begun.unzip();
        let none = || KeyRecords { check: master().check(), keys: Vec::new(), revision: 0 };
        let opened = Opened { store: dynamic, master: master(), records: records.unwrap_or_else(none) };
        let issuer = IssuerUrl::parse("https://issuer.example.com").unwrap();
        let (app, mut follower) = App::new(config, issuer, opened, self.clock.clone()).unwrap();
        match survey {
            Some(survey) => follower.take_over(survey),
            None => follower.begin_unaware(),
        }
        follower.step().await;
        follower.wait_for_preload().await;
        store.follow();
        tokio::spawn(follower.run());
        Node { app }
    }

    /// Asks a server for a token of a client, as far as the store has to do with it.
    pub fn ask(self: &Arc<Self>, node: &Node, number: usize) {
        let id = &self.ids[number % self.ids.len()];
        if self.recognise(&node.app, id) {
            return;
        }
        let (world, app, id) = (Arc::clone(self), Arc::clone(&node.app), id.clone());
        tokio::spawn(async move {
            if app.authenticator.clients().load(id.as_str()).await.is_err() {
                world.refused.fetch_add(1, Ordering::Relaxed);
            }
            world.recognise(&app, &id);
        });
    }

    fn recognise(&self, app: &App, id: &ClientId) -> bool {
        let auth = ClientAuth::from_post(Cow::Borrowed(id.as_str()), Cow::Borrowed(&self.secret)).unwrap();
        let (queue, buffers, laps) = (&SignQueue::default(), &Buffers::default(), &Laps::default());
        let trail = app.audit.trail(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let shard = app.metrics.shard(0);
        let now = self.clock.now();
        let client_key = OnceCell::new();
        let instants = &Instants::default();
        let occasion = Occasion { now, throttled: None, client_key, shard, queue, instants, buffers, laps, trail };
        app.authenticator.recognise(&auth, &occasion, |_| ()).is_some()
    }

    /// Asks a server for tokens of clients by chance, so many a second, for as long as the place is there.
    pub fn keep_asking(self: &Arc<Self>, node: &Arc<Node>, per_second: usize) {
        const TICKS: usize = 50;
        let (world, node) = (Arc::clone(self), Arc::clone(node));
        tokio::spawn(async move {
            loop {
                for _ in 0..per_second.div_ceil(TICKS) {
                    world.ask(&node, rand::random_range(0..usize::MAX));
                }
                sleep(Duration::from_secs(1) / TICKS as u32).await;
            }
        });
    }
}

/// The defaults, for one worker, since a simulated server has no sockets.
fn config() -> Config {
    let mut raw = RawConfig::default();
    raw.read_toml("[serve]\nworkers = 1\n", "simulation").unwrap();
    Config::from_raw(&raw).unwrap()
}
