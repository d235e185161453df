//! The same as in the simulation with servers that are real: processes of the program on a real Redis, asked over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jeton::clock::Clock;
use jeton::store::Store;
use tokio::time::{sleep, sleep_until};

use crate::costs::open;
use crate::people::{client, id, master, revocation, secret};
use crate::redis::{Redis, Usage};

/// How long servers get to write down what they were used for.
pub const SETTLING: Duration = Duration::from_secs(4);

/// A running `jeton serve`.
pub struct Server {
    process: Child,
    stream: BufReader<TcpStream>,
}

impl Server {
    pub fn start(url: &str, folder: &Path) -> Self {
        let key = folder.join("master-key");
        std::fs::write(&key, master().encode().as_str()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_jeton"), "serve"])
            .args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .envs([("JETON_STORE", url), ("JETON_SERVE__WORKERS", "1"), ("JETON_STORE__REDIS_DEADLINE", "10s")])
            .env("JETON_MASTER_KEY_FILE", key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let address = address(process.stderr.take().unwrap());
        let stream = BufReader::new(TcpStream::connect(address).unwrap());
        stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { process, stream }
    }

    /// Has it issue a token.
    pub fn ask(&mut self, number: usize) {
        let (id, secret) = (id(number), secret());
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={}", secret.expose());
        let head =
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut first, mut length, mut line) = (String::new(), 0, String::new());
        self.stream.read_line(&mut first).unwrap();
        assert!(first.starts_with("HTTP/1.1 200"), "client {number}: {first}");
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        self.stream.read_exact(&mut vec![0; length]).unwrap();
    }

    /// Its resident memory, in bytes.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        1024.0 * line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where it listens, as it says itself; the rest of what it says is read so that it can go on.
fn address(said: ChildStderr) -> String {
    let mut lines = BufReader::new(said).lines();
    let mut seen = Vec::new();
    let address = loop {
        let line = lines.next().unwrap_or_else(|| panic!("the server ended: {seen:?}")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = json["listen"].as_str() {
            break address.to_owned();
        }
        seen.push(line);
    };
    std::thread::spawn(move || lines.for_each(drop));
    address
}

/// What Redis did in each part: while servers started and were asked for a token of every client, while nothing
/// happened, and while clients were changed and tokens revoked.
#[derive(Debug)]
pub struct Parts<T> {
    pub start: T,
    pub quiet: T,
    pub busy: T,
}

/// How it goes.
#[derive(Clone, Copy, Debug)]
pub struct Play {
    pub servers: usize,
    pub clients: usize,
    pub lasting: Duration,
    /// Of clients and of revocations, each, in a second.
    pub writes: f64,
}

/// A Redis with a store that has so many clients.
pub async fn furnish(clients: usize) -> (Redis, Arc<dyn Store>) {
    let redis = Redis::start();
    let store = open(&redis.url());
    jeton::admin::unlock(&*store, &master(), Clock::System.now()).await.unwrap();
    register(&*store, clients).await;
    (redis, store)
}

pub async fn register(store: &dyn Store, clients: usize) {
    let hash = master().secret_hasher().hash(secret().expose());
    for number in 0..clients {
        store.put_client(client(number, hash)).await.unwrap();
    }
}

pub async fn play(play: Play) -> Parts<Usage> {
    let (mut redis, store) = furnish(play.clients).await;
    let (folder, url) = (tempfile::tempdir().unwrap(), redis.url());
    let start = async {
        let mut servers: Vec<_> = (0..play.servers).map(|_| Server::start(&url, folder.path())).collect();
        for server in &mut servers {
            (0..play.clients).for_each(|number| server.ask(number));
        }
        sleep(SETTLING).await;
        servers
    };
    let (start, servers) = redis.during(start).await;
    let (quiet, ()) = redis.during(sleep(play.lasting)).await;
    let (busy, ()) = redis.during(write(&*store, play)).await;
    drop(servers);
    Parts { start, quiet, busy }
}

/// Changes clients and revokes tokens at an even pace.
pub async fn write(store: &dyn Store, play: Play) {
    let began = tokio::time::Instant::now();
    let count = (play.lasting.as_secs_f64() * play.writes) as usize;
    for number in 0..count {
        sleep_until(began + Duration::from_secs_f64(number as f64 / play.writes)).await;
        let held = store.find_client(id(number % play.clients).as_str()).await.unwrap().unwrap();
        store.put_client(held).await.unwrap();
        store.put_revocation(revocation(number)).await.unwrap();
    }
    sleep_until(began + play.lasting).await;
}
