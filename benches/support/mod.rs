//! What the benches share: the whole service in process, on a store of its own, and requests for it.

#![allow(dead_code, reason = "every bench uses its own part")]

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::Criterion;
use jeton::admin::{Admin, ClientChange, unlock};
use jeton::app::{App, Opened};
use jeton::clock::{Clock, UnixTime};
use jeton::config::{Config, RawConfig};
use jeton::http::pacing::Pacing;
use jeton::http::{Peer, Worker};
use jeton::keys::MasterKey;
use jeton::limiter::FailureLimiter;
use jeton::oauth::{Audience, Client, IssuerUrl, Scope};
use jeton::store::{OpenMode, Store, StoreUrl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::task::JoinHandle;

pub const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
pub const GRANT: &str = "grant_type=client_credentials";
/// Room for any answer of the token endpoint.
pub const ANSWER_BYTES: usize = 4096;

/// The service with one usual client.
pub struct Service {
    pub app: Arc<App>,
    pub store: Arc<dyn Store>,
    pub client: Client,
    pub secret: String,
}

impl Service {
    /// On a store in memory.
    pub fn new() -> Self {
        Self::on("memory:")
    }

    /// On the store of this URL, with the server's defaults but for failure limits, which are off.
    pub fn on(url: &str) -> Self {
        let mut raw = RawConfig::default();
        let settings = "[serve]\nworkers = 1\n[limits]\nclient_failures = 0\nsource_failures = 0\n";
        raw.read_toml(settings, "bench").unwrap();
        let store = StoreUrl::parse(url).unwrap().open(OpenMode::CreateIfMissing).unwrap();
        let issuer = IssuerUrl::parse("https://issuer.example.com").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let records = runtime.block_on(unlock(&*store, &master(), NOW)).unwrap();
        let opened = Opened { store: Arc::clone(&store), master: master(), records };
        let config = Config::from_raw(&raw).unwrap();
        let (app, _) = App::new(config, issuer, opened, Clock::manual(NOW)).unwrap();
        let change = ClientChange {
            name: Some("bench".to_owned()),
            scope: Some(Scope::parse("read write").unwrap()),
            audience: Some(vec![Audience::parse("https://api.example.com").unwrap()]),
            ..ClientChange::default()
        };
        let admin = Admin::new(Arc::clone(&store), master(), NOW);
        let (client, secret) = runtime.block_on(admin.add_client(change)).unwrap();
        Self { app, store, client, secret: secret.secret.expose().to_owned() }
    }

    pub fn worker(&self) -> Rc<Worker> {
        let limits = &self.app.config.limits;
        let limiter = FailureLimiter::new(limits.per_client, limits.per_source);
        Rc::new(Worker::new(Arc::clone(&self.app), Arc::new(limiter), Pacing::start().unwrap(), 0))
    }

    /// The `Authorization` value of the client.
    pub fn basic(&self) -> String {
        basic(self.client.id.as_str(), &self.secret)
    }

    /// A whole token request, as HTTP clients send it.
    pub fn request(&self) -> Vec<u8> {
        request(&self.basic(), GRANT)
    }
}

/// Not a secret of anyone.
pub fn master() -> MasterKey {
    MasterKey::from_random([1; 32])
}

pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

pub fn request(authorization: &str, form: &str) -> Vec<u8> {
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: issuer.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\
         Authorization: {authorization}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

/// The same request with a field that changes nothing of it, but makes it an unusual one: hyper's.
pub fn unusual(request: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(request).unwrap();
    text.replacen("\r\n", "\r\nConnection: Keep-Alive, x\r\n", 1).into_bytes()
}

/// A connection to a server that runs in the same thread: what the client does costs next to nothing, and what is
/// measured on this thread is the server.
pub struct Pipe {
    runtime: LocalRuntime,
    stream: DuplexStream,
    answer: Vec<u8>,
    server: JoinHandle<()>,
}

impl Pipe {
    pub fn open(service: &Service) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        let (stream, theirs) = tokio::io::duplex(16 * 1024);
        let peer = Peer { address: SocketAddr::from(([127, 0, 0, 1], 1)) };
        let worker = service.worker();
        let server = runtime.spawn_local(jeton::http::serve_stream(worker, theirs, peer));
        Self { runtime, stream, answer: vec![0; ANSWER_BYTES], server }
    }

    /// Sends a request and reads its answer to the end, which is taken to come in one piece. Asks again when the
    /// machine paused the process for so long that the server takes it for overload.
    pub fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.ask_in_pieces(&[request])
    }

    /// The same with a request that comes piece by piece.
    pub fn ask_in_pieces(&mut self, pieces: &[&[u8]]) -> &[u8] {
        let Self { runtime, stream, answer, server } = self;
        let (last, first) = pieces.split_last().unwrap();
        let length = runtime.block_on(async {
            loop {
                for piece in first {
                    stream.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                stream.write_all(last).await.unwrap();
                let length = stream.read(answer).await.unwrap();
                assert!(length > 0 && !server.is_finished(), "the connection has ended");
                if !is_overload(&answer[..length]) {
                    break length;
                }
            }
        });
        &self.answer[..length]
    }
}

/// True for the refusal of a server that has too much to do.
pub fn is_overload(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 503 ")
}

/// Criterion with few and short rounds: the machines that run this are shared.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args()
}
