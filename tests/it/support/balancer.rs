//! A load balancer in front of several nodes: HAProxy, which asks each whether it is ready.

use super::nursery::{Program, answers, file, free_port, start_until_well, words};

pub struct Balancer {
    pub port: u16,
    _program: Program,
}

impl Balancer {
    /// In front of nodes that serve here and tell of their readiness there.
    pub fn start(nodes: &[(String, String)]) -> Self {
        let start = || {
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            let servers: Vec<String> = nodes.iter().enumerate().map(|(n, node)| server(n, node)).collect();
            let config = file(&folder, "haproxy.cfg", &config(port, &servers.join("")));
            let line = words(["haproxy", "-db", "-f", &config.display().to_string()]);
            (port, Program::start(folder, line, Vec::new()))
        };
        let (port, program) = start_until_well(start, |(port, program)| {
            let is_there = || answers(*port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &["HTTP/1.1 404"]);
            if program.has_ended() { Some(false) } else { is_there().then_some(true) }
        });
        Self { port, _program: program }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn server(number: usize, (address, ops): &(String, String)) -> String {
    let ops_port = ops.rsplit(':').next().unwrap();
    format!("  server node{number} {address} check port {ops_port} inter 200ms fall 1 rise 1\n")
}

fn config(port: u16, servers: &str) -> String {
    format!(
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n  retries 3\n\
         \x20 option redispatch 1\n\
         frontend public\n  bind 127.0.0.1:{port}\n  default_backend nodes\n\
         backend nodes\n  balance roundrobin\n  option httpchk GET /readyz\n{servers}"
    )
}
