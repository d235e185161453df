//! Real gateways in front of an API, from the very configuration files of `docs/gateways`: good tokens pass, others do
//! not, and no rotation of the keys costs a request. `tests/run` installs the programs.

mod rotation;
mod tokens;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{API, Answer, Server, Wire, jeton, need, project, wait_for};

const FOLDER: &str = "docs/gateways";

/// A program that has a configuration file, and what it verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Envoy,
    HaProxy,
    Apache,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Envoy, Self::HaProxy, Self::Apache];

    /// The algorithms that it is told to expect.
    const fn algorithms(self) -> &'static [&'static str] {
        match self {
            Self::Envoy => &["EdDSA", "ES256"],
            Self::HaProxy | Self::Apache => &["ES256"],
        }
    }

    /// The header in which the API finds who the client is.
    const fn header(self) -> &'static str {
        match self {
            Self::Envoy => "x-token-claims",
            Self::HaProxy => "x-client-id",
            Self::Apache => "X-Token-client_id",
        }
    }
}

/// The API behind a gateway: says what reached it.
struct Api {
    port: u16,
    served: Arc<AtomicUsize>,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (port, served) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&served);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                std::thread::spawn(move || serve(stream, &count));
            }
        });
        Self { port, served }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

/// Answers each request of a connection with its own head.
fn serve(mut stream: TcpStream, count: &AtomicUsize) {
    let (mut head, mut buffer) = (Vec::new(), [0; 8192]);
    while let Ok(length) = stream.read(&mut buffer)
        && length > 0
    {
        head.extend_from_slice(&buffer[..length]);
        if head.ends_with(b"\r\n\r\n") {
            count.fetch_add(1, Ordering::Relaxed);
            let answer =
                [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len()).as_bytes(), &head].concat();
            if stream.write_all(&answer).is_err() {
                return;
            }
            head.clear();
        }
    }
}

/// A running gateway.
struct Gateway {
    kind: Kind,
    process: Child,
    address: String,
    folder: TempDir,
    jwks: String,
}

impl Gateway {
    /// Starts the program as the head of its file says, between `api` and the keys of `server`.
    fn start(kind: Kind, server: &Server, api: &Api, max_age: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let (jwks_host, jwks_port) = server.address.split_once(':').unwrap();
        let mut command = command(kind, &folder);
        command.envs([("ISSUER", &*server.url()), ("AUDIENCE", API), ("API_HOST", "127.0.0.1")]);
        command.envs([("GATEWAY_HOST", "127.0.0.1"), ("JWKS_HOST", jwks_host), ("JWKS_PORT", jwks_port)]);
        command.env("GATEWAY_PORT", port.to_string()).env("API_PORT", api.port.to_string());
        command.env("JWKS_MAX_AGE", max_age.to_string());
        command.env("RUN_FOLDER", folder.path()).env("KEYS_FOLDER", folder.path());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let (jwks, address) = (format!("{}/.well-known/jwks.json", server.url()), format!("127.0.0.1:{port}"));
        if kind == Kind::HaProxy {
            assert!(write_keys(&jwks, &folder, &["true"]), "the first keys");
        }
        let mut gateway = Self { kind, process: command.spawn().unwrap(), address, folder, jwks };
        wait_for("the gateway refuses who has no token", || {
            let ended = gateway.process.try_wait().unwrap();
            assert!(ended.is_none(), "{kind:?} ended: {}", gateway.log());
            Wire::try_connect(&gateway.address)
                .is_some()
                .then(|| gateway.send(None))
                .filter(|answer| answer.status == 401)
        });
        gateway
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A request for the API, with this token and somebody's own idea of who it is.
    fn send(&self, token: Option<&str>) -> Answer {
        let mut wire = Wire::connect(&self.address);
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let forged = format!("{}: forged\r\n", self.kind.header());
        wire.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{forged}{token}Connection: close\r\n\r\n").as_bytes());
        wire.answer()
    }

    /// What the timer of `HAProxy`'s keys does; true when there were new ones.
    fn refresh_keys(&self) -> bool {
        write_keys(&self.jwks, &self.folder, &["kill", "-USR2", &self.process.id().to_string()])
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Its own children end with it only when it is asked.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(10);
        while self.process.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command line in the head of the file, with what keeps tests that run at once apart.
fn command(kind: Kind, folder: &TempDir) -> Command {
    let file = |name: &str| project().join(FOLDER).join(name);
    match kind {
        Kind::Envoy => {
            need("envsubst");
            let envoy = project().join("target/interop/venv/bin/envoy");
            assert!(envoy.exists(), "Envoy is missing: run 'bash tests/run', which installs it");
            let mut command = Command::new("sh");
            let line =
                r#"envsubst <"$1" >"$RUN_FOLDER/jeton.yaml" && exec "$2" -c "$RUN_FOLDER/jeton.yaml" "$3" "$4" "$5""#;
            command.args(["-c", line, "sh"]).arg(file("envoy.yaml")).arg(envoy);
            command.args(["--disable-hot-restart", "--concurrency", "1"]);
            command
        }
        Kind::HaProxy => {
            need("haproxy");
            let mut command = Command::new("haproxy");
            command.arg("-W").arg("-f").arg(file("haproxy.cfg"));
            command
        }
        Kind::Apache => {
            need("apache2");
            // As root it serves as somebody else, who has to get there.
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder.path(), open).unwrap();
            let mut command = Command::new("apache2");
            command.arg("-f").arg(file("apache.conf")).arg("-DFOREGROUND");
            command
        }
    }
}

/// Runs the script that `HAProxy`'s keys come from; true when it ran `command`, since there were other keys.
fn write_keys(source: &str, folder: &TempDir, command: &[&str]) -> bool {
    let before = keys_in(folder);
    let mut script = Command::new("python3");
    script.arg(project().join(FOLDER).join("haproxy_keys.py")).arg(source).arg(folder.path()).args(command);
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    keys_in(folder) != before
}

fn keys_in(folder: &TempDir) -> Vec<Option<String>> {
    (1..=3).map(|slot| std::fs::read_to_string(folder.path().join(format!("es256-{slot}.pem"))).ok()).collect()
}

/// The keys as `jeton key export` prints them, through the same script.
fn write_exported_keys(server: &Server, folder: &TempDir) -> Vec<Option<String>> {
    let mut export =
        jeton().args(["--store", &server.home.url(), "key", "export"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut script = Command::new("python3");
    script.arg(project().join(FOLDER).join("haproxy_keys.py")).arg("-").arg(folder.path());
    assert!(script.stdin(export.stdout.take().unwrap()).status().unwrap().success());
    assert!(export.wait().unwrap().success());
    keys_in(folder)
}
