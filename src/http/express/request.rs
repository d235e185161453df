//! What a usual token request is, and where its parts lie.
//!
//! Its first line is just one; its fields are taken apart by hyper's parser, so that both see the same (RFC 9112), and
//! whatever hyper would look at twice is not usual. Invariant: of what is taken here, hyper would have made the same form
//! and the same authorization.

use std::fmt;

use httparse::{EMPTY_HEADER, Header, Status, parse_headers};

use crate::http::{body, host};

/// More header fields than this are not usual.
const MAX_FIELDS: usize = 32;

/// A token request as it lies in a buffer. It never prints: a secret is in one of its parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Usual<'b> {
    /// The value of its `Authorization` field.
    pub authorization: Option<&'b [u8]>,
    /// Its body, which is said to be a form.
    pub form: &'b [u8],
    /// How many bytes it takes.
    pub length: usize,
}

impl fmt::Debug for Usual<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Usual(***)")
    }
}

/// The fields that matter; each stands once at the most.
#[derive(Default)]
struct Fields<'b> {
    host: Option<&'b [u8]>,
    authorization: Option<&'b [u8]>,
    content_type: Option<&'b [u8]>,
    content_length: Option<&'b [u8]>,
}

/// The request to `path` at the start of `bytes`; `None` unless it is all there, a usual one, and its body no longer
/// than `most`.
#[must_use]
pub fn parse<'b>(bytes: &'b [u8], path: &str, most: usize) -> Option<Usual<'b>> {
    let after_path = bytes.strip_prefix(b"POST ")?.strip_prefix(path.as_bytes())?;
    let rest = after_path.strip_prefix(b" HTTP/1.1\r\n")?;
    let mut room = [EMPTY_HEADER; MAX_FIELDS];
    let Ok(Status::Complete((head, read))) = parse_headers(rest, &mut room) else { return None };
    let mut fields = Fields::default();
    for field in read {
        fields.note(field)?;
    }
    let sound = fields.host.is_some_and(host::is_authority) && fields.content_type.is_some_and(body::is_form);
    let length = fields.content_length.and_then(decimal).filter(|length| sound && *length <= most)?;
    let form = rest.get(head..)?.get(..length)?;
    Some(Usual { authorization: fields.authorization, form, length: bytes.len() - rest.len() + head + length })
}

impl<'b> Fields<'b> {
    /// `None` for a field that makes a request unusual.
    fn note(&mut self, field: &Header<'b>) -> Option<()> {
        // The first is how most write it.
        let is = |name: &str| field.name == name || field.name.eq_ignore_ascii_case(name);
        let place = if is("Host") {
            &mut self.host
        } else if is("Authorization") {
            &mut self.authorization
        } else if is("Content-Type") {
            &mut self.content_type
        } else if is("Content-Length") {
            &mut self.content_length
        } else if is("Connection") {
            return field.value.eq_ignore_ascii_case(b"keep-alive").then_some(());
        } else {
            let changes_the_body = is("Transfer-Encoding") || is("Content-Encoding") || is("Expect") || is("Upgrade");
            return (!changes_the_body).then_some(());
        };
        place.replace(field.value).is_none().then_some(())
    }
}

