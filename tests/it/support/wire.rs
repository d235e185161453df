//! A connection that sends exactly the bytes it is told to, and reads HTTP/1 answers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An HTTP/1 answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .skip(1)
            .find(|line| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name)));
        line.map(|line| line.split_once(':').unwrap().1.trim())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}\n{}", self.head, self.text()))
    }

    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// A refusal says what it is in JSON that no cache keeps, to whoever asks.
    pub fn check_refusal(&self, what: &str) {
        assert_eq!(self.header("content-type"), Some("application/json"), "{what}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{what}");
        assert!(!self.error().is_empty(), "{what}: {}", self.text());
        for name in ["set-cookie", "access-control-allow-origin", "location", "server"] {
            assert!(self.header(name).is_none(), "{what}: {}", self.head);
        }
    }

    pub fn access_token(&self) -> String {
        assert_eq!(self.status, 200, "{} {}", self.head, self.text());
        self.json()["access_token"].as_str().unwrap().to_owned()
    }
}

pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// `None` when nobody listens there.
    pub fn try_connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        Some(Self { stream, unread: Vec::new() })
    }

    /// From another loopback address than the usual one.
    pub fn connect_from(source: &str, address: &str) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&format!("{source}:0").parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.connect(&address.parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // The server may close before it has read all, which is what some tests are about.
        let _ = self.stream.write_all(bytes);
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], form: &str) {
        let mut request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", form.len());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        }
        for (name, value) in headers.iter().filter(|(_, value)| *value != "-") {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(form);
        self.send(request.as_bytes());
    }

    /// Reads one answer; panics when the connection ends without one.
    pub fn answer(&mut self) -> Answer {
        self.try_answer(true).expect("an answer")
    }

    /// Reads one answer without a body, as to HEAD.
    pub fn head_answer(&mut self) -> Answer {
        self.try_answer(false).expect("an answer")
    }

    /// Reads one answer; `None` when the connection ends first.
    pub fn try_answer(&mut self, with_body: bool) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill() {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end - 4]).into_owned();
        self.unread.drain(..end);
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status line");
        let mut answer = Answer { status, head, body: Vec::new() };
        let bodiless = !with_body || status == 304 || status < 200;
        let length: usize =
            if bodiless { 0 } else { answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0) };
        while self.unread.len() < length {
            assert!(self.fill(), "the body is cut short: {}", answer.head);
        }
        answer.body = self.unread.drain(..length).collect();
        Some(answer)
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                // A reading with a time limit is interrupted when the test program is stopped and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return false,
                Ok(read) => {
                    self.unread.extend_from_slice(&buffer[..read]);
                    return true;
                }
            }
        }
    }

    /// True when the other side has closed, and sent nothing more before. Silence is not an end.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty()
            && match self.stream.read(&mut [0]) {
                Ok(read) => read == 0,
                Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    /// Reads exactly this many bytes, as the frames of HTTP/2 need it.
    pub fn read_exact(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    /// The same connection, for another thread to read.
    pub fn split_reader(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), unread: Vec::new() }
    }

    /// Reads until the other side closes, and keeps nothing.
    pub fn discard_rest(&mut self) {
        while self.fill() {
            self.unread.clear();
        }
    }

    /// Says that nothing more will be sent.
    pub fn shutdown_write(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}
