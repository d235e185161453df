//! A master, its two replicas and the three sentinels that watch them.

use std::time::{Duration, Instant};

use super::certificates::Certificates;
use super::nursery::{Program, file, free_port, start_until_well, words};
use super::redis::{Redis, cli};
use super::wait_for;

/// What the sentinels call the master.
pub const NAME: &str = "main";

/// The six processes. A second of silence is a fault, and a failover begins at once.
pub struct Sentinels {
    pub nodes: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

/// A sentinel, and what `redis-cli` needs to be let in.
struct Sentinel {
    port: u16,
    program: Program,
    access: Vec<String>,
}

impl Sentinels {
    pub fn start() -> Self {
        let master = Redis::start();
        let replicas = [(); 2].map(|()| Redis::with(&["--replicaof", &address(&master)]));
        Self::over(master, replicas, "", &[])
    }

    /// With sentinels that want a password of their own.
    pub fn with_password(password: &str) -> Self {
        let master = Redis::start();
        let replicas = [(); 2].map(|()| Redis::with(&["--replicaof", &address(&master)]));
        Self::over(master, replicas, &format!("requirepass {password}\n"), &["-a", password])
    }

    /// With nothing but TLS, also between them.
    pub fn with_tls(certificates: &Certificates) -> Self {
        let among = ["--tls-replication", "yes"];
        let master = Redis::with_tls_and(certificates, &among);
        let of = address(&master);
        let follows = [&among[..], &["--replicaof", &of]].concat();
        let replicas = [(); 2].map(|()| Redis::with_tls_and(certificates, &follows));
        let path = |name: &str| certificates.path(name).display().to_string();
        let (ca, own, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
        let config = format!(
            "tls-ca-cert-file {ca}\ntls-cert-file {own}\ntls-key-file {key}\ntls-auth-clients no\ntls-replication yes\n"
        );
        Self::over(master, replicas, &config, &["--tls", "--cacert", &ca])
    }

    fn over(master: Redis, replicas: [Redis; 2], config: &str, access: &[&str]) -> Self {
        let sentinels = (0..3).map(|_| watch(&master, config, access)).collect();
        let all = Self { nodes: std::iter::once(master).chain(replicas).collect(), sentinels };
        all.wait_until_whole();
        all
    }

    /// Until a failover is possible: the replicas have everything, and the sentinels know them and each other.
    fn wait_until_whole(&self) {
        for replica in &self.nodes[1..] {
            wait_for("a replica follows", || (replica.info("master_link_status") == "up").then_some(()));
        }
        for sentinel in &self.sentinels {
            wait_for("a sentinel knows all", || {
                let master = sentinel.ask(&["MASTER", NAME]);
                let field = |name: &str| master.iter().skip_while(|line| *line != name).nth(1).cloned();
                let knows = |name: &str, count: &str| field(name).as_deref() == Some(count);
                (knows("num-other-sentinels", "2") && knows("num-slaves", "2")).then_some(())
            });
        }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|of| format!("127.0.0.1:{}", of.port)).collect();
        format!("{}+sentinel://{}/{NAME}", self.nodes[0].scheme, hosts.join(","))
    }

    /// The port of the master, as the sentinels tell it.
    pub fn master_port(&self) -> u16 {
        self.sentinels[0].ask(&["GET-MASTER-ADDR-BY-NAME", NAME])[1].parse().unwrap()
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

    /// Until the master has a replica again. A replica that was away, or that a failover left behind, is told by the
    /// sentinels whom to follow, which takes them up to a quarter of a minute, and longer while they find the machine slow.
    pub fn wait_until_replicated(&self) {
        let end = Instant::now() + Duration::from_mins(1);
        let is_replicated = || {
            let output = self.nodes[self.master()].try_cli(&["INFO", "replication"]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.contains("role:master") && said.contains("state=online")
        };
        while !is_replicated() {
            assert!(Instant::now() < end, "no replica follows the master");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks for a failover, as an operator does before a maintenance.
    pub fn fail_over(&self) {
        wait_for("a failover begins", || {
            let answer = self.sentinels[0].ask(&["FAILOVER", NAME]);
            std::thread::sleep(Duration::from_millis(100));
            answer.first().is_some_and(|said| said == "OK").then_some(())
        });
    }
}

impl Sentinel {
    /// Asks for something about the master; the lines of the answer.
    fn ask(&self, words: &[&str]) -> Vec<String> {
        let output = cli(self.port).args(&self.access).arg("SENTINEL").args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

fn address(redis: &Redis) -> String {
    format!("127.0.0.1 {}", redis.port)
}

/// A sentinel, which keeps what it learns in its file.
fn watch(master: &Redis, config: &str, access: &[&str]) -> Sentinel {
    let start = || {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let listen = if config.contains("tls-") { format!("port 0\ntls-port {port}") } else { format!("port {port}") };
        let config = file(
            &folder,
            "sentinel.conf",
            &format!(
                "{listen}\nbind 127.0.0.1\n{config}sentinel monitor {NAME} {} 2\n\
                 sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 2000\n",
                address(master)
            ),
        );
        let line = words(["redis-server", &config.display().to_string(), "--sentinel"]);
        let access = access.iter().map(|&word| word.to_owned()).collect();
        Sentinel { port, program: Program::start(folder, line, Vec::new()), access }
    };
    start_until_well(start, |sentinel| {
        if sentinel.program.has_ended() {
            return Some(false);
        }
        sentinel.ask(&["MASTER", NAME]).iter().any(|line| line == NAME).then_some(true)
    })
}
