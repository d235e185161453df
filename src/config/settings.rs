//! Every setting: its key, its default, and one sentence on when to change it.
//!
//! The table is all there is: a key that does not stand here is unknown, `config show` prints it, and
//! `docs/jeton.toml` is checked against it by a test.

/// A setting that can be written in the file, the environment or a flag.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its dotted key.
    pub key: &'static str,
    /// Its default; the empty text means "not set".
    pub default: &'static str,
    /// When to change it.
    pub why: &'static str,
}

const fn setting(key: &'static str, default: &'static str, why: &'static str) -> Setting {
    Setting { key, default, why }
}

/// Every setting, in the order in which it is shown.
pub const SETTINGS: [Setting; 44] = [
    setting("issuer", "", "The URL that clients and resource servers know; needed once the listener is not loopback."),
    setting("listen", "127.0.0.1:8080", "Where clients connect."),
    setting("ops_listen", "127.0.0.1:8081", "Where probes and Prometheus connect; keep it off the public network."),
    setting("master_key_file", "", "Set it to keep the master key away from the database."),
    setting("serve.workers", "0", "Worker threads, 0 for every core; fewer when the machine is shared."),
    setting(
        "serve.max_connections",
        "10000",
        "Raise it with the limit of open files when more clients stay connected.",
    ),
    setting("serve.max_in_flight", "1024", "Requests begun at a time; lower it to refuse earlier under overload."),
    setting("serve.head_deadline", "10s", "Lower it under attacks by slow clients."),
    setting("serve.body_deadline", "10s", "Lower it under attacks by slow clients."),
    setting("serve.write_deadline", "10s", "Lower it under attacks by clients that do not read."),
    setting("serve.idle_deadline", "60s", "Raise it above the keep-alive of a load balancer in front."),
    setting("serve.max_body", "65536", "Bytes; raise it for requests with very many resources."),
    setting(
        "serve.drain_delay",
        "0s",
        "Raise it to the interval of your load balancer's probes: so long after SIGTERM new connections are still taken.",
    ),
    setting("serve.drain", "10s", "Keep it below the time that the supervisor waits after SIGTERM."),
    setting("token.lifetime", "1h", "Shorter limits the use of a stolen token, longer the load."),
    setting(
        "token.max_lifetime",
        "24h",
        "The bound of every client's own lifetime; a retired key stays published this long.",
    ),
    setting(
        "token.default_audience",
        "",
        "`aud` for clients without an audience of their own; the issuer when not set.",
    ),
    setting("keys.jwks_max_age", "5m", "How long verifiers keep the keys; a new key waits this long before it signs."),
    setting(
        "keys.rotate_every",
        "90d",
        "Shorter limits what a stolen key is worth; 0s leaves it to 'jeton key rotate'.",
    ),
    setting("keys.clock_skew", "60s", "Raise it when the clocks of your machines differ by more."),
    setting(
        "keys.vector_signing",
        "auto",
        "EdDSA with AVX-512 IFMA where the processor has it; off when you distrust it.",
    ),
    setting(
        "keys.verify_after_sign",
        "off",
        "sampled (one call in 100) or all, when a fault of the machine must not leak the key.",
    ),
    setting("store.url", "sqlite:jeton.db", "Where clients and keys are kept."),
    setting("store.cache_clients", "1000000", "Clients kept in memory; lower it when memory is short."),
    setting("store.preload_clients", "10000", "Clients of Redis in memory before the first request; 0 for none."),
    setting("store.outage_grace", "10m", "How long known clients get tokens while the store is gone."),
    setting(
        "store.snapshot_file",
        "",
        "Set it, one per server, so that even a restart while the store is gone issues tokens.",
    ),
    setting("store.redis_deadline", "250ms", "Longest wait for Redis; raise it when Redis is in another region."),
    setting("store.redis_ca_file", "", "The authority of rediss:// servers in PEM, when the machine does not know it."),
    setting("store.redis_password_file", "", "Set it to change the password of Redis without a restart."),
    setting("store.redis_sentinel_password_file", "", "The sentinels' own password; set it when they want one."),
    setting("store.redis_wait_replicas", "0", "Replicas that must have a write before it is acknowledged."),
    setting("limits.client_failures", "20", "Wrong secrets of one client from one address in a row; 0 for no limit."),
    setting("limits.client_failures_per_second", "1", "How fast they are forgiven."),
    setting(
        "limits.source_failures",
        "200",
        "Wrong secrets from one address in a row; 0 for no limit, as behind a proxy.",
    ),
    setting("limits.source_failures_per_second", "20", "How fast they are forgiven."),
    setting(
        "limits.assertion_lifetime",
        "5m",
        "Longest life of a client's assertion; raise it for libraries that make longer ones.",
    ),
    setting("log.level", "info", "debug shows every issued token's id, client and scope."),
    setting("log.format", "auto", "auto is pretty on a terminal and JSON elsewhere; or json, or pretty."),
    setting("audit.output", "", "stdout, or a file that commands append to as well; set it to know who did what."),
    setting("audit.tokens", "all", "Issued tokens: all, none, or a sample such as 1/100 when all are too many."),
    setting("audit.when_full", "drop", "block refuses rather than do what cannot be written down; drop counts it."),
    setting(
        "audit.file_size",
        "104857600",
        "Bytes before a file is put aside; raise it when files are collected rarely.",
    ),
    setting("audit.files", "5", "Files that are kept beside the current one; raise it to keep more."),
];
