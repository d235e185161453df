//! What the tests share: a server on free ports, and a client that sends exactly the bytes it is told to.

pub mod balancer;
pub mod certificates;
pub mod cluster;
pub mod documents;
pub mod drill;
pub mod faults;
pub mod h2;
pub mod ledger;
pub mod nursery;
pub mod proxy;
pub mod redis;
pub mod sentinel;
pub mod signer;
pub mod wire;

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jeton::keys::MasterKey;
use serde_json::Value;
use tempfile::TempDir;

use nursery::file;
pub use wire::{Answer, Wire};

pub const API: &str = "https://api.example.com";
pub const OTHER_API: &str = "https://other.example.com";

/// The program under test. Where `JETON_TEST_VECTOR_SIGNING` is set, it is what the program is told of vector signing: with
/// `off` the whole suite runs as on a machine that has no such instructions.
pub fn jeton() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jeton"));
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("JETON_") {
            command.env_remove(name);
        }
    }
    if let Some(told) = std::env::var_os("JETON_TEST_VECTOR_SIGNING") {
        command.env("JETON_KEYS__VECTOR_SIGNING", told);
    }
    command
}

/// Waits for `done`, looking often; a condition that never comes is a failure with its name.
pub fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A store that is no file, and the variables by which the program is told of it.
#[derive(Clone)]
pub struct Elsewhere {
    pub url: String,
    pub environment: Vec<(String, String)>,
}

/// What all nodes on one store that is no file have in common.
pub fn shared_master_key() -> MasterKey {
    MasterKey::from_random([42; 32])
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub secret: String,
    pub secret_id: String,
}

impl Client {
    pub fn basic(&self) -> String {
        basic(&self.id, &self.secret)
    }
}

pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A folder with a store, and commands on it.
pub struct Home {
    pub folder: TempDir,
    pub database: PathBuf,
    /// A store that lies elsewhere than in the folder.
    pub elsewhere: Option<Elsewhere>,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { database: folder.path().join("jeton.db"), folder, elsewhere: None }
    }

    /// Commands on a store that lies elsewhere.
    pub fn at(database: PathBuf) -> Self {
        Self { database, ..Self::new() }
    }

    /// The home of one node of several on a store that is no file, each of which holds the same master key. It waits
    /// for the store a little longer than usual: the machine may be busy with other tests.
    pub fn on(url: &str) -> Self {
        Self::on_with(url, &[])
    }

    /// With settings besides, by the names of their variables.
    pub fn on_with(url: &str, settings: &[(&str, &str)]) -> Self {
        let mut home = Self::new();
        let key = file(&home.folder, "master-key", shared_master_key().encode().as_str());
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let key = key.display().to_string();
        let usual = [("JETON_STORE", url), ("JETON_MASTER_KEY_FILE", &key), ("JETON_STORE__REDIS_DEADLINE", "600ms")];
        let all = usual.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        home.elsewhere = Some(Elsewhere { url: url.to_owned(), environment: all.collect() });
        home
    }

    pub fn url(&self) -> String {
        let file = || format!("sqlite:{}", self.database.display());
        self.elsewhere.as_ref().map_or_else(file, |elsewhere| elsewhere.url.clone())
    }

    /// The program, told of the store.
    pub fn command(&self) -> Command {
        let mut command = jeton();
        match &self.elsewhere {
            Some(elsewhere) => command.envs(elsewhere.environment.iter().cloned()),
            None => command.args(["--store", &self.url()]),
        };
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Runs a command that must succeed and print JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    pub fn add_client(&self, arguments: &[&str]) -> Client {
        let added = self.json(&[&["client", "add", "test"], arguments].concat());
        let text = |name: &str| added[name].as_str().unwrap().to_owned();
        Client { id: text("client_id"), secret: text("client_secret"), secret_id: text("secret_id") }
    }

    /// A client that may read and write at two resource servers.
    pub fn usual_client(&self) -> Client {
        self.usual_client_of("EdDSA")
    }

    /// The same with tokens by another algorithm; in a new store its first key signs at once.
    pub fn usual_client_of(&self, algorithm: &str) -> Client {
        self.add_client(&["--scope", "read write", "--audience", API, "--audience", OTHER_API, "--alg", algorithm])
    }

    pub fn serve(self, config: &str) -> Server {
        Server::start(self, config, |_| {})
    }
}

