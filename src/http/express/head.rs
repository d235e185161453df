//! Replies as bytes: the head of a token before its body, and any other reply whole.
//!
//! What changes once a second is rendered once a second.

use std::cell::{Cell, Ref, RefCell};
use std::time::{Duration, SystemTime};

use http_body_util::BodyExt as _;

use crate::clock::UnixTime;
use crate::http::reply::Reply;
use crate::oauth::TokenResponse;
use crate::oauth::response::{HEAD_ROOM, MAX_DIGITS, decimal, push_decimal};

const ISSUED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: ";
const FIELDS: &[u8] = b"\r\ncontent-type: application/json\r\ncache-control: no-store\r\npragma: no-cache";

/// The heads that one worker writes.
#[derive(Debug)]
pub struct Heads {
    second: Cell<UnixTime>,
    date: RefCell<Box<[u8]>>,
}

impl Default for Heads {
    fn default() -> Self {
        let second = UnixTime::from_seconds(0);
        Self { second: Cell::new(second), date: RefCell::new(date_field(second)) }
    }
}

/// The last second that has a date of four digits for its year, as the form of a date demands.
const LAST: u64 = 253_402_300_799;

fn date_field(second: UnixTime) -> Box<[u8]> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second.seconds().min(LAST));
    format!("\r\ndate: {}\r\n\r\n", httpdate::fmt_http_date(time)).into_bytes().into()
}

impl Heads {
    /// A reply with a token: the head is put before the body, where room was left for it. Says where the reply begins.
    pub fn issued(&self, response: TokenResponse, now: UnixTime) -> (Vec<u8>, usize) {
        let mut buffer = response.into_buffer();
        let (mut digits, date) = ([0; MAX_DIGITS], self.date(now));
        let length = decimal(buffer.len().saturating_sub(HEAD_ROOM) as u64, &mut digits);
        let mut from = HEAD_ROOM;
        for part in [&**date, FIELDS, length, ISSUED] {
            let end = from;
            from = end.saturating_sub(part.len());
            if let Some(room) = buffer.get_mut(from..end).filter(|room| room.len() == part.len()) {
                room.copy_from_slice(part);
            }
        }
        drop(date);
        (buffer, from)
    }

    /// Any reply whole.
    pub async fn encode(&self, reply: Reply, now: UnixTime) -> Vec<u8> {
        let (head, mut body) = reply.into_parts();
        let body = body.frame().await.and_then(|frame| frame.ok()?.into_data().ok()).unwrap_or_default();
        let mut out = Vec::with_capacity(2 * HEAD_ROOM + body.len());
        let reason = head.status.canonical_reason().unwrap_or_default();
        for part in ["HTTP/1.1 ", head.status.as_str(), " ", reason] {
            out.extend_from_slice(part.as_bytes());
        }
        for (name, value) in &head.headers {
            for part in [b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(b"\r\ncontent-length: ");
        push_decimal(&mut out, body.len() as u64);
        out.extend_from_slice(&self.date(now));
        out.extend_from_slice(&body);
        out
    }

    /// The last field of a head, and its end.
    fn date(&self, now: UnixTime) -> Ref<'_, Box<[u8]>> {
        if self.second.replace(now) != now {
            *self.date.borrow_mut() = date_field(now);
        }
        self.date.borrow()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::http::reply;
    use crate::oauth::{Closing, OAuthError};

    const NOW: UnixTime = UnixTime::from_seconds(784_111_777);

    fn response() -> TokenResponse {
        let closing = Closing::Of(3600, "read");
        let mut response = TokenResponse::begin(Vec::new(), 5, &closing);
        response.buffer_mut().extend_from_slice(b"a.b.c");
        response.finish(closing);
        response
    }

    /// The lines of a head but for their order, and the body.
    fn parts(reply: &[u8]) -> (Vec<&str>, &str) {
        let (head, body) = std::str::from_utf8(reply).unwrap().split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.split("\r\n").collect();
        lines[1..].sort_unstable();
        (lines, body)
    }

    #[tokio::test]
    async fn t200_t201_a_token_has_the_head_that_every_reply_of_its_kind_has() {
        let heads = Heads::default();
        let (buffer, from) = heads.issued(response(), NOW);
        let whole = heads.encode(reply::issued(HeaderMap::new(), &response()), NOW).await;
        assert_eq!(parts(&buffer[from..]), parts(&whole));
        let (lines, body) = parts(&whole);
        assert_eq!(body.as_bytes(), response().body());
        let length = format!("content-length: {}", body.len());
        let (cache, date) = ("cache-control: no-store", "date: Sun, 06 Nov 1994 08:49:37 GMT");
        let (kind, pragma) = ("content-type: application/json", "pragma: no-cache");
        assert_eq!(lines, ["HTTP/1.1 200 OK", cache, &length, kind, date, pragma]);
    }

    #[tokio::test]
    async fn a_refusal_is_written_out_whole() {
        let refusal = reply::closing(reply::refused_as(StatusCode::UNAUTHORIZED, &OAuthError::INVALID_CLIENT));
        let (challenge, expected) = (refusal.headers()["www-authenticate"].clone(), refusal.headers().len());
        let whole = Heads::default().encode(refusal, NOW).await;
        let (lines, body) = parts(&whole);
        assert_eq!((lines[0], lines.len()), ("HTTP/1.1 401 Unauthorized", 1 + expected + 2));
        assert!(lines.contains(&&*format!("www-authenticate: {}", challenge.to_str().unwrap())));
        assert!(lines.contains(&"connection: close") && body.contains("invalid_client"));
    }

    #[test]
    fn the_longest_head_fits_and_the_date_changes_with_the_second() {
        let heads = Heads::default();
        assert!(ISSUED.len() + MAX_DIGITS + FIELDS.len() + heads.date(NOW).len() <= HEAD_ROOM);
        assert!(heads.date(UnixTime::from_seconds(u64::MAX)).ends_with(b"9999 23:59:59 GMT\r\n\r\n"));
        let one = heads.date(NOW).clone();
        let other = heads.date(UnixTime::from_seconds(784_111_778)).clone();
        assert!(one != other && one == *heads.date(NOW));
    }
}
