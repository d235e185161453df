//! What is played in a simulated place, and what is seen of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jeton::store::Store;
use tokio::time::{Instant, sleep};

use crate::costs::{Cost, Costs};
use crate::people::{revocation, used};
use crate::reality::{self, Parts, Play, SETTLING};
use crate::world::{Node, Place, World};

/// Over how long the servers of a place are started, when that is not the point.
const STARTING: Duration = Duration::from_secs(10);
/// How many changes are watched until every server knows them.
const WATCHED: usize = 20;

/// What happens in a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events {
    /// Clients changed, per second.
    pub changes: f64,
    /// Tokens revoked, per second.
    pub revocations: f64,
}

/// What was seen of a while.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Of Redis, per second.
    pub rate: Cost,
    /// How long a change took to be known to every server, in milliseconds: the median and the longest.
    pub known_after: (f64, f64),
    /// Operations without an answer in time.
    pub late: u64,
}

/// Servers that know the clients that were used lately.
pub async fn warm(world: &Arc<World>, count: usize) -> Vec<Arc<Node>> {
    let starts: Vec<_> = (0..count)
        .map(|number| {
            let world = Arc::clone(world);
            tokio::spawn(async move {
                sleep(STARTING.mul_f64(number as f64 / count as f64)).await;
                Arc::new(world.start().await)
            })
        })
        .collect();
    let mut nodes = Vec::new();
    for start in starts {
        nodes.push(start.await.unwrap());
    }
    sleep(Duration::from_secs(2)).await;
    nodes
}

/// A while with these events.
pub async fn watch(world: &Arc<World>, nodes: &[Arc<Node>], events: Events, lasting: Duration) -> Seen {
    let began = (Instant::now(), world.machine.count());
    let writers = [
        tokio::spawn(change(Arc::clone(world), events.changes)),
        tokio::spawn(revoke(Arc::clone(world), events.revocations)),
    ];
    let mut took = Vec::new();
    if !nodes.is_empty() {
        let own = world.open();
        for number in 0..WATCHED {
            sleep_until_part(began.0, lasting, number).await;
            took.push(until_known(nodes, &*own, number).await);
        }
    }
    tokio::time::sleep_until(began.0 + lasting).await;
    writers.iter().for_each(tokio::task::JoinHandle::abort);
    let (seconds, count) = (began.0.elapsed().as_secs_f64(), world.machine.count());
    took.sort_by(f64::total_cmp);
    let known_after = (at(&took, 0.5), at(&took, 1.0));
    let rate = (count.cost - began.1.cost) * (1.0 / seconds);
    Seen { rate, known_after, late: count.late - began.1.late }
}

async fn sleep_until_part(began: Instant, lasting: Duration, number: usize) {
    let part = (number as f64 + rand::random::<f64>()) / (WATCHED + 1) as f64;
    tokio::time::sleep_until(began + lasting.mul_f64(part)).await;
}

/// A value of sorted ones, by its share of those below it.
pub fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * share).round() as usize).copied().unwrap_or_default()
}

async fn change(world: Arc<World>, per_second: f64) {
    let store = world.open();
    for number in 0.. {
        pause(per_second).await;
        let wanted = &world.ids[number % world.ids.len()];
        // Nobody counts on it: a Redis with too much to do refuses.
        if let Ok(Some(held)) = store.find_client(wanted.as_str()).await {
            let _ = store.put_client(held).await;
        }
    }
}

async fn revoke(world: Arc<World>, per_second: f64) {
    let store = world.open();
    for number in 1_000_000.. {
        pause(per_second).await;
        let _ = store.put_revocation(revocation(number)).await;
    }
}

/// Until the next of so many events a second, which come by chance.
async fn pause(per_second: f64) {
    let mean = if per_second > 0.0 { 1.0 / per_second } else { 1e6 };
    let chance: f64 = rand::random();
    sleep(Duration::from_secs_f64(-mean * (1.0 - chance).ln())).await;
}

/// From the acknowledgement of a revocation until every server knows it, in milliseconds.
async fn until_known(nodes: &[Arc<Node>], store: &dyn Store, number: usize) -> f64 {
    let revocation = revocation(number);
    let mut waiting: Vec<&Arc<Node>> = nodes.iter().collect();
    while store.put_revocation(revocation).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
    let acknowledged = Instant::now();
    let end = acknowledged + Duration::from_secs(30);
    while !waiting.is_empty() && Instant::now() < end {
        waiting.retain(|node| !node.app.revoked.contains(&revocation.token));
        sleep(Duration::from_millis(2)).await;
    }
    acknowledged.elapsed().as_secs_f64() * 1e3
}

