//! Just enough of HTTP/1.1 to know where an answer ends, what its status is and where its token stands.
//!
//! Answers with a `Content-Length` only; anything else is told, not guessed.

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// More is to come.
    Incomplete,
    /// A whole answer, and nothing behind it.
    Whole(Whole<'a>),
    /// Not what this client can read.
    Bad(&'static str),
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
    /// Whether the server ends the connection.
    pub closes: bool,
}

/// Reads what has come of an answer.
#[must_use]
pub fn parse(bytes: &[u8]) -> Answer<'_> {
    match whole(bytes) {
        Ok(Some(whole)) => Answer::Whole(whole),
        Ok(None) => Answer::Incomplete,
        Err(reason) => Answer::Bad(reason),
    }
}

fn whole(bytes: &[u8]) -> Result<Option<Whole<'_>>, &'static str> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = bytes.split_at(end + 4);
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().and_then(status).ok_or("the answer has no status line of HTTP/1.1")?;
    let (mut length, mut closes) = (None, false);
    for line in lines {
        if let Some(value) = value_of(line, b"content-length") {
            length = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
        } else if let Some(value) = value_of(line, b"connection") {
            closes = value.eq_ignore_ascii_case(b"close");
        } else if value_of(line, b"transfer-encoding").is_some() {
            return Err("the answer has no Content-Length");
        }
    }
    let length = length.ok_or("the answer has no Content-Length")?;
    match body.len() {
        found if found < length => Ok(None),
        found if found > length => Err("the answer is longer than it says"),
        _ => Ok(Some(Whole { status, body, closes })),
    }
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

/// The value of a header line of this name, in whatever case.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// The token in a token response, unless it is written in some unusual way.
#[must_use]
pub fn token(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"access_token\"";
    let at = body.windows(NAME.len()).position(|part| part == NAME)? + NAME.len();
    let rest = body.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nCONTENT-length: 5\r\ndate: x\r\n\r\nhello";

    #[test]
    fn an_answer_is_whole_with_its_last_byte_and_not_before() {
        for end in 0..ANSWER.len() {
            assert_eq!(parse(&ANSWER[..end]), Answer::Incomplete, "{end}");
        }
        assert_eq!(parse(ANSWER), Answer::Whole(Whole { status: 200, body: b"hello", closes: false }));
        assert_eq!(parse(&[ANSWER, b"!"].concat()), Answer::Bad("the answer is longer than it says"));
    }

    #[test]
    fn status_and_the_end_of_the_connection_are_seen() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(parse(answer), Answer::Whole(Whole { status: 503, body: b"", closes: true }));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for answer in [
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(matches!(parse(answer.as_bytes()), Answer::Bad(_)), "{answer:?}");
        }
    }

    #[test]
    fn the_token_is_found_wherever_it_stands() {
        for body in [r#"{"access_token":"a.b.c","x":1}"#, r#"{ "expires_in": 1, "access_token" : "a.b.c" }"#] {
            assert_eq!(token(body.as_bytes()), Some("a.b.c"));
        }
        for body in [r#"{"error":"x"}"#, r#"{"access_token":1}"#, r#"{"access_token":"a"#, ""] {
            assert_eq!(token(body.as_bytes()), None);
        }
    }
}
