//! What is asked of whom: the address, and a whole request for every client, made beforehand.
//!
//! The generator must not be what is measured, so a request is bytes that are ready to be sent.

use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where to, and what. Not to be printed: the requests hold secrets.
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// The requests, one per client; one of them is chosen for each arrival.
    pub requests: Vec<Box<[u8]>>,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A token request, the secret by Basic.
    Basic,
    /// A token request, the secret in the body.
    Post,
    /// A GET of the path.
    Get,
}

/// Who asks. Not to be printed.
#[derive(Clone)]
pub struct Credentials {
    /// The client id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// Host, port and path of an `http://` URL; the path may be left out.
///
/// # Errors
/// A sentence.
pub fn parse_url(url: &str) -> Result<(String, String), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url:?} does not begin with http://"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    Ok((host, path.to_owned()))
}

/// The address of a host and port.
///
/// # Errors
/// A sentence.
pub fn resolve(host: &str) -> Result<SocketAddr, String> {
    let found = host.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?.next();
    found.ok_or_else(|| format!("{host} has no address"))
}

impl Target {
    /// Requests of one kind, to `path` of `host`, for every client.
    ///
    /// # Errors
    /// A sentence, when the host has no address or there is nobody to ask.
    pub fn new(host: &str, path: &str, kind: Kind, clients: &[Credentials]) -> Result<Self, String> {
        let requests: Vec<Box<[u8]>> = match kind {
            Kind::Get => vec![format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes().into()],
            _ => clients.iter().map(|client| token_request(host, path, kind, client)).collect(),
        };
        if requests.is_empty() {
            return Err("no client to ask for".to_owned());
        }
        Ok(Self { address: resolve(host)?, requests })
    }
}

fn token_request(host: &str, path: &str, kind: Kind, client: &Credentials) -> Box<[u8]> {
    let mut form = "grant_type=client_credentials".to_owned();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n");
    let (id, secret) = (encode(&client.id), encode(&client.secret));
    if kind == Kind::Basic {
        let basic = STANDARD.encode(format!("{id}:{secret}"));
        head += &format!("Authorization: Basic {basic}\r\n");
    } else {
        form += &format!("&client_id={id}&client_secret={secret}");
    }
    let length = form.len();
    head += &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}");
    head.into_bytes().into()
}

/// Form encoding, as RFC 6749 §2.3.1 wants it for both ways.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
    out
}

/// The clients that `loadtest/seed.rs` makes: this many, with one secret.
#[must_use]
pub fn seeded(count: u64, secret: &str) -> Vec<Credentials> {
    (0..count).map(|number| Credentials { id: format!("c-{number:010}"), secret: secret.to_owned() }).collect()
}

/// Clients from a file: an id and a secret per line, with white space between them.
///
/// # Errors
/// A sentence that names the line, and none of what stands in it.
pub fn read_clients(file: &Path) -> Result<Vec<Credentials>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let read = |(number, line): (usize, &str)| {
        let mut words = line.split_whitespace().map(ToOwned::to_owned);
        match (words.next(), words.next(), words.next()) {
            (Some(id), Some(secret), None) => Ok(Credentials { id, secret }),
            _ => Err(format!("{}:{}: not an id and a secret", file.display(), number + 1)),
        }
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let split = |host: &str, path: &str| Ok::<_, String>((host.to_owned(), path.to_owned()));
        assert_eq!(parse_url("http://127.0.0.1:8080"), split("127.0.0.1:8080", ""));
        assert_eq!(parse_url("http://h/a/b"), split("h:80", "/a/b"));
        assert!(parse_url("https://h").is_err());
        assert!(parse_url("h:80").is_err());
    }

    #[test]
    fn requests_are_whole_and_encoded() {
        let client = Credentials { id: "a b".to_owned(), secret: "s:%".to_owned() };
        let text = |kind| {
            let target = Target::new("127.0.0.1:1", "/t", kind, std::slice::from_ref(&client)).unwrap();
            String::from_utf8(target.requests[0].to_vec()).unwrap()
        };
        let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ";
        let basic = STANDARD.encode("a%20b:s%3A%25");
        let head = "POST /t HTTP/1.1\r\nHost: 127.0.0.1:1\r\n";
        let expected = format!("{head}Authorization: Basic {basic}\r\n{form}29\r\n\r\ngrant_type=client_credentials");
        assert_eq!(text(Kind::Basic), expected);
        let body = "grant_type=client_credentials&client_id=a%20b&client_secret=s%3A%25";
        assert_eq!(text(Kind::Post), format!("{head}{form}{}\r\n\r\n{body}", body.len()));
        assert_eq!(text(Kind::Get), "GET /t HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
        assert!(Target::new("127.0.0.1:1", "/t", Kind::Basic, &[]).is_err());
    }

    #[test]
    fn clients_are_read_from_a_file_and_errors_do_not_repeat_secrets() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a x\n\n  b\ty \n").unwrap();
        let read = read_clients(file.path()).unwrap();
        assert_eq!(
            read.iter().map(|client| format!("{}={}", client.id, client.secret)).collect::<Vec<_>>(),
            ["a=x", "b=y"]
        );
        std::fs::write(file.path(), "a x\nhush\n").unwrap();
        let error = read_clients(file.path()).err().unwrap();
        assert!(error.contains(":2: ") && !error.contains("hush"), "{error}");
        assert_eq!(seeded(2, "s")[1].id, "c-0000000001");
    }
}
