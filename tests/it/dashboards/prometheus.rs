//! A real Prometheus, on a port of its own and for as long as a test needs it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{need, wait_for};

/// A running Prometheus.
pub struct Prometheus {
    process: Child,
    pub address: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes `target` twice a second; `rules` are files.
    pub fn scraping(target: &str, rules: &[(&str, String)]) -> Self {
        need("prometheus");
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in rules {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let config = format!(
            "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  evaluation_interval: 500ms\n\
             rule_files: ['*.rules.yml']\n\
             scrape_configs:\n  - job_name: jeton\n    static_configs: [{{targets: ['{target}']}}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        // Nobody else takes it in the moment between: ports are handed out in turn.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let process = start(folder.path(), &address);
        let prometheus = Self { process, address, _folder: folder };
        wait_for("Prometheus scrapes", || {
            let answer = prometheus.try_ask("/api/v1/query", &[("query", "up == 1")])?;
            (!answer["data"]["result"].as_array()?.is_empty()).then_some(())
        });
        prometheus
    }

    fn try_ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        // HTTP/1.0: whole, and over when the connection is.
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let head = format!("GET {path}?{} HTTP/1.0\r\nHost: {}\r\n\r\n", pairs.join("&"), self.address);
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        serde_json::from_slice(&answer[body..]).ok()
    }

    /// The answer of its API; an error is one of the question.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let answer = self.try_ask(path, parameters).ok_or("no answer")?;
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer["error"].to_string()) }
    }

    /// The names of the alerts that fire.
    pub fn firing(&self) -> Vec<String> {
        let alerts = self.ask("/api/v1/alerts", &[]).unwrap();
        let alerts = alerts["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let mut names: Vec<String> =
            firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn start(folder: &Path, address: &str) -> Child {
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
    command.args([format!("--web.listen-address={address}"), "--log.level=error".to_owned()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
