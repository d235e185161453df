//! A service of its own for the measurement: a store in memory, clients, and a ready request for each of them.

use std::io;
use std::sync::Arc;

use super::super::CliError;
use super::super::token::basic;
use crate::admin::{Admin, ClientChange, unlock};
use crate::app::{App, Opened};
use crate::clock::Clock;
use crate::config::{Config, RawConfig};
use crate::keys::{KeyError, MasterKey, SigningKey, SigningPolicy};
use crate::oauth::{Algorithm, Audience, IssuerUrl, Scope};
use crate::store::{OpenMode, StoreUrl};

const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "https://api.example.com";
const GRANT: &str = "grant_type=client_credentials";

/// A request of each client. Never to be printed: they hold secrets, if only of this process.
pub struct Requests(Vec<Box<[u8]>>);

impl Requests {
    #[must_use]
    pub const fn of(requests: Vec<Box<[u8]>>) -> Self {
        Self(requests)
    }

    /// One after the other, from the first again after the last.
    #[must_use]
    pub fn at(&self, turn: usize) -> &[u8] {
        self.0.get(turn % self.0.len().max(1)).map(AsRef::as_ref).unwrap_or_default()
    }

    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }
}

/// The service and those who will ask it.
pub struct Service {
    pub app: Arc<App>,
    pub requests: Arc<Requests>,
}

impl Service {
    /// A service with so many clients and the defaults of `jeton serve`, but for one worker and how its keys sign.
    pub async fn start(clients: u32, policy: SigningPolicy) -> Result<Self, CliError> {
        let (now, random) = (Clock::System.now(), rand::random());
        let store = StoreUrl::Memory.open(OpenMode::CreateIfMissing)?;
        let records = unlock(&*store, &MasterKey::from_random(random), now).await?;
        let admin = Admin::new(Arc::clone(&store), MasterKey::from_random(random), now);
        let change = usual_client()?;
        let mut requests = Vec::new();
        for _ in 0..clients {
            let (client, secret) = admin.add_client(change.clone()).await?;
            requests.push(request(&basic(client.id.as_str(), secret.secret.expose())));
            // Whoever shows how it goes on has a turn.
            tokio::task::yield_now().await;
        }
        let issuer = IssuerUrl::parse(ISSUER).map_err(|error| CliError::Failed(error.to_string()))?;
        let opened = Opened { store, master: MasterKey::from_random(random), records };
        let (app, _) = App::new(config(policy)?, issuer, opened, Clock::System)?;
        Ok(Self { app, requests: Arc::new(Requests::of(requests)) })
    }

    /// The key that signs now.
    pub fn key(&self) -> io::Result<Arc<SigningKey>> {
        let keys = self.app.keys.load();
        let key = keys.active(Algorithm::default(), self.app.clock.now());
        key.cloned().ok_or_else(|| io::Error::other(KeyError::NoKey))
    }
}

fn config(policy: SigningPolicy) -> Result<Config, CliError> {
    let mut raw = RawConfig::default();
    raw.read_toml("[serve]\nworkers = 1\n", "bench")?;
    let mut config = Config::from_raw(&raw)?;
    config.keys.signing = policy;
    Ok(config)
}

fn usual_client() -> Result<ClientChange, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    Ok(ClientChange {
        name: Some("bench".to_owned()),
        scope: Some(Scope::parse("read write").map_err(|error| failed(&error))?),
        audience: Some(vec![Audience::parse(AUDIENCE).map_err(|error| failed(&error))?]),
        ..ClientChange::default()
    })
}

/// A whole token request, as HTTP clients send it.
fn request(basic: &str) -> Box<[u8]> {
    let head = format!("POST /oauth2/token HTTP/1.1\r\nHost: issuer.example.com\r\nAuthorization: Basic {basic}\r\n");
    let kind = "User-Agent: bench\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    format!("{head}{kind}Content-Length: {}\r\n\r\n{GRANT}", GRANT.len()).into_bytes().into()
}