/// A running `jeton serve`.
pub struct Server {
    pub home: Home,
    pub process: Child,
    pub address: String,
    pub ops_address: String,
    pub log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server with the defaults, but for the ports, and with limits that a test of refusals does not run into.
    pub fn usual() -> (Self, Client) {
        let home = Home::new();
        let client = home.usual_client();
        (home.serve(GENEROUS), client)
    }

    /// Starts the program with `config` behind the ports; `alter` may wrap the command.
    pub fn start(home: Home, config: &str, alter: impl FnOnce(&mut Command)) -> Self {
        let file = home.folder.path().join("jeton.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = home.command();
        command.arg("serve").arg("--config").arg(&file);
        if !config.contains("listen") {
            command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        }
        alter(&mut command);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = follow(process.stderr.take().unwrap());
        let ready = wait_for("the server is ready", || {
            let lines = log.lock().unwrap().clone();
            let ready = lines
                .iter()
                .find_map(|line| serde_json::from_str::<Value>(line).ok().filter(|v| v["listen"].is_string()));
            assert!(ready.is_some() || process.try_wait().unwrap().is_none(), "the server ended: {lines:?}");
            ready
        });
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self { address: text("listen"), ops_address: text("ops_listen"), home, process, log }
    }

    /// Another process on the same file and ports of its own.
    pub fn beside(&self, config: &str) -> Self {
        match &self.home.elsewhere {
            Some(Elsewhere { url, .. }) => Home::on(url).serve(config),
            None => Home::at(self.home.database.clone()).serve(config),
        }
    }

    /// Starts again what has ended, on the same file and ports.
    pub fn restart(&mut self, config: &str) {
        let home = std::mem::replace(&mut self.home, Home::new());
        let (address, ops_address) = (&self.address, &self.ops_address);
        *self = home.serve(&format!("listen = \"{address}\"\nops_listen = \"{ops_address}\"\n{config}"));
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn wire(&self) -> Wire {
        Wire::connect(&self.address)
    }

    /// Posts a form to the token endpoint with these header lines.
    pub fn token(&self, headers: &[(&str, &str)], form: &str) -> Answer {
        let mut wire = self.wire();
        wire.post("/oauth2/token", headers, form);
        wire.answer()
    }

    /// Asks for a token as `client`, by Basic.
    pub fn ask(&self, client: &Client, form: &str) -> Answer {
        self.token(&[("Authorization", &client.basic())], form)
    }

    /// Asks like [`Server::ask`], and again when this machine is too busy for the answer to be about the request.
    pub fn ask_patiently(&self, client: &Client, form: &str) -> Answer {
        wait_for("the request is admitted", || Some(self.ask(client, form)).filter(|answer| answer.status != 503))
    }

    /// Posts a form to another endpoint, as `client`.
    pub fn post(&self, path: &str, client: &Client, form: &str) -> Answer {
        let mut wire = self.wire();
        wire.post(path, &[("Authorization", &client.basic())], form);
        wire.answer()
    }

    pub fn introspect(&self, caller: &Client, token: &str) -> Answer {
        self.post("/oauth2/introspect", caller, &format!("token={token}"))
    }

    pub fn revoke(&self, client: &Client, token: &str) -> Answer {
        self.post("/oauth2/revoke", client, &format!("token={token}"))
    }

    pub fn get(&self, path: &str) -> Answer {
        get(&self.address, path)
    }

    pub fn ops(&self, path: &str) -> Answer {
        get(&self.ops_address, path)
    }

    /// A metric's value, by its whole line up to the space.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.ops("/metrics").text();
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait_for_end(&mut self) -> std::process::ExitStatus {
        let process = &mut self.process;
        wait_for("the server ends", || process.try_wait().unwrap())
    }

    pub fn log_text(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Processor time in milliseconds.
    pub fn cpu_millis(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Limits that a test with many refusals does not run into.
pub const GENEROUS: &str = "[limits]\nclient_failures = 0\nsource_failures = 0\n[serve]\nworkers = 2\n";
pub const GRANT: &str = "grant_type=client_credentials";

pub fn get(address: &str, path: &str) -> Answer {
    let mut wire = Wire::connect(address);
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    wire.answer()
}

fn follow(stderr: ChildStderr) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
    log
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    segment(token, 1)
}

pub fn segment(token: &str, position: usize) -> Value {
    let text = token.split('.').nth(position).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// A program that a test needs; a missing one is a failure that says what to do.
pub fn need(program: &str) {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    assert!(found.status.success(), "{program} is missing: run 'bash tests/run', which installs it");
}

/// A count for a loop: small by default, larger by the environment.
pub fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
