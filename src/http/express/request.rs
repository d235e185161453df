//! What a usual token request is, and where its parts lie.
//!
//! Its first line is just one; its fields are taken apart by hyper's parser, so that both see the same (RFC 9112), and
//! whatever hyper would look at twice is not usual. Invariants: of what is taken here, hyper would have made the same form
//! and the same authorization; for more of it is only waited where hyper would wait as well.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Status, parse_headers};

use crate::http::{body, host};

/// More header fields than this are not usual.
const MAX_FIELDS: usize = 32;

/// What a request is, as far as it has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// A usual one; its body may still be on its way.
    Usual(Usual),
    /// Its head has not come whole, and so far it is like that of a usual one.
    Head,
    /// Whatever else.
    Unusual,
}

/// Where in a buffer the parts of a token request lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usual {
    authorization: Option<Range<usize>>,
    form: Range<usize>,
}

impl Usual {
    /// The value of its `Authorization` field.
    #[must_use]
    pub fn authorization<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        bytes.get(self.authorization.clone()?)
    }

    /// Its body, which is said to be a form; empty until it has come whole.
    #[must_use]
    pub fn form<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes.get(self.form.clone()).unwrap_or_default()
    }

    /// How many bytes it takes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.form.end
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

/// The request to `path` at the start of `bytes`. It is no usual one when its body is longer than `most`.
#[must_use]
pub fn parse(bytes: &[u8], path: &str, most: usize) -> Begun {
    let Some(rest) = after_line(bytes, path) else {
        return if begins_line(bytes, path) { Begun::Head } else { Begun::Unusual };
    };
    let mut room = [EMPTY_HEADER; MAX_FIELDS];
    match parse_headers(rest, &mut room) {
        Ok(Status::Complete((head, read))) => {
            usual(read, (bytes, bytes.len() - rest.len() + head), most).map_or(Begun::Unusual, Begun::Usual)
        }
        Ok(Status::Partial) => Begun::Head,
        Err(_) => Begun::Unusual,
    }
}

/// What follows the first line of a usual request.
fn after_line<'b>(bytes: &'b [u8], path: &str) -> Option<&'b [u8]> {
    bytes.strip_prefix(b"POST ")?.strip_prefix(path.as_bytes())?.strip_prefix(b" HTTP/1.1\r\n")
}

/// Whether that line may still become one.
#[cold]
fn begins_line(bytes: &[u8], path: &str) -> bool {
    let mut line = b"POST ".iter().chain(path.as_bytes()).chain(b" HTTP/1.1\r\n");
    bytes.iter().all(|byte| line.next() == Some(byte))
}

