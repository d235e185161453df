//! Usual token requests: what is read of one where it lies is what hyper reads of it, so nobody can smuggle a request past
//! one of the two (RFC 9112 §11.2).
//!
//! Run it with `cargo +nightly fuzz run express -- -max_len=1024 -dict=fuzz/dictionaries/express.txt`. The input is taken as
//! the whole request, as what follows its first fields, and as what follows those and the length of its body. hyper is
//! only asked about what is found usual.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jeton::http::express::request::{Begun, parse};
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::{Builder, Runtime};

const PATH: &str = "/oauth2/token";
const MOST: usize = 1000;
const BEGIN: &[u8] = b"POST /oauth2/token HTTP/1.1\r\nHost: a.example\r\n\
    Content-Type: application/x-www-form-urlencoded\r\nAuthorization: Basic YTpi\r\n";
const LENGTH: &[u8] = b"Content-Length: 3\r\n";

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
}

/// Method, target, version, authorization and body.
type Read = (Method, String, Version, Vec<Vec<u8>>, Vec<u8>);

fuzz_target!(|input: &[u8]| {
    compare(input);
    compare(&[BEGIN, input].concat());
    compare(&[BEGIN, LENGTH, input].concat());
});

fn compare(bytes: &[u8]) {
    let Begun::Usual(usual) = parse(bytes, PATH, MOST) else { return };
    // Alone, as it is taken out of what came once all of it has.
    let Some(whole) = bytes.get(..usual.length()) else { return };
    let expected = (
        Method::POST,
        PATH.to_owned(),
        Version::HTTP_11,
        usual.authorization(bytes).map(<[u8]>::to_vec).into_iter().collect(),
        usual.form(bytes).to_vec(),
    );
    assert_eq!(RUNTIME.with(|runtime| runtime.block_on(read_by_hyper(whole))), [expected]);
}

/// All requests that hyper finds, as far as they came whole.
async fn read_by_hyper(bytes: &[u8]) -> Vec<Read> {
    let found = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let found = Rc::clone(&found);
        async move {
            let (head, body) = request.into_parts();
            let authorization = head.headers.get_all("authorization").iter().map(|value| value.as_bytes().to_vec());
            let authorization = authorization.collect();
            if let Ok(body) = body.collect().await {
                let body = body.to_bytes().to_vec();
                found.borrow_mut().push((head.method, head.uri.to_string(), head.version, authorization, body));
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
    ours.write_all(bytes).await.expect("room for it");
    ours.shutdown().await.expect("an end");
    let _ = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(theirs), service).await;
    found.take()
}
