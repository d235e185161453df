//! A Redis Cluster of three masters with a replica each.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::certificates::Certificates;
use super::nursery::free_port;
use super::redis::{Redis, cli};
use super::wait_for;

/// The six nodes.
pub struct Cluster {
    pub nodes: Vec<Redis>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::of((0..6).map(|_| Redis::with(&options(&bus()))).collect())
    }

    /// With nothing but TLS, also between them.
    pub fn with_tls(certificates: &Certificates) -> Self {
        let among = ["--tls-cluster", "yes", "--tls-replication", "yes"];
        let node = |_| Redis::with_tls_and(certificates, &[&options(&bus())[..], &among].concat());
        Self::of((0..6).map(node).collect())
    }

    fn of(nodes: Vec<Redis>) -> Self {
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut command = cli(nodes[0].port);
        command.args(&nodes[0].access).args(["--cluster", "create"]).args(&addresses).args([
            "--cluster-replicas",
            "1",
            "--cluster-yes",
        ]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let cluster = Self { nodes };
        cluster.wait_until_whole();
        cluster
    }

    /// One for all tests that leave it as it was, one at a time, empty at first.
    pub fn shared() -> MutexGuard<'static, Self> {
        static SHARED: LazyLock<Mutex<Cluster>> = LazyLock::new(|| Mutex::new(Cluster::start()));
        // A test that failed on it says nothing about the next one: that begins with an empty cluster.
        let cluster = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        for node in cluster.nodes.iter().filter(|node| node.info("role") == "master") {
            node.cli(&["FLUSHALL"]);
        }
        cluster
    }

    /// Until every node knows that every slot is served, and every replica follows.
    pub fn wait_until_whole(&self) {
        for node in &self.nodes {
            wait_for("the cluster is whole", || {
                let state = node.cli(&["CLUSTER", "INFO"]);
                let follows = node.info("role") == "master" || node.info("master_link_status") == "up";
                (follows && state.contains("cluster_state:ok") && state.contains("cluster_size:3")).then_some(())
            });
        }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("{}+cluster://{}", self.nodes[0].scheme, hosts.join(","))
    }

    /// The node that serves the slot of this key.
    pub fn master_of(&self, key: &str) -> usize {
        let slot: u16 = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]).parse().unwrap();
        let table = self.nodes[0].cli(&["CLUSTER", "NODES"]);
        let serves = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().is_ok_and(|first: u16| first <= slot) && last.parse().is_ok_and(|last: u16| slot <= last)
        };
        let line = table.lines().find(|line| line.split(' ').skip(8).any(serves)).unwrap();
        self.nodes.iter().position(|node| line.contains(&format!(":{}@", node.port))).unwrap()
    }

    /// Moves the slot of this key to another master as operators do it, with pauses in which questions meet a slot that
    /// is half here and half there (ASK, TRYAGAIN, MOVED); which node has it then.
    pub fn move_slot(&self, key: &str) -> usize {
        let slot = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]);
        let from = self.master_of(key);
        let is_other_master = |node: &usize| *node != from && self.nodes[*node].info("role") == "master";
        let to = (0..self.nodes.len()).find(is_other_master).unwrap();
        let id = |node: usize| self.nodes[node].cli(&["CLUSTER", "MYID"]);
        let (source, target) = (id(from), id(to));
        self.nodes[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        self.nodes[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "25"]);
            if keys.is_empty() {
                break;
            }
            let port = self.nodes[to].port.to_string();
            let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            self.nodes[from].cli(&[&migrate[..], &keys.lines().collect::<Vec<_>>()].concat());
            std::thread::sleep(Duration::from_millis(30));
        }
        for node in [to, from] {
            self.nodes[node].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
        to
    }
}

/// The port of the bus between the nodes.
fn bus() -> String {
    free_port().to_string()
}

fn options(bus: &str) -> [&str; 6] {
    ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-port", bus]
}
