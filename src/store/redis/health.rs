//! Whether the servers can be trusted with a store, and what their configuration promises of a write.

use deadpool_redis::redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use deadpool_redis::redis::{Cmd, Value, cmd};

use super::error::{Failure, Next};
use super::link::Link;
use crate::store::StoreError;

/// The oldest server that knows every command of ours (`ZMSCORE`, `ZADD … GT` in scripts, `XRANGE` of any id).
const OLDEST: (u32, u32) = (6, 2);

/// What one server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Server {
    /// `redis_version`; Valkey says there with which Redis it is compatible.
    version: String,
    valkey: Option<String>,
    policy: String,
    is_node: bool,
    is_aof: bool,
    /// `appendfsync`, and whether there are points at which a snapshot is saved; unknown where `CONFIG` is not allowed.
    fsync: Option<String>,
    saves: Option<bool>,
    replicas: u32,
}

impl Server {
    fn parse(info: &str) -> Self {
        let field = |name: &str| field(info, name).unwrap_or_default();
        Self {
            version: field("redis_version").to_owned(),
            valkey: Some(field("valkey_version").to_owned()).filter(|version| !version.is_empty()),
            policy: field("maxmemory_policy").to_owned(),
            is_node: field("cluster_enabled") == "1",
            is_aof: field("aof_enabled") == "1",
            fsync: None,
            saves: None,
            replicas: field("connected_slaves").parse().unwrap_or_default(),
        }
    }

    /// Why there can be no store of ours here; whoever moves away from a server that evicts reads it all the same.
    fn refusal(&self, may_evict: bool) -> Option<String> {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        if version < OLDEST {
            let (major, minor) = OLDEST;
            return Some(format!("Redis {} is too old: {major}.{minor} or newer is needed", self.version));
        }
        if self.policy != "noeviction" && !may_evict {
            return Some(format!(
                "Redis has maxmemory-policy {}, by which clients and revocations vanish without a word: set it to noeviction",
                self.policy
            ));
        }
        None
    }

    /// How much a crash of this server loses: the greater, the more.
    fn risk(&self) -> Risk {
        match (self.is_aof, self.fsync.as_deref(), self.saves) {
            (true, Some("always"), _) => Risk::Nothing,
            (true, Some("everysec"), _) => Risk::Second,
            (true, Some("no"), _) => Risk::Half,
            (true, _, _) => Risk::Unknown,
            (false, _, Some(false)) => Risk::Everything,
            (false, _, _) => Risk::Snapshot,
        }
    }
}

/// What a crash of a server may lose of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Risk {
    Nothing,
    Second,
    Unknown,
    Half,
    Snapshot,
    Everything,
}

/// What the configuration of all servers promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    pub version: String,
    /// What an acknowledged write survives.
    pub durability: String,
    /// What should be otherwise.
    pub warnings: Vec<String>,
}

/// # Errors
/// When one of the servers cannot be used: `Unusable`, with the reason.
pub async fn require_sound(link: &mut Link, may_evict: bool) -> Result<(), Failure> {
    let servers = ask(link).await?;
    let is_node = matches!(link, Link::Server(_)) && servers.iter().any(|server| server.is_node);
    let misnamed = || "this Redis is a node of a Cluster: its URL begins with redis+cluster://".to_owned();
    let refusal = servers.iter().find_map(|server| server.refusal(may_evict)).or_else(|| is_node.then(misnamed));
    refusal.map_or(Ok(()), |refusal| Err(Failure { error: StoreError::Unusable(refusal), next: Next::Doubt }))
}

/// What is promised of a write that `wait_replicas` replicas have confirmed.
pub async fn promise(link: &mut Link, wait_replicas: u32) -> Result<Promise, Failure> {
    let mut servers = ask(link).await?;
    for (name, set) in [("appendfsync", set_fsync as fn(&mut Server, &str)), ("save", set_saves)] {
        let mut config = cmd("CONFIG");
        config.arg("GET").arg(name);
        // Managed services do not allow it; then it is said that one cannot tell.
        let Ok(answer) = of_all(link, config).await else { continue };
        for (server, value) in servers.iter_mut().zip(values(&answer, name)) {
            set(server, &value);
        }
    }
    Ok(told(&servers, wait_replicas))
}

fn set_fsync(server: &mut Server, value: &str) {
    server.fsync = Some(value.to_owned());
}

fn set_saves(server: &mut Server, value: &str) {
    server.saves = Some(!value.is_empty());
}