/// The parts of a request with these fields, whose head takes so many of the bytes.
fn usual(read: &[Header<'_>], (bytes, head): (&[u8], usize), most: usize) -> Option<Usual> {
    let mut fields = Fields::default();
    for field in read {
        fields.note(field)?;
    }
    let sound = fields.host.is_some_and(host::is_authority) && fields.content_type.is_some_and(body::is_form);
    let length = fields.content_length.and_then(decimal).filter(|length| sound && *length <= most)?;
    let authorization = fields.authorization.map(|value| {
        let from = value.as_ptr().addr() - bytes.as_ptr().addr();
        from..from + value.len()
    });
    Some(Usual { authorization, form: head..head + length })
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATH: &str = "/oauth2/token";
    const MOST: usize = 1000;
    const USUAL: &str = "POST /oauth2/token HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x/1.0\r\nAccept: */*\r\n\
        Authorization: Basic YTpi\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\n\
        grant_type=client_credentials";

    /// The usual request that has come whole.
    fn whole(bytes: &[u8]) -> Option<Usual> {
        match parse(bytes, PATH, MOST) {
            Begun::Usual(usual) => Some(usual).filter(|usual| usual.length() <= bytes.len()),
            Begun::Head | Begun::Unusual => None,
        }
    }

    fn is_usual(request: &str) -> bool {
        whole(request.as_bytes()).is_some()
    }

    #[test]
    fn a_usual_request_is_read_where_it_lies_and_what_follows_it_is_left() {
        let two = format!("{USUAL}{USUAL}");
        let usual = whole(two.as_bytes()).unwrap();
        assert_eq!(usual.form(two.as_bytes()), b"grant_type=client_credentials");
        assert_eq!(usual.authorization(two.as_bytes()), Some(b"Basic YTpi".as_slice()));
        assert_eq!(usual.length(), USUAL.len());
        let anonymous = USUAL.replace("Authorization", "X");
        assert_eq!(whole(anonymous.as_bytes()).unwrap().authorization(anonymous.as_bytes()), None);
        assert!(is_usual(&USUAL.replace("Accept: */*", "connection: Keep-Alive")));
        assert!(is_usual(&USUAL.replace("Host", "hOST").replace("urlencoded", "urlencoded; charset=utf-8")));
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
        assert_eq!(parse(USUAL.as_bytes(), PATH, 28), Begun::Unusual, "longer than the limit");
    }

    #[test]
    fn whatever_has_come_of_a_usual_request_begins_one() {
        let (usual, head) = (whole(USUAL.as_bytes()).unwrap(), USUAL.find("\r\n\r\n").unwrap() + 4);
        for length in 0..USUAL.len() {
            let begun = parse(&USUAL.as_bytes()[..length], PATH, MOST);
            assert_eq!(begun, if length < head { Begun::Head } else { Begun::Usual(usual.clone()) }, "{length}");
        }
        assert_eq!(usual.form(&USUAL.as_bytes()[..USUAL.len() - 1]), b"", "it has not come whole");
        for begun in ["G", "POST /x", "POST /oauth2/token?", "POST /oauth2/token HTTP/1.0", "PR", "\r"] {
            assert_eq!(parse(begun.as_bytes(), PATH, MOST), Begun::Unusual, "{begun}");
        }
        let wrong = USUAL.replace("Accept: ", "Accept : ");
        let at = wrong.find(" : ").unwrap();
        assert_eq!(parse(&wrong.as_bytes()[..at], PATH, MOST), Begun::Head);
        assert_eq!(parse(&wrong.as_bytes()[..at + 2], PATH, MOST), Begun::Unusual, "before its head has come whole");
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

    /// Whether hyper waits for more of this before it does anything.
    fn is_awaited_by_hyper(bytes: &[u8]) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default())) });
        runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
            ours.write_all(bytes).await.unwrap();
            let mut builder = hyper::server::conn::http1::Builder::new();
            let connection = builder.half_close(true).serve_connection(TokioIo::new(theirs), service);
            tokio::select! {
                biased;
                _ = connection => false,
                _ = ours.read_u8() => false,
                () = async { for _ in 0..4 { tokio::task::yield_now().await } } => true,
            }
        })
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
            if let Some(usual) = whole(&bytes) {
                let (path, version, authorization, body) = read_by_hyper(&bytes).expect("hyper takes it as well");
                prop_assert_eq!((&*path, version), (PATH, Version::HTTP_11));
                prop_assert_eq!(authorization.first().map(Vec::as_slice), usual.authorization(&bytes));
                prop_assert!(authorization.len() < 2);
                prop_assert_eq!(body.as_deref(), Some(usual.form(&bytes)));
            }
        }

        #[test]
        fn where_more_is_awaited_hyper_awaits_it_as_well(bytes in nearly_usual(), at in any::<prop::sample::Index>()) {
            let begun = &bytes[..at.index(bytes.len())];
            match parse(begun, PATH, MOST) {
                Begun::Head => prop_assert!(is_awaited_by_hyper(begun)),
                Begun::Usual(usual) if usual.length() > begun.len() => {
                    let (path, _, authorization, body) = read_by_hyper(begun).expect("hyper begins it as well");
                    let ours = usual.authorization(begun).map(<[u8]>::to_vec);
                    prop_assert_eq!((&*path, authorization, body), (PATH, Vec::from_iter(ours), None));
                }
                Begun::Usual(_) | Begun::Unusual => {}
            }
        }

        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, PATH, MOST);
        }
    }
}
