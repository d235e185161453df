//! A connection to Redis, whatever its topology: made and checked by deadpool, shared by cloning.
//!
//! Behind sentinels, all connections lead to one server, the master that is known; `sentinel` finds it, `connection` says
//! when it is another one.
//!
//! Every command and its reply belong together, also when whoever asked has gone (redis-rs answers through a channel
//! of each request's own), so one connection carries many requests at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_redis::cluster::{ClusterClientBuilder, ClusterConnection};
use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates, Value, cmd,
};
use zeroize::Zeroizing;

use super::url::{Node, RedisUrl, Topology};

/// How long a connection may take to be there: TCP, TLS and authentication.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a command goes round in a Cluster before it fails.
const REDIRECTS: u32 = 8;
/// The pauses between them, in milliseconds.
const PAUSES: (u64, u64) = (5, 40);

/// A connection that can be cloned.
#[derive(Clone)]
pub enum Link {
    /// To one server.
    Server(MultiplexedConnection),
    /// To all servers of a Cluster.
    Cluster(ClusterConnection),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// The server that all connections lead to, once the sentinels have told it; shared by all who make connections.
#[derive(Clone, Debug, Default)]
pub struct Master(Arc<Mutex<Option<Node>>>);

impl Master {
    pub fn set(&self, node: Node) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
    }

    pub fn known(&self) -> Option<Node> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes connections. Files are read anew for each, so a password or an authority may change without a restart.
#[derive(Clone, Debug)]
pub struct Maker {
    pub url: RedisUrl,
    pub ca_file: Option<PathBuf>,
    pub password_file: Option<PathBuf>,
    /// The password of the sentinels, who have one of their own or none.
    pub sentinel_password_file: Option<PathBuf>,
    /// How long one command may take.
    pub response_timeout: Duration,
    pub master: Master,
    /// Whether one may lead to a server that evicts.
    pub may_evict: bool,
}

impl Maker {
    /// Lets TLS be spoken by the one library that does all other cryptography here.
    pub fn prepare(&self) {
        if self.url.is_tls {
            // An error says that it is there already.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
    }

    /// A connection to the master that is known, or to the Cluster.
    pub async fn connect(&self) -> RedisResult<Link> {
        if self.url.topology == Topology::Cluster {
            let client = self.cluster()?;
            return Ok(Link::Cluster(client.get_async_connection().await?));
        }
        let client = self.client(0)?;
        Ok(Link::Server(client.get_multiplexed_async_connection_with_config(&self.config()).await?))
    }

    pub fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.response_timeout))
    }

    /// One server: the only one, the master, or one of a Cluster's by turns.
    pub fn client(&self, turn: usize) -> RedisResult<Client> {
        let (nodes, master) = (&self.url.nodes, self.master.known());
        let node = match &self.url.topology {
            Topology::Sentinel(_) => master.as_ref().ok_or_else(|| misconfigured("no sentinel has named a master"))?,
            _ => nodes.get(turn % nodes.len().max(1)).ok_or_else(|| misconfigured("no server is named"))?,
        };
        self.build(self.address(node).into_connection_info()?.set_redis_settings(self.access()?))
    }

    /// A connection to a sentinel.
    pub async fn to_sentinel(&self, node: &Node) -> RedisResult<MultiplexedConnection> {
        let mut redis = RedisConnectionInfo::default();
        if let Some(password) = password_in(self.sentinel_password_file.as_deref(), "redis_sentinel_password_file")? {
            redis = redis.set_password(password.as_str());
        }
        let client = self.build(self.address(node).into_connection_info()?.set_redis_settings(redis))?;
        client.get_multiplexed_async_connection_with_config(&self.config()).await
    }

    fn build(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match self.certificates()? {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        }
    }

    fn cluster(&self) -> RedisResult<deadpool_redis::cluster::ClusterClient> {
        let access = self.access()?;
        let info = |node| Ok(self.address(node).into_connection_info()?.set_redis_settings(access.clone()));
        let nodes: Vec<_> = self.url.nodes.iter().map(info).collect::<RedisResult<_>>()?;
        let mut builder = ClusterClientBuilder::new(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(self.response_timeout)
            .overall_response_timeout(Some(self.response_timeout))
            .retries(REDIRECTS)
            .min_retry_wait(PAUSES.0)
            .max_retry_wait(PAUSES.1);
        if let Some(certificates) = self.certificates()? {
            builder = builder.certs(certificates);
        }
        builder.build()
    }

    fn address(&self, Node { host, port }: &Node) -> ConnectionAddr {
        if self.url.is_tls {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.clone(), *port)
        }
    }

    /// Who we are to the servers.
    fn access(&self) -> RedisResult<RedisConnectionInfo> {
        let mut redis = RedisConnectionInfo::default()
            .set_db(self.url.db)
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        if let Some(user) = &self.url.user {
            redis = redis.set_username(user);
        }
        let from_file = password_in(self.password_file.as_deref(), "redis_password_file")?;
        if let Some(password) = from_file.or_else(|| self.url.password.clone().map(Zeroizing::new)) {
            redis = redis.set_password(password.as_str());
        }
        Ok(redis)
    }

    /// Who vouches for the servers, when it is not for the machine to say.
    fn certificates(&self) -> RedisResult<Option<TlsCertificates>> {
        let Some(path) = self.ca_file.as_ref().filter(|_| self.url.is_tls) else { return Ok(None) };
        let pem = std::fs::read(path).map_err(|error| {
            misconfigured_with("store.redis_ca_file cannot be read", format!("{}: {error}", path.display()))
        })?;
        Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
    }
}

/// The password in the file that a setting names.
fn password_in(path: Option<&Path>, setting: &'static str) -> RedisResult<Option<Zeroizing<String>>> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        misconfigured_with("a password cannot be read", format!("store.{setting} {}: {error}", path.display()))
    })?;
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

fn misconfigured(sentence: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, sentence))
}

fn misconfigured_with(sentence: &'static str, detail: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, sentence, detail))
}

/// A connection of the pool, and the master to which it leads.
pub struct Pooled {
    pub link: Link,
    pub master: Option<Node>,
}

impl Manager for Maker {
    type Type = Pooled;
    type Error = RedisError;

    async fn create(&self) -> Result<Pooled, RedisError> {
        let master = self.master.known();
        Ok(Pooled { link: self.connect().await?, master })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<RedisError> {
        // A master of the past answers well.
        if pooled.master != self.master.known() {
            return Err(RecycleError::message("another server is the master"));
        }
        cmd("PING").query_async::<()>(&mut pooled.link).await.map_err(RecycleError::Backend)
    }
}
