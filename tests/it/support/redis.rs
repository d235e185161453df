//! One Redis server of a test's own: on a free port, in a folder of its own, gone with the test.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::certificates::Certificates;
use super::nursery::{Program, answers, free_port, start_until_well, words};
use super::{need, wait_for};

/// What every server is started with; options given later stand over it. Every write is in the operating system's
/// hands before it is answered, so a killed process loses none.
const USUAL: [&str; 16] = [
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "yes",
    "--appendfsync",
    "everysec",
    "--databases",
    "512",
    "--enable-debug-command",
    "yes",
    "--repl-diskless-sync-delay",
    "0",
    "--loglevel",
    "notice",
];

/// A `redis-server`.
pub struct Redis {
    pub port: u16,
    pub program: Program,
    /// What `redis-cli` needs to be let in.
    pub access: Vec<String>,
    pub scheme: &'static str,
}

impl Redis {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With these options besides the usual ones.
    pub fn with(options: &[&str]) -> Self {
        Self::in_environment(options, &[])
    }

    /// With variables, such as those of a clock that is wrong.
    pub fn in_environment(options: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::launch("redis", options, environment)
    }

    /// With nothing but TLS, by these certificates.
    pub fn with_tls(certificates: &Certificates) -> Self {
        Self::with_tls_and(certificates, &[])
    }

    pub fn with_tls_and(certificates: &Certificates, options: &[&str]) -> Self {
        let path = |name: &str| certificates.path(name).display().to_string();
        let (ca, own, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
        let usual = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &own, "--tls-key-file", &key];
        let all = [&usual[..], &["--tls-auth-clients", "no"], options].concat();
        let mut redis = Self::launch("rediss", &all, &[]);
        redis.access = ["--tls", "--cacert", &ca].map(str::to_owned).to_vec();
        redis
    }

    fn launch(scheme: &'static str, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let owned = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let owned: Vec<(String, String)> = owned.collect();
        let start = || {
            let port = free_port();
            let text = port.to_string();
            let listen =
                if scheme == "rediss" { vec!["--port", "0", "--tls-port", &text] } else { vec!["--port", &text] };
            let line = words([&["redis-server"], &listen[..], &USUAL, options].concat());
            let program = Program::start(tempfile::tempdir().unwrap(), line, owned.clone());
            Self { port, program, access: Vec::new(), scheme }
        };
        start_until_well(start, |redis| {
            if redis.program.has_ended() { Some(false) } else { redis.is_answering().then_some(true) }
        })
    }

    /// One that wants a password, or a handshake, is there all the same.
    fn is_answering(&self) -> bool {
        match self.scheme {
            "rediss" => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            _ => answers(self.port, "PING\r\n", &["+PONG", "-NOAUTH", "-DENIED", "-MASTERDOWN", "-LOADING"]),
        }
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Runs a command that must succeed; what it answers.
    pub fn cli(&self, command: &[&str]) -> String {
        let output = self.try_cli(command);
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !is_error(&text), "{command:?}: {text} {said}");
        text
    }

    pub fn try_cli(&self, command: &[&str]) -> Output {
        cli(self.port).args(&self.access).args(command).output().unwrap()
    }

    /// The same server, which now wants this password.
    pub fn with_password(mut self, password: &str) -> Self {
        self.access = ["-a", password].map(str::to_owned).to_vec();
        self
    }

    /// The URL for a user of its own.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.url().replace("://", &format!("://{user}:{password}@"))
    }

    pub fn is_loading(&self) -> bool {
        answers(self.port, "GET x\r\n", &["-LOADING"])
    }

    pub fn wait_until_loaded(&self) {
        wait_for("redis has loaded", || answers(self.port, "GET x\r\n", &["$-1"]).then_some(()));
    }

    /// The file to which it appends.
    fn appended(&self) -> PathBuf {
        let folder = self.program.folder.path().join("appendonlydir");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap()
    }

    /// Starts it again on all that it had written before it was told to forget it, as an operator would.
    pub fn undo_flush(&mut self) {
        self.kill();
        let file = self.appended();
        let mut bytes = std::fs::read(&file).unwrap();
        let flush = b"*1\r\n$8\r\nFLUSHALL\r\n";
        let at = bytes.windows(flush.len()).rposition(|found| found == flush).expect("it was flushed");
        bytes.truncate(at);
        std::fs::write(&file, bytes).unwrap();
        self.start_again();
    }

    /// What it has written, while it does not run.
    pub fn copy_of_data(&self) -> Vec<u8> {
        std::fs::read(self.appended()).unwrap()
    }

    pub fn restore(&self, data: &[u8]) {
        std::fs::write(self.appended(), data).unwrap();
    }

    /// A field of `INFO`.
    pub fn info(&self, field: &str) -> String {
        let text = self.cli(&["INFO", "everything"]);
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
    }

    /// Whether it is a replica; one that becomes one ends its connections, this question's as well.
    pub fn is_replica(&self) -> bool {
        let output = self.try_cli(&["INFO", "replication"]);
        String::from_utf8_lossy(&output.stdout).contains("role:slave")
    }

    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again on what it had written.
    pub fn start_again(&mut self) {
        self.program.start_again();
        wait_for("redis answers again", || {
            assert!(!self.program.has_ended(), "{}", self.program.output());
            self.is_answering().then_some(())
        });
    }
}

fn is_error(text: &str) -> bool {
    let first = text.split(' ').next().unwrap_or_default();
    first.len() > 2 && first.chars().all(|c| c.is_ascii_uppercase()) && text.contains(' ')
}

/// `redis-cli` to a port of this machine; it waits for no answer for ever.
pub fn cli(port: u16) -> Command {
    need("redis-cli");
    let mut command = Command::new("timeout");
    command.args(["20", "redis-cli", "-p", &port.to_string(), "--no-auth-warning"]).stdin(Stdio::null());
    command
}
