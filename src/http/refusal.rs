//! hyper's own refusals, dressed like ours.
//!
//! hyper answers what it cannot parse (400, 414, 431) itself, with an empty body that caches may keep. Those
//! answers never reach `reply`, so they are recognised where they are written: on an HTTP/1 connection that owes
//! no reply, bytes that begin with a 4xx status line can only be hyper's. They are replaced whole.

macro_rules! prepared {
    ($status:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\ncontent-type: application/json\r\ncache-control: no-store\r\npragma: no-cache\r\n",
            "content-length: 27\r\nconnection: close\r\n\r\n{\"error\":\"invalid_request\"}"
        )
        .as_bytes()
    };
}

/// Sent to a connection beyond the cap, unread, and then closed.
pub const FULL: &[u8] = concat!(
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\n",
    "retry-after: 1\r\ncontent-length: 35\r\nconnection: close\r\n\r\n{\"error\":\"temporarily_unavailable\"}"
)
.as_bytes();

/// The reply to send instead of `written`; `None` when `written` is no refusal.
#[must_use]
pub fn instead_of(written: &[u8]) -> Option<&'static [u8]> {
    let status = written.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5))?;
    match status {
        b"414" => Some(prepared!("414 URI Too Long")),
        b"431" => Some(prepared!("431 Request Header Fields Too Large")),
        [b'4', ..] => Some(prepared!("400 Bad Request")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t022_prepared_replies_are_not_cached_and_have_their_length() {
        let replies =
            [b"HTTP/1.1 414 x".as_slice(), b"HTTP/1.1 431 x", b"HTTP/1.0 400 x"].map(|head| instead_of(head).unwrap());
        for reply in replies.into_iter().chain([FULL]) {
            let text = std::str::from_utf8(reply).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("cache-control: no-store"));
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head} {}", body.len());
        }
        assert!(instead_of(b"HTTP/1.1 200 OK").is_none() && instead_of(b"HTTP/1.1").is_none());
    }
}