fn told(servers: &[Server], wait_replicas: u32) -> Promise {
    let worst = servers.iter().map(Server::risk).max().unwrap_or(Risk::Unknown);
    let replicas = servers.iter().map(|server| server.replicas).min().unwrap_or_default();
    let crash = match worst {
        Risk::Nothing => "a crash of Redis loses nothing that was acknowledged (appendfsync always)",
        Risk::Second => "a power cut loses the last second (appendfsync everysec)",
        Risk::Unknown => {
            "Redis appends to a log; how often that reaches the disk could not be asked (CONFIG GET appendfsync)"
        }
        Risk::Half => "a power cut loses what the system had not written yet, some 30 s (appendfsync no)",
        Risk::Snapshot => "a crash of Redis loses everything since its last snapshot",
        Risk::Everything => "a restart of Redis loses everything",
    };
    let failover = match (wait_replicas, replicas) {
        (0, 0) => "there is no replica to fail over to".to_owned(),
        (0, _) => "a failover loses what its replica had not received yet".to_owned(),
        (wanted, _) => format!("a failover to one of the {wanted} replicas that confirm each write loses nothing"),
    };
    let mut warnings = Vec::new();
    if worst >= Risk::Snapshot {
        warnings.push("Redis keeps no log of writes: set appendonly yes".to_owned());
    }
    if let Some(server) = servers.iter().find(|server| server.policy != "noeviction") {
        let policy = &server.policy;
        warnings.push(format!("Redis has maxmemory-policy {policy}: what it evicted is gone without a trace"));
    }
    if wait_replicas > replicas {
        let text =
            format!("store.redis_wait_replicas is {wait_replicas}, but there are {replicas}: no write is acknowledged");
        warnings.push(text);
    }
    let version = servers.first().map_or_else(String::new, |server| match &server.valkey {
        Some(version) => format!("Valkey {version}"),
        None => format!("Redis {}", server.version),
    });
    Promise { version, durability: format!("{crash}; {failover}"), warnings }
}

/// Every server that holds a part of the store.
async fn ask(link: &mut Link) -> Result<Vec<Server>, Failure> {
    let answer = of_all(link, cmd("INFO")).await?;
    Ok(texts(&answer).iter().map(|info| Server::parse(info)).collect())
}

async fn of_all(link: &mut Link, command: Cmd) -> Result<Value, Failure> {
    match link {
        Link::Server(connection) => Ok(command.query_async(connection).await?),
        Link::Cluster(connection) => {
            let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
            Ok(connection.route_command(command, masters).await?)
        }
    }
}

/// The answers of all servers that were asked, each a text.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(text) => vec![String::from_utf8_lossy(text).into_owned()],
        Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Map(entries) => entries.iter().flat_map(|(_, value)| texts(value)).collect(),
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The value of a parameter in the answers of all servers: `{name: value}` of one, `{address: {name: value}}` of several.
fn values(value: &Value, name: &str) -> Vec<String> {
    let Value::Map(entries) = value else { return Vec::new() };
    let found = |(key, value): &(Value, Value)| match texts(key).first() {
        Some(key) if key == name => texts(value),
        _ => values(value, name),
    };
    entries.iter().flat_map(found).collect()
}

/// A field of an answer to `INFO`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: &str, policy: &str) -> Server {
        let info =
            format!("# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory_policy:{policy}\r\nrole:master\r\n");
        Server::parse(&info)
    }

    #[test]
    fn d07_a_policy_that_evicts_and_a_server_that_is_too_old_are_refused() {
        for version in ["6.2.0", "7.0.15", "10.0.1", "7.2"] {
            assert_eq!(server(version, "noeviction").refusal(false), None, "{version}");
        }
        for version in ["6.0.16", "5.9.9", "", "x"] {
            assert!(server(version, "noeviction").refusal(true).unwrap().contains("too old"), "{version}");
        }
        for policy in ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random", ""] {
            assert!(server("7.0.0", policy).refusal(false).unwrap().contains("maxmemory-policy"), "{policy}");
            assert_eq!(server("7.0.0", policy).refusal(true), None, "{policy}");
        }
    }

    #[test]
    fn d09_the_promise_is_that_of_the_weakest_server() {
        let base = Server { is_aof: true, replicas: 1, ..server("7.0.0", "noeviction") };
        let with = |fsync: &str| Server { fsync: Some(fsync.to_owned()), ..base.clone() };
        let off = Server { is_aof: false, saves: Some(false), replicas: 0, ..base.clone() };
        for (servers, wait, says, warnings) in [
            (vec![with("always")], 0, "loses nothing that was acknowledged (appendfsync always); a failover loses", 0),
            (
                vec![with("always"), with("everysec")],
                1,
                "the last second (appendfsync everysec); a failover to one of the 1",
                0,
            ),
            (vec![base.clone()], 0, "could not be asked", 0),
            (vec![with("no")], 3, "some 30 s (appendfsync no)", 1),
            (vec![Server { saves: Some(true), ..off.clone() }], 0, "its last snapshot; there is no replica", 1),
            (vec![with("always"), off.clone()], 0, "a restart of Redis loses everything", 1),
        ] {
            let promise = told(&servers, wait);
            assert!(promise.durability.contains(says), "{says}: {promise:?}");
            assert_eq!(promise.warnings.len(), warnings, "{promise:?}");
        }
        let valkey = Server { valkey: Some("9.1.2".to_owned()), ..base };
        assert_eq!(told(&[valkey], 0).version, "Valkey 9.1.2");
    }
}
