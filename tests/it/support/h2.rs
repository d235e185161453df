//! HTTP/2 frame by frame (RFC 9113), so that a test can send what no client library would.
//!
//! Field blocks are literals without indexing and without Huffman coding (RFC 7541 §6.2.2). The server is told to
//! keep no table for its own, so of its field blocks only the status needs to be understood.

use super::{Client, Wire};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PROTOCOL_ERROR: u32 = 1;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of `RST_STREAM` or `GOAWAY`.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Answered, with this status and body.
    Answer(u16, String),
    /// Reset by the server, with this code.
    Reset(u32),
    /// The connection ended first, with the code of its `GOAWAY`.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// One HTTP/2 connection.
pub struct H2 {
    pub wire: Wire,
    stream: u32,
}

impl H2 {
    pub fn connect(address: &str) -> Self {
        let mut this = Self { wire: Wire::connect(address), stream: 1 };
        this.wire.send(PREFACE);
        // SETTINGS_HEADER_TABLE_SIZE = 0.
        this.send(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        // Room for all the answers of a test.
        this.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
        this
    }

    /// The next stream of ours.
    pub fn open(&mut self) -> u32 {
        let stream = self.stream;
        self.stream += 2;
        stream
    }

    /// Sends a frame; false when the other side takes no more.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.wire.try_send(&encode(kind, flags, stream, payload))
    }

    /// Sends a field block in one frame.
    pub fn headers(&mut self, flags: u8, stream: u32, fields: &[(&str, &str)]) -> bool {
        self.send(HEADERS, flags | END_HEADERS, stream, &block(fields))
    }

    /// A whole request on a stream of its own.
    pub fn post(&mut self, fields: &[(&str, &str)], body: &str) -> u32 {
        let stream = self.open();
        self.headers(0, stream, fields);
        self.send(DATA, END_STREAM, stream, body.as_bytes());
        stream
    }

    /// Asks for a token and waits for the answer.
    pub fn ask(&mut self, client: &Client, form: &str) -> End {
        let basic = client.basic();
        let stream = self.post(&token_fields(&basic), form);
        self.end_of(stream)
    }

    /// The next frame; `None` when the connection has ended.
    pub fn read(&mut self) -> Option<Frame> {
        let head = self.wire.read_exact(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & !(1 << 31);
        let payload = self.wire.read_exact(length as usize)?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads until this stream has ended; frames of other streams are skipped, settings acknowledged.
    pub fn end_of(&mut self, stream: u32) -> End {
        let (mut status, mut body) = (0, Vec::new());
        while let Some(frame) = self.read() {
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => drop(self.send(SETTINGS, ACK, 0, &[])),
                GOAWAY => return End::GoAway(frame.code()),
                RST_STREAM if frame.stream == stream => return End::Reset(frame.code()),
                HEADERS if frame.stream == stream => status = status_of(&frame.payload),
                DATA if frame.stream == stream => body.extend_from_slice(&frame.payload),
                _ => continue,
            }
            if frame.stream == stream && matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return End::Answer(status, String::from_utf8(body).unwrap());
            }
        }
        End::Closed
    }

    /// Reads until the connection ends; the code of its `GOAWAY` if there was one.
    pub fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.read() {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

pub fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The pseudo-header fields of a token request, then the usual ones.
pub fn token_fields(basic: &str) -> [(&str, &str); 6] {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", "/oauth2/token"),
        ("authorization", basic),
        ("content-type", "application/x-www-form-urlencoded"),
    ]
}

pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        push_text(name, &mut out);
        push_text(value, &mut out);
    }
    out
}

/// A string literal with its length as an integer of seven bits (RFC 7541 §5.1, §5.2).
pub fn push_text(text: &str, out: &mut Vec<u8>) {
    let length = text.len();
    if length < 127 {
        out.push(u8::try_from(length).unwrap());
    } else {
        out.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend_from_slice(text.as_bytes());
}

/// `:status`, which comes first: from the static table, or as a literal whose name is of the static table.
fn status_of(block: &[u8]) -> u16 {
    let block = block.strip_prefix(&[0x20]).unwrap_or(block);
    match block {
        [indexed, ..] if indexed & 0x80 != 0 => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [_, length, digits @ ..] if length & 0x80 != 0 => huffman_digits(&digits[..usize::from(length & 0x7f)]),
        [_, length, digits @ ..] => {
            std::str::from_utf8(&digits[..usize::from(*length)]).unwrap().parse().expect("three digits")
        }
        _ => panic!("no status in {block:02x?}"),
    }
}

/// Digits in the code of RFC 7541 appendix B: 0 to 2 have five bits, 3 to 9 six.
fn huffman_digits(coded: &[u8]) -> u16 {
    let bits: Vec<u8> = coded.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let five = bits[at..at + 5].iter().fold(0, |code, bit| code << 1 | u16::from(*bit));
        let digit = if five < 3 { five } else { (five << 1 | u16::from(bits[at + 5])) - 0x19 + 3 };
        at += if five < 3 { 5 } else { 6 };
        number = number * 10 + digit;
    }
    number
}