/// What was seen of a start of all servers in the same moment.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// All that it cost Redis.
    pub cost: Cost,
    /// Until every server was ready, and until every server knew 99 of 100 clients, in seconds.
    pub ready: f64,
    pub warm: f64,
    /// How long clients took to be read, in milliseconds: the median, the 99th of 100, and the longest.
    pub reads: [f64; 3],
    /// Requests that were refused.
    pub refused: usize,
}

/// Starts them all at once, on clients that ask for tokens at this rate from the first moment.
pub async fn restart(world: &Arc<World>, count: usize, (asks, patience): (usize, Duration)) -> Start {
    let (began, before) = (Instant::now(), world.machine.count());
    let starts: Vec<_> = (0..count)
        .map(|_| {
            let world = Arc::clone(world);
            tokio::spawn(async move {
                let node = Arc::new(world.start().await);
                world.keep_asking(&node, asks);
                node
            })
        })
        .collect();
    let mut nodes = Vec::new();
    for start in starts {
        nodes.push(start.await.unwrap());
    }
    let mut seen = Start { ready: began.elapsed().as_secs_f64(), ..Start::default() };
    let known = |node: &Arc<Node>| node.app.authenticator.clients().len();
    while nodes.iter().map(known).sum::<usize>() * 100 < world.ids.len() * count * 99 && began.elapsed() < patience {
        sleep(Duration::from_millis(50)).await;
    }
    seen.warm = began.elapsed().as_secs_f64();
    let reads = world.machine.take_reads();
    seen.reads = [0.5, 0.99, 1.0].map(|share| at(&reads, share));
    seen.refused = world.refused.load(Ordering::Relaxed);
    seen.cost = world.machine.count().cost - before.cost;
    seen
}

/// The first uses of a day, of all clients on all servers at once: until they are written, in seconds, and what that
/// costs a second.
pub async fn midnight(world: &Arc<World>, nodes: &[Arc<Node>], clients: usize) -> (f64, Cost) {
    let (began, before, day) = (Instant::now(), world.machine.count(), world.clock.now().day());
    for node in nodes {
        for number in 0..clients {
            node.app.authenticator.uses().note(used(number, day));
        }
    }
    let is_waiting = |node: &Arc<Node>| {
        let uses = node.app.authenticator.uses();
        uses.take(1).into_iter().map(|used| uses.note(used)).count() > 0
    };
    while nodes.iter().any(is_waiting) && began.elapsed() < Duration::from_mins(10) {
        sleep(Duration::from_millis(100)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    (seconds, (world.machine.count().cost - before.cost) * (1.0 / seconds))
}

/// Redis is gone for a while: how many connections are made when it is back, and until every server follows it again,
/// in seconds.
pub async fn outage(world: &Arc<World>, nodes: &[Arc<Node>], lasting: Duration) -> (u64, f64) {
    world.machine.stop();
    sleep(lasting).await;
    let before = world.machine.count();
    world.machine.start();
    let back = Instant::now();
    let store = world.open();
    until_known(nodes, &*store, WATCHED).await;
    (world.machine.count().connections - before.connections, back.elapsed().as_secs_f64())
}

/// A usual place: all its clients are used.
pub fn place(clients: usize) -> Place {
    Place { clients, registered: clients, recent: clients, round_trip: Duration::from_micros(300) }
}

/// The same as [`crate::reality::play`].
pub fn rehearse(costs: &Costs, play: Play) -> Parts<Cost> {
    // Real servers find nobody's use noted either.
    simulate(costs, Place { recent: 0, ..place(play.clients) }, async |world| {
        let mut last = Cost::default();
        let mut since = |now: Cost| now - std::mem::replace(&mut last, now);
        let mut nodes = Vec::new();
        for _ in 0..play.servers {
            nodes.push(world.start().await);
        }
        for node in &nodes {
            (0..play.clients).for_each(|number| world.ask(node, number));
        }
        sleep(SETTLING).await;
        let start = since(world.machine.count().cost);
        sleep(play.lasting).await;
        let quiet = since(world.machine.count().cost);
        reality::write(&*world.open(), play).await;
        Parts { start, quiet, busy: since(world.machine.count().cost) }
    })
}

/// Runs a scene in simulated time.
pub fn simulate<T>(costs: &Costs, place: Place, scene: impl AsyncFnOnce(Arc<World>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { scene(World::new(costs, place).await).await })
}
