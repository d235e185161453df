//! A master, its two replicas and the three sentinels that watch them.

use std::time::{Duration, Instant};

use super::nursery::{Program, answers, file, free_port, start_until_well, words};
use super::redis::{Redis, cli};
use super::wait_for;

/// What the sentinels call the master.
pub const NAME: &str = "main";

/// The six processes. A second of silence is a fault, and a failover begins at once.
pub struct Sentinels {
    pub nodes: Vec<Redis>,
    sentinels: Vec<(u16, Program)>,
}

impl Sentinels {
    pub fn start() -> Self {
        let master = Redis::start();
        let of = format!("127.0.0.1 {}", master.port);
        let replicas = [(); 2].map(|()| Redis::with(&["--replicaof", &of]));
        let sentinels = (0..3).map(|_| watch(&master)).collect();
        let all = Self { nodes: std::iter::once(master).chain(replicas).collect(), sentinels };
        all.wait_until_whole();
        all
    }

    /// Until a failover is possible: the replicas have everything, and the sentinels know them and each other.
    fn wait_until_whole(&self) {
        for replica in &self.nodes[1..] {
            wait_for("a replica follows", || (replica.info("master_link_status") == "up").then_some(()));
        }
        for (port, _) in &self.sentinels {
            wait_for("a sentinel knows all", || {
                let master = describe(*port);
                let field = |name: &str| master.iter().skip_while(|line| *line != name).nth(1).cloned();
                let knows = |name: &str, count: &str| field(name).as_deref() == Some(count);
                (knows("num-other-sentinels", "2") && knows("num-slaves", "2")).then_some(())
            });
        }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    /// The port of the master, as the sentinels tell it.
    pub fn master_port(&self) -> u16 {
        let (port, _) = self.sentinels[0];
        let output = cli(port).args(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().nth(1).unwrap().parse().unwrap()
    }

    /// Which of the nodes is the master.
    pub fn master(&self) -> usize {
        let port = self.master_port();
        self.nodes.iter().position(|node| node.port == port).unwrap()
    }

    /// Waits until another node than this one is the master, as it says itself and as the sentinels tell; which one, and
    /// when that was.
    pub fn wait_until_promoted(&self, old: usize) -> (usize, Instant) {
        wait_for("a replica is promoted", || {
            let master = Some(self.master()).filter(|master| *master != old)?;
            (self.nodes[master].info("role") == "master").then(|| (master, Instant::now()))
        })
    }

    /// Asks for a failover, as an operator does before a maintenance.
    pub fn fail_over(&self) {
        let (port, _) = self.sentinels[0];
        wait_for("a failover begins", || {
            let output = cli(port).args(["SENTINEL", "FAILOVER", NAME]).output().unwrap();
            std::thread::sleep(Duration::from_millis(100));
            output.stdout.starts_with(b"OK").then_some(())
        });
    }
}

fn describe(port: u16) -> Vec<String> {
    let output = cli(port).args(["SENTINEL", "MASTER", NAME]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// A sentinel, which keeps what it learns in its file.
fn watch(master: &Redis) -> (u16, Program) {
    let start = || {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = file(
            &folder,
            "sentinel.conf",
            &format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 2000\n",
                master.port
            ),
        );
        let line = words(["redis-server", &config.display().to_string(), "--sentinel"]);
        (port, Program::start(folder, line, Vec::new()))
    };
    start_until_well(start, |(port, program)| {
        if program.has_ended() { Some(false) } else { answers(*port, "PING\r\n", &["+PONG"]).then_some(true) }
    })
}
