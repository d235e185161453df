//! What breaks things breaks them as it says, and the servers that are broken are whole at first.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::certificates::Certificates;
use crate::support::cluster::Cluster;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::Redis;
use crate::support::sentinel::Sentinels;

#[test]
fn a_redis_that_is_killed_keeps_what_it_answered() {
    let mut redis = Redis::start();
    redis.cli(&["SET", "a", "1"]);
    redis.kill();
    assert!(!redis.try_cli(&["PING"]).status.success());
    redis.start_again();
    assert_eq!(redis.cli(&["GET", "a"]), "1");
    redis.program.signal("-STOP");
    redis.program.signal("-CONT");
    assert_eq!(redis.info("maxmemory_policy"), "noeviction");
}

#[test]
fn a_redis_with_tls_speaks_nothing_else() {
    let certificates = Certificates::new();
    let mut redis = Redis::with_tls(&certificates);
    assert_eq!(redis.cli(&["PING"]), "PONG");
    assert!(redis.url().starts_with("rediss://"));
    redis.access.clear();
    assert!(!redis.try_cli(&["PING"]).status.success());
    let stale = Redis::with_tls(&Certificates::as_of("-3d"));
    assert!(!stale.try_cli(&["PING"]).status.success(), "an expired certificate is none");
}

#[test]
fn sentinels_promote_a_replica_of_a_master_that_is_gone() {
    let mut sentinels = Sentinels::start();
    let old = sentinels.master();
    sentinels.nodes[old].cli(&["SET", "a", "1"]);
    sentinels.nodes[old].cli(&["WAIT", "2", "1000"]);
    sentinels.nodes[old].kill();
    let (new, _) = sentinels.wait_until_promoted(old);
    assert_eq!(sentinels.nodes[new].cli(&["GET", "a"]), "1");
    assert!(sentinels.url().ends_with("/main") && sentinels.url().matches(',').count() == 2);
}

#[test]
fn a_cluster_serves_every_slot_and_is_empty_for_whoever_comes_next() {
    for _ in 0..2 {
        let cluster = Cluster::shared();
        let nodes: Vec<usize> = ["a", "b", "c", "d", "e"].iter().map(|key| cluster.master_of(key)).collect();
        for (node, key) in nodes.iter().zip(["a", "b", "c", "d", "e"]) {
            assert_eq!(cluster.nodes[*node].cli(&["GET", key]), "");
            cluster.nodes[*node].cli(&["SET", key, "1"]);
        }
        assert!(nodes.iter().any(|node| *node != nodes[0]), "{nodes:?}");
        assert_eq!(cluster.url().matches(',').count(), 5);
    }
}

/// A connection over a wire, and whether its question is answered soon.
struct Over(TcpStream);

impl Over {
    fn new(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        Self(stream)
    }

    fn ask(&mut self, command: &str) -> Result<String, ErrorKind> {
        self.0.write_all(command.as_bytes()).map_err(|error| error.kind())?;
        self.hear()
    }

    fn hear(&mut self) -> Result<String, ErrorKind> {
        let mut buffer = [0; 256];
        match self.0.read(&mut buffer) {
            Ok(0) => Err(ErrorKind::ConnectionReset),
            Ok(read) => Ok(String::from_utf8_lossy(&buffer[..read]).into_owned()),
            Err(error) => Err(error.kind()),
        }
    }
}

#[test]
fn a_wire_fails_as_it_is_told_to() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let mut over = Over::new(&proxy);
    assert_eq!(over.ask("PING\r\n").unwrap(), "+PONG\r\n");
    proxy.set(Fault::Silent);
    assert_eq!(over.ask("INCR a\r\n"), Err(ErrorKind::WouldBlock));
    assert_eq!(redis.cli(&["EXISTS", "a"]), "0", "what is asked does not arrive");
    proxy.set(Fault::NoAnswers);
    assert_eq!(over.hear(), Err(ErrorKind::WouldBlock));
    assert_eq!(redis.cli(&["GET", "a"]), "1", "what is asked arrives");
    proxy.set(Fault::None);
    assert_eq!(over.hear().unwrap(), ":1\r\n", "what was held comes late");
    let began = Instant::now();
    proxy.set(Fault::Late(Duration::from_millis(50)));
    assert_eq!(over.ask("PING\r\n").unwrap(), "+PONG\r\n");
    assert!(began.elapsed() >= Duration::from_millis(100), "once each way");
    proxy.set(Fault::Slow(100));
    let began = Instant::now();
    assert_eq!(over.ask("PING\r\n").unwrap(), "+PONG\r\n");
    assert!(began.elapsed() >= Duration::from_millis(120), "13 bytes, 100 in a second");
    proxy.set(Fault::None);
    let mut news = Over::new(&proxy);
    assert!(news.ask("subscribe x\r\n").unwrap().contains("subscribe"));
    proxy.set(Fault::NoNews);
    redis.cli(&["PUBLISH", "x", "1"]);
    assert_eq!(news.hear(), Err(ErrorKind::WouldBlock));
    assert_eq!(over.ask("PING\r\n").unwrap(), "+PONG\r\n", "all else goes on");
    proxy.set(Fault::Cut);
    assert!(over.ask("PING\r\n").is_err_and(|kind| kind != ErrorKind::WouldBlock));
    assert!(Over::new(&proxy).ask("PING\r\n").is_err_and(|kind| kind != ErrorKind::WouldBlock));
    proxy.set(Fault::None);
    let mut fresh = Over::new(&proxy);
    assert_eq!(fresh.ask("PING\r\n").unwrap(), "+PONG\r\n");
    proxy.cut_open();
    assert!(fresh.ask("PING\r\n").is_err());
    assert_eq!((proxy.opened(), Over::new(&proxy).ask("PING\r\n").unwrap().as_str()), (4, "+PONG\r\n"));
    assert!(proxy.url().starts_with("redis://127.0.0.1:"));
}
