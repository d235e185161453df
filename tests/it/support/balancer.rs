//! A load balancer in front of several nodes, by the files of `docs/load-balancers`: HAProxy, which asks each whether it is
//! ready, and nginx, which tries another one.

use super::documents::document;
use super::nursery::{Program, answers, file, free_port, start_until_well, words};

pub struct Balancer {
    pub port: u16,
    _program: Program,
}

impl Balancer {
    /// HAProxy, in front of nodes that serve here and tell of their readiness there.
    pub fn haproxy(nodes: &[(String, String)]) -> Self {
        // As often as tests can wait for.
        let own =
            |port: u16| localized("docs/load-balancers/haproxy.cfg", port, nodes).replace("inter 1s", "inter 200ms");
        Self::start(|folder, port| {
            let config = file(folder, "haproxy.cfg", &own(port));
            words(["haproxy", "-db", "-f", &config.display().to_string()])
        })
    }

    /// nginx, in front of nodes that serve here.
    pub fn nginx(nodes: &[(String, String)]) -> Self {
        Self::start(|folder, port| {
            let place = folder.path().display().to_string();
            let included = file(folder, "jeton.conf", &localized("docs/load-balancers/nginx.conf", port, nodes));
            let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|name| format!("{name}_temp_path {place}/{name};\n"))
                .collect();
            let config = format!(
                "daemon off;\nmaster_process off;\npid {place}/nginx.pid;\nerror_log stderr;\n\
                 events {{}}\nhttp {{\naccess_log off;\n{paths}include {};\n}}\n",
                included.display()
            );
            let config = file(folder, "nginx.conf", &config);
            words(["nginx", "-p", &place, "-c", &config.display().to_string()])
        })
    }

    fn start(line: impl Fn(&tempfile::TempDir, u16) -> Vec<std::ffi::OsString>) -> Self {
        let start = || {
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            let line = line(&folder, port);
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

/// A file of the documents for these nodes: a line for each in the place of the file's own two.
fn localized(name: &str, port: u16, nodes: &[(String, String)]) -> String {
    let text = document(name);
    let own: Vec<&str> = text.lines().filter(|line| line.contains("10.0.0.")).collect();
    let [first, second] = own[..] else { panic!("{name} is for two nodes: {own:?}") };
    let line_of = |(number, (address, ops)): (usize, &(String, String))| {
        let ops_port = ops.rsplit(':').next().unwrap();
        let line =
            first.replace("10.0.0.1:8080", address).replace("check port 8081", &format!("check port {ops_port}"));
        line.replace("server one ", &format!("server node{number} "))
    };
    let lines: Vec<String> = nodes.iter().enumerate().map(line_of).collect();
    let text = text.replace(&format!("{first}\n{second}"), &lines.join("\n"));
    assert_eq!((text.matches("0.0.0.0:8000").count(), text.contains("10.0.0.")), (1, false), "{text}");
    text.replace("0.0.0.0:8000", &format!("127.0.0.1:{port}"))
}
