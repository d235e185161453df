//! The tables, as the document has them.

use std::time::Duration;

use jeton::store::Store as _;

use crate::costs::{Cost, Costs};
use crate::memory::Bytes;
use crate::reality::{Parts, Play};
use crate::redis::Usage;
use crate::scene::{self, Events, place, simulate};
use crate::world::Place;

/// How much of everything.
pub struct Scale {
    /// How often each operation is measured.
    pub operations: usize,
    /// How long nothing is done to see what that costs.
    pub idle: Duration,
    /// Records whose memory is measured.
    pub records: usize,
    pub play: Play,
    /// Numbers of servers.
    servers: &'static [usize],
    /// Clients that they all know, and that come back to them after a restart.
    clients: usize,
    /// How long a scene lasts.
    lasting: Duration,
}

impl Scale {
    pub const FULL: Self = Self {
        operations: 1000,
        idle: Duration::from_secs(20),
        records: 50_000,
        play: Play { servers: 4, clients: 1000, lasting: Duration::from_secs(30), writes: 50.0 },
        servers: &[10, 100, 1000],
        clients: 500,
        lasting: Duration::from_secs(30),
    };
    pub const SHORT: Self = Self {
        operations: 60,
        idle: Duration::from_secs(2),
        records: 100,
        play: Play { servers: 2, clients: 50, lasting: Duration::from_secs(5), writes: 10.0 },
        servers: &[20],
        clients: 20,
        lasting: Duration::from_secs(20),
    };
}

type Scene = fn(&Costs, &Scale) -> bool;

/// What is played, by name; each says whether what it saw is as it must be.
pub const SCENES: [(&str, Scene); 5] =
    [("steady", steady), ("restart", restart), ("midnight", midnight), ("outage", outage), ("regions", regions)];

/// The promise, in milliseconds.
const PROMISE: f64 = 1000.0;

