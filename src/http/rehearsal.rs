//! A worker in process, with a client, an audit log and a clock that stands until it is set: for tests of this room
//! that need a fault which no request can cause.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::pacing::Pacing;
use super::serve_stream;
use super::worker::{Peer, Worker};
use crate::admin::{Admin, ClientChange, unlock};
use crate::app::{App, Opened};
use crate::clock::{Clock, UnixTime};
use crate::config::{Config, RawConfig};
use crate::keys::{KeySet, Lead, MasterKey};
use crate::limiter::FailureLimiter;
use crate::oauth::{Algorithm, IssuerUrl, Scope};
use crate::store::{KeyRecords, OpenMode};

/// Who asks.
pub const PEER: Peer = Peer { address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1) };
/// When it begins.
pub const START: UnixTime = UnixTime::from_seconds(1_800_000_000);
/// How long the second secret of the client is good from then on.
pub const SECRET_LIFETIME: Duration = Duration::from_mins(10);

/// The worker and what stands around it. Its audit log goes with it.
pub struct Rehearsal {
    pub worker: Rc<Worker>,
    /// The id of the one client.
    pub client: String,
    /// The forms that it asks for a token with, by a secret that stays and by one that expires.
    pub forms: [String; 2],
    records: KeyRecords,
    folder: TempDir,
}

fn master() -> MasterKey {
    MasterKey::from_random([1; 32])
}

impl Rehearsal {
    /// With a client whose tokens are signed by this algorithm, and settings of the audit log.
    pub async fn start(algorithm: Algorithm, audit: &str) -> Self {
        let (folder, mut raw) = (tempfile::tempdir().unwrap(), RawConfig::default());
        let log = folder.path().join("audit.log");
        let settings = format!(
            "[store]\nurl = \"memory:\"\n[serve]\nworkers = 1\n[audit]\noutput = \"{}\"\n{audit}",
            log.display()
        );
        raw.read_toml(&settings, "test").unwrap();
        let config = Config::from_raw(&raw).unwrap();
        let store = config.store.url.open(OpenMode::CreateIfMissing).unwrap();
        let admin = Admin::new(Arc::clone(&store), master(), START).on_new_store();
        let lead = Lead { before_use: Duration::ZERO, after_use: Duration::ZERO };
        let (scope, ring) = (Scope::parse("read").unwrap(), admin.begin_ring(algorithm, lead).await.unwrap());
        let change = ClientChange { scope: Some(scope), ring: Some(ring), ..ClientChange::default() };
        let (client, stays) = admin.add_client(change).await.unwrap();
        let (_, expires) = admin.add_secret(&client.id, Some(SECRET_LIFETIME)).await.unwrap();
        let form =
            |secret: &str| format!("grant_type=client_credentials&client_id={}&client_secret={secret}", client.id);
        let forms = [stays, expires].map(|made| form(made.secret.expose()));
        let records = unlock(&*store, &master(), START).await.unwrap();
        let issuer = IssuerUrl::parse("https://a.example").unwrap();
        let opened = Opened { store, master: master(), records: records.clone() };
        let (app, _) = App::new(config, issuer, opened, Clock::manual(START)).unwrap();
        let failures = &app.config.limits;
        let limiter = Arc::new(FailureLimiter::new(failures.per_client, failures.per_source));
        let worker = Rc::new(Worker::new(app, limiter, Pacing::start().unwrap(), 0));
        Self { worker, client: client.id.as_str().to_owned(), forms, records, folder }
    }

    /// From now on no key can sign, although all of them could when they were opened; or they can again.
    pub fn break_keys(&self, are_broken: bool) {
        let (records, now) = (&self.records.keys, self.worker.app().clock.now());
        let keys = if are_broken {
            KeySet::broken(records, &master(), now)
        } else {
            KeySet::open(records, &master(), now).unwrap()
        };
        self.worker.app().keys.store(Arc::new(keys));
    }

    /// A connection to it; served by a task of the runtime that is entered.
    pub fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        tokio::task::spawn_local(serve_stream(Rc::clone(&self.worker), theirs, PEER));
        ours
    }

    /// A number of the metrics.
    pub fn counted(&self, series: &str) -> usize {
        let text = String::from_utf8(self.worker.app().metrics.render(None).unwrap()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is missing in\n{text}")).parse().unwrap()
    }

    /// What was written down, which is all: the log ends.
    pub fn events(&self) -> Vec<Value> {
        self.worker.app().audit.end();
        let text = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Asks for a token on a connection, with these fields besides; the head of the answer and its body.
pub async fn ask(stream: &mut DuplexStream, form: &str, fields: &str) -> (String, Value) {
    let request = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a.example\r\n{fields}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the connection has ended");
        let text = std::str::from_utf8(&answer).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return (head.to_owned(), body);
        }
    }
}
