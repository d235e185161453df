//! The yardstick: a bare hyper server that does nothing but a signature and the same bytes.
//!
//! What `jeton serve` may cost is measured against it, in the same run on the same core (`loadtest/capacity`). It
//! has the same hyper settings, one worker, and a reply of the same length in the same header fields. Its signature
//! is made one by one, by ed25519-dalek with an expanded key or by aws-lc-rs, or is 64 constant bytes: then it is the
//! ceiling that a server which signs can reach for. It lacks everything else: no body is looked at, no client is
//! known, nothing is limited, counted or timed out, and every request is answered alike.
//!
//! `yardstick [--listen ADDR] [--signature dalek|aws-lc|none] [--constant CHARS] [--tail CHARS]`: who signs, how long
//! the constant part of the token is, and what follows the token in the body; prints the address once it listens.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measuring instrument ends where it fails"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::Sha512;
use tokio::net::TcpListener;
use tokio::runtime::LocalOptions;

/// `"iat":…,"exp":…,"jti":…` of every token, in base64url.
const TAIL_CHARS: usize = 87;
const SIGNATURE_CHARS: usize = 86;

/// Not a secret of anyone.
const SEED: [u8; 32] = [7; 32];

/// Who makes the signatures.
enum Signer {
    Dalek(Box<(ExpandedSecretKey, VerifyingKey)>),
    AwsLc(Ed25519KeyPair),
    None,
}

impl Signer {
    /// The signer of this name.
    fn find(name: &str) -> Option<Self> {
        let signing = SigningKey::from_bytes(&SEED);
        match name {
            "dalek" => Some(Self::Dalek(Box::new((signing.as_bytes().into(), signing.verifying_key())))),
            "aws-lc" => Ed25519KeyPair::from_seed_unchecked(&SEED).ok().map(Self::AwsLc),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        match self {
            Self::Dalek(key) => raw_sign::<Sha512>(&key.0, message, &key.1).to_bytes(),
            Self::AwsLc(key) => key.sign(message).as_ref().try_into().unwrap(),
            Self::None => [7; 64],
        }
    }
}

/// What every reply is made of.
struct Reply {
    signer: Signer,
    /// `{"access_token":"` and the constant part of the token.
    head: Vec<u8>,
    signed_from: usize,
    tail: Vec<u8>,
}

impl Reply {
    /// A reply whose token has this many constant characters, and whose body ends in this many.
    fn new(signer: Signer, constant_chars: usize, tail_chars: usize) -> Self {
        let mut head = br#"{"access_token":""#.to_vec();
        let signed_from = head.len();
        head.resize(signed_from + constant_chars, b'e');
        let mut tail = br#"","token_type":"Bearer","expires_in":3600,"scope":""#.to_vec();
        tail.resize(tail_chars.max(tail.len()) - 2, b's');
        tail.extend_from_slice(br#""}"#);
        Self { signer, head, signed_from, tail }
    }

    /// The body of one reply: its token says the time and 128 random bits, and has a signature.
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.head.len() + TAIL_CHARS + 1 + SIGNATURE_CHARS + self.tail.len());
        body.extend_from_slice(&self.head);
        let mut claims = *br#""iat":1700000000,"exp":1700003600,"jti":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        write_decimal(&mut claims[6..16], now);
        write_decimal(&mut claims[23..33], now + 3600);
        URL_SAFE_NO_PAD.encode_slice(rand::random::<[u8; 16]>(), &mut claims[41..63]).unwrap();
        let at = body.len();
        body.resize(at + TAIL_CHARS, 0);
        URL_SAFE_NO_PAD.encode_slice(claims, &mut body[at..]).unwrap();
        let signature = self.signer.sign(&body[self.signed_from..]);
        body.push(b'.');
        let at = body.len();
        body.resize(at + SIGNATURE_CHARS, 0);
        URL_SAFE_NO_PAD.encode_slice(signature, &mut body[at..]).unwrap();
        body.extend_from_slice(&self.tail);
        body
    }
}

fn write_decimal(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap();
        number /= 10;
    }
}

/// Answers in the request's own header map, which hyper keeps for the next request.
fn answer(reply: &Reply, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut headers = request.into_parts().0.headers;
    headers.clear();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    let mut response = Response::new(Full::new(Bytes::from(reply.body())));
    *response.headers_mut() = headers;
    response
}

async fn serve(listener: TcpListener, reply: Rc<Reply>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let reply = Rc::clone(&reply);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let response = answer(&reply, request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = http1::Builder::new();
            builder.half_close(true).pipeline_flush(true).writev(false).max_buf_size(16 * 1024);
            // A connection that breaks is its client's business.
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// The value behind `name` on the command line.
fn option<T: std::str::FromStr>(name: &str, default: T) -> T {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let address: SocketAddr = option("--listen", SocketAddr::from(([127, 0, 0, 1], 0)));
    let name = option("--signature", "dalek".to_owned());
    let Some(signer) = Signer::find(&name) else { panic!("--signature is dalek, aws-lc or none, and not {name}") };
    let reply = Reply::new(signer, option("--constant", 320), option("--tail", 80));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        serve(listener, Rc::new(reply)).await;
    });
}
