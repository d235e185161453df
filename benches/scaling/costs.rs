//! What each operation of the store costs Redis: commands, round trips, processor time and bytes, measured with the
//! backend as it is, over a real server, on the machine at hand. The simulation goes by nothing else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::{Add, Mul, Sub};
use std::sync::Arc;
use std::time::Duration;

use jeton::clock::{UnixDay, UnixTime};
use jeton::keys::RecordSeal;
use jeton::store::assertions::UsedAssertion;
use jeton::store::{Cursor, OpenMode, RedisOptions, Store, StoreError, StoreOptions, StoreUrl};

use crate::people::{NOON, client, id, master, revocation, secret, token, used};
use crate::redis::{Redis, Usage};

/// Listeners whose calls are measured.
const LISTENERS: u16 = 100;
/// Stores that are opened to see what an idle one does.
const IDLE: usize = 10;
/// How many revocations one reading takes, as the follower has it.
pub const LIMIT: usize = 10_000;
/// How often the feed grows a little.
const ROUNDS: usize = 10;
/// On how many days secrets are used.
const DAYS: usize = 5;

/// What something costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub commands: f64,
    pub trips: f64,
    pub micros: f64,
    pub bytes: f64,
}

impl Cost {
    fn of(usage: &Usage, count: usize) -> Self {
        let whole = Self { commands: usage.commands, trips: usage.trips, micros: usage.micros, bytes: usage.bytes };
        whole * (1.0 / count as f64)
    }

    /// No measurement is below nothing, whatever its noise.
    fn at_least_nothing(self) -> Self {
        let Self { commands, trips, micros, bytes } = self;
        Self { commands: commands.max(0.0), trips: trips.max(0.0), micros: micros.max(0.0), bytes: bytes.max(0.0) }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            commands: self.commands + other.commands,
            trips: self.trips + other.trips,
            micros: self.micros + other.micros,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Mul<f64> for Cost {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self {
            commands: self.commands * factor,
            trips: self.trips * factor,
            micros: self.micros * factor,
            bytes: self.bytes * factor,
        }
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        (self + other * -1.0).at_least_nothing()
    }
}

/// What costs more the more it brings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slope {
    pub base: Cost,
    pub each: Cost,
}

impl Slope {
    /// Through two measurements.
    fn through((few, least): (usize, Cost), (many, most): (usize, Cost)) -> Self {
        let each = (most - least) * (1.0 / (many - few) as f64);
        Self { base: least - each * few as f64, each }
    }

    pub fn at(&self, count: usize) -> Cost {
        self.base + self.each * count as f64
    }
}

/// The operations of a store, and what goes on without any.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    pub find_client: Cost,
    pub find_keys: Cost,
    pub find_note: Cost,
    pub put_note: Cost,
    pub put_client: Cost,
    pub put_revocation: Cost,
    pub put_token: Cost,
    pub find_token: Cost,
    pub put_assertion: Cost,
    /// By entries.
    pub news: Slope,
    /// By revocations.
    pub revocations: Slope,
    /// By clients, in the order of their last use.
    pub recent: Slope,
    /// By uses that are the first of their day, and by those that another server has told already.
    pub uses: Slope,
    pub uses_again: Slope,
    pub turn: Cost,
    pub purge: Cost,
    /// By clients that there are.
    pub check: Slope,
    pub connect: Cost,
    pub listen: Cost,
    /// Of Redis itself, and of each server that does nothing, for a second.
    pub alone: Cost,
    pub idle: Cost,
    /// Of a write, for each server that listens.
    pub call: Cost,
    /// Bytes that Redis needs for a connection.
    pub connection_bytes: f64,
}

/// A store like that of a server, which never gives up.
pub fn open(url: &str) -> Arc<dyn Store> {
    let redis = RedisOptions { deadline: Duration::from_secs(30), ..RedisOptions::default() };
    let options = StoreOptions { redis, seal: Some(RecordSeal::new(&master())) };
    StoreUrl::parse(url).unwrap().open_with(OpenMode::CreateIfMissing, &options).unwrap()
}

/// The cost of one of `count` calls.
async fn each<T>(redis: &mut Redis, count: usize, call: impl AsyncFn(usize) -> Result<T, StoreError>) -> Cost {
    let work = async {
        for number in 0..count {
            call(number).await.unwrap();
        }
    };
    let (usage, ()) = redis.during(work).await;
    Cost::of(&usage, count)
}

impl Costs {
    /// Measures them on an empty server, which holds `count` clients afterwards.
    pub async fn measure(redis: &mut Redis, count: usize, idle: Duration) -> Self {
        let alone = per_second(redis, idle).await;
        let store = &*open(&redis.url());
        jeton::admin::unlock(store, &master(), UnixTime::from_seconds(1)).await.unwrap();
        let empty = each(redis, 5, async |_| store.check().await).await;
        let start = store.changes_since(None).await.unwrap().cursor;
        let hash = master().secret_hasher().hash(secret().expose());
        each(redis, count, async |number| store.put_client(client(number, hash)).await).await;
        let find_note = each(redis, count, async |_| store.find_note("lead").await).await;
        let mut costs = Self {
            find_client: each(redis, count, async |number| store.find_client(id(number).as_str()).await).await,
            find_keys: each(redis, count, async |_| store.find_keys().await).await,
            alone,
            find_note,
            put_note: each(redis, 1, async |_| store.put_note("lead", None, Some("1 1")).await).await,
            check: Slope::through((0, empty), (count, each(redis, 5, async |_| store.check().await).await)),
            ..Self::default()
        };
        costs.measure_writes(redis, store, count).await;
        costs.measure_tokens(redis, store, count).await;
        costs.measure_news(redis, store, (start, count)).await;
        costs.measure_uses(redis, store, count).await;
        costs.measure_purge(redis, store).await;
        costs.measure_idleness(redis, idle).await;
        costs
    }