/// A length of one to five digits, and not zero.
fn decimal(text: &[u8]) -> Option<usize> {
    if text.len() > 5 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |length, digit| 10 * length + usize::from(digit & 0x0F))).filter(|length| *length > 0)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::rc::Rc;

    use http::{Response, Version};
    use http_body_util::{BodyExt as _, Full};
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const PATH: &str = "/oauth2/token";
    const MOST: usize = 1000;
    const USUAL: &str = "POST /oauth2/token HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x/1.0\r\nAccept: */*\r\n\
        Authorization: Basic YTpi\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\n\
        grant_type=client_credentials";

    fn is_usual(request: &str) -> bool {
        parse(request.as_bytes(), PATH, MOST).is_some()
    }

    #[test]
    fn a_usual_request_is_read_where_it_lies_and_what_follows_it_is_left() {
        let two = format!("{USUAL}{USUAL}");
        let usual = parse(two.as_bytes(), PATH, MOST).unwrap();
        assert_eq!(usual.form, b"grant_type=client_credentials");
        assert_eq!((usual.authorization, usual.length), (Some(b"Basic YTpi".as_slice()), USUAL.len()));
        assert_eq!(parse(USUAL.replace("Authorization", "X").as_bytes(), PATH, MOST).unwrap().authorization, None);
        assert!(is_usual(&USUAL.replace("Accept: */*", "connection: Keep-Alive")));
        assert!(is_usual(&USUAL.replace("Host", "hOST").replace("urlencoded", "urlencoded; charset=utf-8")));
        assert_eq!(format!("{usual:?}"), "Usual(***)", "T-223");
    }

    #[test]
    fn t001_to_t035_whatever_is_wrong_or_rare_is_not_usual() {
        for (from, to) in [
            ("POST", "GET"),
            ("POST", "post"),
            ("POST /", "POST http://a.example/"),
            ("/oauth2/token", "/oauth2/token?x=1"),
            ("/oauth2/token", "/oauth2/token/"),
            ("/oauth2/token", "/oauth2/%74oken"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("HTTP/1.1", "HTTP/2.0"),
            ("HTTP/1.1\r", "HTTP/1.1"),
            ("POST", "\r\nPOST"),
            ("POST ", "POST  "),
            ("Host: a.example\r\n", ""),
            ("Host: a.example", "Host:"),
            ("Host: a.example", "Host: a.example\r\nHost: a.example"),
            ("Host: a.example", "Host: u@a.example"),
            ("Accept: */*", "Connection: close"),
            ("Accept: */*", "Connection: keep-alive, upgrade"),
            ("Accept: */*", "Upgrade: h2c"),
            ("Accept: */*", "Expect: 100-continue"),
            ("Accept: */*", "Transfer-Encoding: chunked"),
            ("Accept: */*", "transfer-encoding: identity"),
            ("Accept: */*", "Content-Encoding: identity"),
            ("Accept: */*", "Authorization: Basic YTpi"),
            ("Accept: */*", "Accept : */*"),
            ("Accept: */*", "Accept: a\r\n b"),
            ("Accept: */*", "Accept: \u{1}"),
            ("Accept: */*", "Content-Type: application/x-www-form-urlencoded"),
            ("x-www-form-urlencoded", "json"),
            ("Accept: */*", "Content-Length: 29"),
            ("Content-Length: 29", "Content-Length: +29"),
            ("Content-Length: 29", "Content-Length: 29, 29"),
            ("Content-Length: 29", "Content-Length: 0"),
            ("Content-Length: 29", "Content-Length: 30"),
            ("Content-Length: 29", "Content-Length: 000029"),
            ("Content-Length: 29", "Content-Length: 99999999999999999999"),
            ("Content-Length: 29\r\n", ""),
            ("\r\n\r\n", "\r\n"),
        ] {
            assert!(!is_usual(&USUAL.replacen(from, to, 1)), "{from} -> {to}");
        }
        let many = "X: y\r\n".repeat(MAX_FIELDS);
        assert!(!is_usual(&USUAL.replacen("Accept", &format!("{many}Accept"), 1)));
        assert!(!is_usual("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") && !is_usual(""));
        assert!(parse(USUAL.as_bytes(), PATH, 28).is_none(), "longer than the limit");
        assert!((1..USUAL.len()).all(|length| !is_usual(&USUAL[..length])), "it has not come whole");
    }

    /// What hyper makes of bytes: path, version, authorization and body of the first request.
    type Read = (String, Version, Vec<Vec<u8>>, Option<Vec<u8>>);

    fn read_by_hyper(bytes: &[u8]) -> Option<Read> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let first = Rc::new(RefCell::new(None));
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let first = Rc::clone(&first);
            async move {
                let (head, body) = request.into_parts();
                let authorization = head.headers.get_all("authorization").iter();
                let authorization = authorization.map(|value| value.as_bytes().to_vec()).collect();
                let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
                first.borrow_mut().get_or_insert((head.uri.to_string(), head.version, authorization, body));
                Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default()))
            }
        });
        runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
            ours.write_all(bytes).await.unwrap();
            ours.shutdown().await.unwrap();
            let mut builder = hyper::server::conn::http1::Builder::new();
            drop(builder.half_close(true).serve_connection(TokioIo::new(theirs), service).await);
        });
        first.take()
    }

    /// A usual request with some bytes changed, added or left out.
    fn nearly_usual() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[ -~]{0,3}",
            "\r\n|\n|\r|:|,| |\t|\u{0}|\u{7f}|\u{e4}",
            "Host: b\r\n|Content-Length: [0-9]{1,2}\r\n|Transfer-Encoding: chunked\r\n|Connection: [a-z-]{1,10}\r\n",
        ];
        let change = (0..USUAL.len(), 0..4_usize, piece);
        proptest::collection::vec(change, 0..3).prop_map(|changes| {
            let mut bytes = USUAL.as_bytes().to_vec();
            for (at, cut, piece) in changes {
                let at = at.min(bytes.len());
                bytes.splice(at..(at + cut).min(bytes.len()), piece.bytes());
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn of_what_is_usual_hyper_reads_the_same(bytes in nearly_usual()) {
            if let Some(usual) = parse(&bytes, PATH, MOST) {
                let (path, version, authorization, body) = read_by_hyper(&bytes).expect("hyper takes it as well");
                prop_assert_eq!((&*path, version), (PATH, Version::HTTP_11));
                prop_assert_eq!(authorization.first().map(Vec::as_slice), usual.authorization);
                prop_assert!(authorization.len() < 2);
                prop_assert_eq!(body.as_deref(), Some(usual.form));
            }
        }

        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, PATH, MOST);
        }
    }
}