fn head(title: &str, columns: &[&str]) {
    println!("{title}\n\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
}

pub fn costs(costs: &Costs) {
    head("What Redis does for one of each", &["operation", "commands", "round trips", "CPU, us", "bytes"]);
    let of_many = 500;
    for (name, cost) in [
        ("a client that is not in memory", costs.find_client),
        ("a look at the feed that finds nothing", costs.news.base),
        ("for each entry that it finds", costs.news.each),
        ("a client is changed", costs.put_client),
        ("a token is revoked", costs.put_revocation),
        ("for each server that is told of a write", costs.call),
        ("an opaque token is issued", costs.put_token),
        ("and looked up", costs.find_token),
        ("an assertion of a client is used", costs.put_assertion),
        ("500 first uses of secrets", costs.uses.at(of_many)),
        ("500 that were told already", costs.uses_again.at(of_many)),
        ("removing what has expired, by one server every 10 s", costs.purge),
        ("the others' question whose turn that is", costs.turn),
        ("500 clients that were used last, at a start", costs.recent.at(of_many)),
        ("the look over the store at a start, with 500 clients", costs.check.at(of_many)),
        ("500 revocations at a start", costs.revocations.at(of_many)),
        ("the connection for all requests", costs.connect),
        ("the connection for calls", costs.listen),
        ("a server that does nothing, for a second", costs.idle),
        ("Redis itself, for a second", costs.alone),
    ] {
        let Cost { commands, trips, micros, bytes } = cost;
        println!("| {name} | {commands:.1} | {trips:.1} | {micros:.1} | {bytes:.0} |");
    }
    println!();
}

pub fn memory(bytes: &Bytes, costs: &Costs) {
    head("Bytes", &["of", "in Redis", "in a server that knows it"]);
    println!("| a client | {:.0} | {:.0} |", bytes.client, bytes.known);
    println!("| the day of a secret's last use | {:.0} | |", bytes.used);
    println!("| a revocation | {:.0} | {:.0} |", bytes.revocation, bytes.revoked);
    println!("| an opaque token | {:.0} | |", bytes.token);
    println!("| a connection | {:.0} | |\n", costs.connection_bytes);
}

/// How far the simulation is from reality at the worst, in commands.
pub fn reality(play: Play, real: &Parts<Usage>, simulated: &Parts<Cost>) -> f64 {
    let Play { servers, clients, lasting, writes } = play;
    let title = format!(
        "{servers} real servers and as many simulated ones, {clients} clients; {} s without anything, and {} s with \
         {writes} clients changed and as many tokens revoked a second",
        lasting.as_secs(),
        lasting.as_secs(),
    );
    head(&title, &["part", "commands", "simulated", "CPU, ms", "simulated"]);
    let mut worst: f64 = 0.0;
    for (name, real, simulated) in [
        ("start, and a token for every client", &real.start, simulated.start),
        ("nothing", &real.quiet, simulated.quiet),
        ("changes", &real.busy, simulated.busy),
    ] {
        let off = simulated.commands / real.commands - 1.0;
        worst = worst.max(off.abs());
        println!(
            "| {name} | {:.0} | {:.0} ({:+.0} %) | {:.0} | {:.0} ({:+.0} %) |",
            real.commands,
            simulated.commands,
            100.0 * off,
            real.micros / 1e3,
            simulated.micros / 1e3,
            100.0 * (simulated.micros / real.micros - 1.0)
        );
    }
    println!();
    for (name, usage) in [("start", &real.start), ("nothing", &real.quiet), ("changes", &real.busy)] {
        let calls: Vec<String> = usage.by_name.iter().map(|(name, calls)| format!("{name} {calls}")).collect();
        println!("{name}: {}", calls.join(", "));
    }
    println!();
    worst
}

/// What happens, per second: the share of 10⁶ clients that is changed in an hour, and revocations.
const EVENTS: [(&str, Events); 4] = [
    ("nothing", Events { changes: 0.0, revocations: 0.0 }),
    ("1 % of 10^6 clients an hour", Events { changes: 2.8, revocations: 0.0 }),
    ("10 % of 10^6 clients an hour", Events { changes: 27.8, revocations: 0.0 }),
    ("100 revocations a second", Events { changes: 0.0, revocations: 100.0 }),
];

fn steady(costs: &Costs, scale: &Scale) -> bool {
    let columns = [
        "servers",
        "what is changed",
        "commands/s per server",
        "KB/s per server",
        "commands/s",
        "Redis busy",
        "known to all after, ms: median",
        "longest",
        "late",
    ];
    head("All clients in memory", &columns);
    let mut is_kept = true;
    for servers in scale.servers {
        for (name, events) in EVENTS {
            let seen = simulate(costs, place(scale.clients), async |world| {
                let nodes = scene::warm(&world, *servers).await;
                scene::watch(&world, &nodes, events, scale.lasting).await
            });
            let Cost { commands, micros, bytes, .. } = seen.rate;
            let (median, longest) = seen.known_after;
            let each = *servers as f64;
            println!(
                "| {servers} | {name} | {:.1} | {:.1} | {commands:.0} | {:.1} % | {median:.0} | {longest:.0} | {} |",
                commands / each,
                bytes / each / 1e3,
                micros / 1e4,
                seen.late
            );
            is_kept &= *servers > 100 || events.revocations > 0.0 || longest <= PROMISE;
        }
    }
    println!();
    is_kept
}

fn restart(costs: &Costs, scale: &Scale) -> bool {
    let columns = [
        "servers",
        "registered clients",
        "revocations",
        "known to have been used",
        "commands per server so far",
        "CPU of Redis so far, s",
        "all ready after, s",
        "all warm after, s",
        "a client is read in, ms: median",
        "99 %",
        "longest",
        "refused",
    ];
    head(
        &format!("All servers start at once, {} clients ask each of them 200 times a second", scale.clients),
        &columns,
    );
    let mut is_well = true;
    for servers in scale.servers {
        let used = scale.clients;
        for (registered, revocations, recent) in
            [(used, 0, 0), (used, 0, used), (used, 10_000, used), (100_000, 0, used)]
        {
            let whole = Place { registered, recent, ..place(scale.clients) };
            let seen = simulate(costs, whole, async |world| {
                for number in 0..revocations {
                    world.memory.put_revocation(crate::people::revocation(number)).await.unwrap();
                }
                scene::restart(&world, *servers, (200, Duration::from_mins(1))).await
            });
            let [median, late, longest] = seen.reads;
            println!(
                "| {servers} | {registered} | {revocations} | {recent} | {:.0} | {:.1} | {:.1} | {:.1} | {median:.1} | {late:.1} | {longest:.0} | {} |",
                seen.cost.commands / *servers as f64,
                seen.cost.micros / 1e6,
                seen.ready,
                seen.warm,
                seen.refused
            );
            is_well &= *servers > 100 || seen.warm < 60.0;
        }
    }
    println!();
    is_well
}

fn midnight(costs: &Costs, scale: &Scale) -> bool {
    let clients = scale.clients * 4;
    head(
        &format!("After midnight: {clients} clients were used on every server"),
        &["servers", "uses", "all written after, s", "Redis busy", "uses/s"],
    );
    for servers in scale.servers {
        let (seconds, rate) = simulate(costs, place(clients), async |world| {
            let nodes = scene::warm(&world, *servers).await;
            scene::midnight(&world, &nodes, clients).await
        });
        let uses = servers * clients;
        println!("| {servers} | {uses} | {seconds:.1} | {:.0} % | {:.0} |", rate.micros / 1e4, uses as f64 / seconds);
    }
    println!();
    true
}

fn outage(costs: &Costs, scale: &Scale) -> bool {
    head("Redis is gone for 10 s", &["servers", "connections made", "all follow again after, s"]);
    let mut is_well = true;
    for servers in scale.servers {
        let (made, seconds) = simulate(costs, place(scale.clients), async |world| {
            let nodes = scene::warm(&world, *servers).await;
            scene::outage(&world, &nodes, Duration::from_secs(10)).await
        });
        println!("| {servers} | {made} | {seconds:.1} |");
        is_well &= seconds <= 5.0;
    }
    println!();
    is_well
}

fn regions(costs: &Costs, scale: &Scale) -> bool {
    let columns = ["round trip, ms", "known to all after, ms: median", "longest", "a start with 1,000 clients, s"];
    let servers = scale.servers[0];
    head(&format!("{servers} servers far from their Redis"), &columns);
    let mut is_kept = true;
    for millis in [0.3, 5.0, 20.0, 80.0, 150.0, 300.0] {
        let far = Place { round_trip: Duration::from_secs_f64(millis / 1e3), registered: 1000, ..place(scale.clients) };
        let (seen, start) = simulate(costs, far, async |world| {
            let nodes = scene::warm(&world, servers).await;
            let seen = scene::watch(&world, &nodes, Events { changes: 1.0, revocations: 0.0 }, scale.lasting).await;
            (seen, scene::restart(&world, 1, (200, Duration::from_mins(1))).await)
        });
        let (median, longest) = seen.known_after;
        println!("| {millis} | {median:.0} | {longest:.0} | {:.1} |", start.ready);
        is_kept &= millis > 100.0 || longest <= PROMISE;
    }
    println!();
    is_kept
}