    async fn measure_writes(&mut self, redis: &mut Redis, store: &dyn Store, count: usize) {
        let rewrite = async |number: usize| {
            let held = store.find_client(id(number % count).as_str()).await?;
            store.put_client(held.unwrap()).await
        };
        self.put_client = each(redis, count, rewrite).await - self.find_client;
        self.put_revocation = each(redis, count, async |number| store.put_revocation(revocation(number)).await).await;
        let listeners: Vec<_> = (0..LISTENERS).map(|_| listener(redis)).collect();
        let heard = each(redis, count.min(300), rewrite).await - self.find_client;
        self.call = Cost { commands: 0.0, trips: 0.0, ..(heard - self.put_client) * (1.0 / f64::from(LISTENERS)) };
        drop(listeners);
    }

    /// What no scene has, since it comes with every request of some clients and depends on nothing else.
    async fn measure_tokens(&mut self, redis: &mut Redis, store: &dyn Store, count: usize) {
        let used = |number: usize| UsedAssertion::new(&id(number), "jti", NOON);
        self.put_token = each(redis, count, async |number| store.put_token(token(number)).await).await;
        self.find_token = each(redis, count, async |number| store.find_token(token(number).digest).await).await;
        self.put_assertion = each(redis, count, async |number| store.put_assertion(used(number)).await).await;
    }

    async fn measure_news(&mut self, redis: &mut Redis, store: &dyn Store, (start, count): (Cursor, usize)) {
        let news = async |cursor| store.news_since(Some(cursor), Cursor::default(), LIMIT).await;
        // A stream is made of blocks, and what a look at its end costs depends on how full the last one is.
        let mut none = Cost::default();
        for round in 0..ROUNDS {
            for number in 0..100 / ROUNDS {
                store.put_revocation(revocation(count + 100 * round + number)).await.unwrap();
            }
            let end = store.changes_since(None).await.unwrap().cursor;
            let looks = each(redis, count.div_ceil(ROUNDS), async |_| news(end).await).await;
            none = none + looks * (1.0 / ROUNDS as f64);
        }
        let all = news(start).await.unwrap();
        let entries = all.changes.entries.len() + all.revocations.entries.len();
        self.news = Slope::through((0, none), (entries, each(redis, 20, async |_| news(start).await).await));
        let revoked = async |limit| store.revocations_since(Cursor::default(), limit).await;
        self.revocations = Slope::through(
            (1, each(redis, 20, async |_| revoked(1).await).await),
            (count, each(redis, 20, async |_| revoked(count).await).await),
        );
    }

    async fn measure_uses(&mut self, redis: &mut Redis, store: &dyn Store, count: usize) {
        let note = async |day: usize, count: usize| {
            let day = UnixDay(NOON.day().0 + u32::try_from(day).unwrap());
            store.put_secret_uses((0..count).map(|number| used(number, day)).collect()).await
        };
        let one = each(redis, DAYS, async |day| note(day, 1).await).await;
        let again = each(redis, DAYS, async |_| note(DAYS - 1, 1).await).await;
        let many = each(redis, DAYS, async |day| note(DAYS + day, count).await).await;
        let many_again = each(redis, DAYS, async |_| note(DAYS, count).await).await;
        self.uses = Slope::through((1, one), (count, many));
        self.uses_again = Slope::through((1, again), (count, many_again));
        self.recent = Slope::through(
            (1, each(redis, 20, async |_| store.list_recent_clients(0, 1).await).await),
            (count, each(redis, 20, async |_| store.list_recent_clients(0, count).await).await),
        );
    }

    async fn measure_purge(&mut self, redis: &mut Redis, store: &dyn Store) {
        let purge = async |_| {
            let before = UnixTime::from_seconds(1);
            store.purge_revocations(before, 1000).await?;
            store.purge_tokens(before, 1000).await?;
            store.purge_assertions(before, 1000).await
        };
        self.purge = each(redis, 20, purge).await;
        let period = Duration::from_mins(10);
        self.turn = each(redis, 20, async |_| store.take_turn("bench", period).await).await;
    }

    /// What a server costs that does nothing: its connections, and what they do by themselves.
    async fn measure_idleness(&mut self, redis: &mut Redis, idle: Duration) {
        let url = redis.url();
        let connect = async {
            let stores: Vec<_> = (0..IDLE).map(|_| open(&url)).collect();
            for store in &stores {
                store.find_note("lead").await.unwrap();
            }
            stores
        };
        let (usage, stores) = redis.during(connect).await;
        self.connect = Cost::of(&usage, IDLE) - self.find_note;
        self.connection_bytes = usage.memory / IDLE as f64;
        let listen = async {
            for store in &stores {
                // Asking once is what begins it.
                drop(tokio::time::timeout(Duration::from_millis(1), store.changed()).await);
            }
            while stores.iter().any(|store| !store.tells_changes()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        self.listen = Cost::of(&redis.during(listen).await.0, IDLE);
        self.idle = (per_second(redis, idle).await - self.alone) * (1.0 / IDLE as f64);
    }
}

/// What Redis does while nobody asks for anything.
async fn per_second(redis: &mut Redis, lasting: Duration) -> Cost {
    let (usage, ()) = redis.during(tokio::time::sleep(lasting)).await;
    Cost::of(&usage, 1) * (1.0 / lasting.as_secs_f64())
}

fn listener(redis: &Redis) -> TcpStream {
    let mut stream = redis.connect();
    stream.write_all(b"SUBSCRIBE {jeton}:changed\r\n").unwrap();
    let read = stream.read(&mut [0; 256]).unwrap();
    assert!(read > 0, "it is subscribed once it was told so");
    stream
}
