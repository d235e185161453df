//! The only place where statuses, headers and bodies are made.
//!
//! Every reply but the public documents says `Cache-Control: no-store` (RFC 6749 §5.1), every error is JSON, a 5xx
//! body is constant, a 401 always names the scheme (RFC 9110 §11.6.1) and a 503 when to come back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::oauth::{ErrorCode, OAuthError, TokenResponse};

/// A whole reply; its length is known, so hyper writes `Content-Length`.
pub type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Basic realm="jeton", charset="UTF-8""#);
/// Seconds after which an overloaded or unavailable server is worth another try.
const RETRY_SOON: HeaderValue = HeaderValue::from_static("1");

/// A token. The request's own header map is emptied and used again, since hyper keeps it for the next request; the body
/// is copied, since hyper would keep the buffer.
#[must_use]
pub fn issued(mut recycled: HeaderMap, response: &TokenResponse) -> Reply {
    recycled.clear();
    recycled.insert(CONTENT_TYPE, JSON);
    recycled.insert(CACHE_CONTROL, NO_STORE);
    recycled.insert(PRAGMA, NO_CACHE);
    let mut reply = Response::new(Full::new(Bytes::copy_from_slice(response.body())));
    *reply.headers_mut() = recycled;
    reply
}

/// What a token is worth (RFC 7662 §2.2).
#[must_use]
pub fn introspected(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = text(StatusCode::OK, content_type, body);
    reply.headers_mut().insert(PRAGMA, NO_CACHE);
    reply
}

/// A token is cut off, or was none (RFC 7009 §2.2): the body does not matter and is empty.
#[must_use]
pub fn revoked() -> Reply {
    let mut reply = Response::new(Full::default());
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

/// A refusal at an endpoint that clients authenticate at (RFC 6749 §5.2).
#[must_use]
pub fn refused(error: &OAuthError) -> Reply {
    refused_as(status_of(error.code()), error)
}

/// A refusal whose status says more than its code: 408, 413, 415.
#[must_use]
pub fn refused_as(status: StatusCode, error: &OAuthError) -> Reply {
    let mut reply = json(status, crate::oauth::response::error_body(error));
    let headers = reply.headers_mut();
    headers.insert(PRAGMA, NO_CACHE);
    match status {
        StatusCode::UNAUTHORIZED => drop(headers.insert(WWW_AUTHENTICATE, CHALLENGE)),
        StatusCode::SERVICE_UNAVAILABLE => drop(headers.insert(RETRY_AFTER, RETRY_SOON)),
        _ => {}
    }
    reply
}

/// Too many failures from one source; `seconds` until the next is forgiven.
#[must_use]
pub fn throttled(seconds: u32) -> Reply {
    let mut reply = refused(&OAuthError::SLOW_DOWN);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    reply
}

/// What was asked for is not to be had before this time.
#[must_use]
pub fn unavailable_for(wait: Duration) -> Reply {
    let mut reply = refused(&OAuthError::TEMPORARILY_UNAVAILABLE);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    reply
}

/// Where a code's status is decided, once.
const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
        ErrorCode::SlowDown => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Answering panicked, and nothing is known of how far it came: the connection ends.
#[must_use]
pub fn panicked() -> Reply {
    tracing::error!("a request panicked; the panic's own line is above");
    closing(refused(&OAuthError::SERVER_ERROR))
}

/// Says that the connection ends with this reply.
#[must_use]
pub fn closing(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CONNECTION, CLOSE);
    reply
}

/// No such path; nothing of it is repeated.
#[must_use]
pub fn not_found() -> Reply {
    json(StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#)
}

/// A path that knows only the methods of `allow`.
#[must_use]
pub fn method_not_allowed(allow: &'static str) -> Reply {
    let error = OAuthError::invalid_request("method not allowed");
    let mut reply = json(StatusCode::METHOD_NOT_ALLOWED, crate::oauth::response::error_body(&error));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

/// A public document, ready rendered: body, entity tag and how long it may be kept.
#[derive(Clone, Debug)]
pub struct Document {
    body: Bytes,
    etag: HeaderValue,
    content_type: HeaderValue,
    cache_control: HeaderValue,
}

impl Document {
    /// A document that caches may keep for `max_age` seconds. Its tag is a digest of its bytes.
    #[must_use]
    pub fn new(body: &Arc<[u8]>, content_type: &'static str, max_age: u64) -> Self {
        let etag = format!("\"{:016x}\"", fnv1a(body));
        let cache_control = format!("public, max-age={max_age}");
        Self {
            body: Bytes::from_owner(Arc::clone(body)),
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")),
            content_type: HeaderValue::from_static(content_type),
            cache_control: HeaderValue::from_str(&cache_control).unwrap_or(NO_CACHE),
        }
    }

    /// The reply to a GET or HEAD with this `If-None-Match` (RFC 9110 §13.1.2). Public keys may be read by any
    /// page, so CORS is open here and nowhere else.
    #[must_use]
    pub fn reply(&self, if_none_match: Option<&HeaderValue>) -> Reply {
        let known = if_none_match.is_some_and(|held| matches_tag(held, &self.etag));
        let mut reply = if known {
            let mut reply = Response::new(Full::default());
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
            reply
        } else {
            let mut reply = Response::new(Full::new(self.body.clone()));
            reply.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
            reply
        };
        let headers = reply.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        reply
    }
}

fn matches_tag(held: &HeaderValue, etag: &HeaderValue) -> bool {
    let etag = etag.as_bytes();
    let mut tags = held.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}

/// Tells renderings of one document apart; not a security boundary.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A short text for probes and scrapes.
#[must_use]
pub fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    text(status, "application/json", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t089_t202_each_code_has_its_status_and_its_headers() {
        for code in ErrorCode::ALL {
            let reply = refused(&OAuthError::new(code, "x"));
            assert_eq!(reply.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(reply.headers().contains_key(WWW_AUTHENTICATE), reply.status() == 401, "{code:?}");
            assert_eq!(reply.headers().contains_key(RETRY_AFTER), reply.status() == 503, "{code:?}");
            assert!(matches!(reply.status().as_u16(), 400 | 401 | 429 | 500 | 503));
        }
        assert_eq!(throttled(0).headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn j06_a_document_that_is_known_is_not_sent_again() {
        let document = Document::new(&Arc::from(b"{}".as_slice()), "application/json", 300);
        let etag = document.reply(None).headers()[ETAG].clone();
        assert_eq!(document.reply(Some(&etag)).status(), 304);
        assert_eq!(document.reply(Some(&HeaderValue::from_static("*"))).status(), 304);
        let list = format!("\"other\", W/{}", etag.to_str().unwrap());
        assert_eq!(document.reply(Some(&HeaderValue::from_str(&list).unwrap())).status(), 304);
        assert_eq!(document.reply(Some(&HeaderValue::from_static("\"other\""))).status(), 200);
    }
}
