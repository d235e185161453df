//! A connection to Redis, whatever its topology: made and checked by deadpool, shared by cloning.
//!
//! Every command and its reply belong together, also when whoever asked has gone (redis-rs answers through a channel
//! of each request's own), so one connection carries many requests at a time.

use std::path::PathBuf;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_redis::cluster::{ClusterClientBuilder, ClusterConnection};
use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates, TlsMode, Value, cmd,
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

/// Makes connections. Files are read anew for each, so a password or an authority may change without a restart.
#[derive(Clone, Debug)]
pub struct Maker {
    pub url: RedisUrl,
    pub ca_file: Option<PathBuf>,
    pub password_file: Option<PathBuf>,
    /// How long one command may take.
    pub response_timeout: Duration,
}

/// What is read for one connection.
struct Access {
    password: Option<Zeroizing<String>>,
    certificates: Option<TlsCertificates>,
}

impl Maker {
    /// Lets TLS be spoken by the one library that does all other cryptography here.
    pub fn prepare(&self) {
        if self.url.is_tls {
            // An error says that it is there already.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
    }

    /// A connection to the master, or to the Cluster.
    pub async fn connect(&self) -> RedisResult<Link> {
        if self.url.topology == Topology::Cluster {
            let client = self.cluster()?;
            return Ok(Link::Cluster(client.get_async_connection().await?));
        }
        let config = self.config();
        let client = self.client(0).await?;
        Ok(Link::Server(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    pub fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.response_timeout))
    }

    /// One server: the only one, the master, or one of a Cluster's by turns.
    pub async fn client(&self, turn: usize) -> RedisResult<Client> {
        let access = self.access()?;
        if let Topology::Sentinel(name) = &self.url.topology {
            return self.sentinel(name, &access)?.async_get_client().await;
        }
        let nodes = &self.url.nodes;
        let node = nodes.get(turn % nodes.len().max(1)).ok_or_else(|| misconfigured("no server is named"))?;
        let info = self.info(node, &access)?;
        match &access.certificates {
            Some(certificates) if self.url.is_tls => Client::build_with_tls(info, certificates.clone()),
            _ => Client::open(info),
        }
    }

    fn cluster(&self) -> RedisResult<deadpool_redis::cluster::ClusterClient> {
        let access = self.access()?;
        let nodes: Vec<_> = self.url.nodes.iter().map(|node| self.info(node, &access)).collect::<Result<_, _>>()?;
        let mut builder = ClusterClientBuilder::new(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(self.response_timeout)
            .overall_response_timeout(Some(self.response_timeout))
            .retries(REDIRECTS)
            .min_retry_wait(PAUSES.0)
            .max_retry_wait(PAUSES.1);
        if let Some(certificates) = access.certificates.filter(|_| self.url.is_tls) {
            builder = builder.certs(certificates);
        }
        builder.build()
    }

    fn sentinel(&self, name: &str, access: &Access) -> RedisResult<SentinelClient> {
        let sentinels = self.url.nodes.iter().map(|node| self.address(node));
        let mut builder = SentinelClientBuilder::new(sentinels, name, SentinelServerType::Master)?
            .set_client_to_redis_db(self.url.db)
            .set_client_to_redis_protocol(ProtocolVersion::RESP3);
        if self.url.is_tls {
            builder =
                builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(user) = &self.url.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &access.password {
            builder = builder.set_client_to_redis_password(password.as_str());
        }
        if let Some(certificates) = access.certificates.as_ref().filter(|_| self.url.is_tls) {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
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

    fn info(&self, node: &Node, access: &Access) -> RedisResult<ConnectionInfo> {
        let mut redis = RedisConnectionInfo::default()
            .set_db(self.url.db)
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        if let Some(user) = &self.url.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &access.password {
            redis = redis.set_password(password.as_str());
        }
        Ok(self.address(node).into_connection_info()?.set_redis_settings(redis))
    }

    fn access(&self) -> RedisResult<Access> {
        let from_file = self.password_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path).map(Zeroizing::new);
            text.map(|text| Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())).map_err(|error| {
                misconfigured_with("store.redis_password_file cannot be read", format!("{}: {error}", path.display()))
            })
        });
        let certificates = self.ca_file.as_ref().map(|path| {
            std::fs::read(path).map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) }).map_err(|error| {
                misconfigured_with("store.redis_ca_file cannot be read", format!("{}: {error}", path.display()))
            })
        });
        let from_url = || self.url.password.clone().map(Zeroizing::new);
        Ok(Access { password: from_file.transpose()?.or_else(from_url), certificates: certificates.transpose()? })
    }
}

fn misconfigured(sentence: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, sentence))
}

fn misconfigured_with(sentence: &'static str, detail: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, sentence, detail))
}

impl Manager for Maker {
    type Type = Link;
    type Error = RedisError;

    async fn create(&self) -> Result<Link, RedisError> {
        self.connect().await
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<RedisError> {
        cmd("PING").query_async::<()>(link).await.map_err(RecycleError::Backend)
    }
}
