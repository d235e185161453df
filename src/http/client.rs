//! A small HTTP client, for our own commands: one request per connection, one deadline over all of it.
//!
//! Plain HTTP only, since the server itself does not speak TLS yet; for `https` it says so.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 1024 * 1024;

/// A server's answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Not an `http://host[:port]/path` URL.
    Url,
    /// An `https` URL.
    Tls,
    /// Could not connect, or the connection broke.
    Connection(String),
    /// No whole answer in time.
    Deadline,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("not an http:// URL"),
            Self::Tls => f.write_str(
                "https is not supported by this version: name the loopback address on the server's own machine",
            ),
            Self::Connection(cause) => f.write_str(cause),
            Self::Deadline => write!(f, "no answer within {} s", DEADLINE.as_secs()),
        }
    }
}

impl std::error::Error for ClientError {}

/// Fetches a document.
///
/// # Errors
/// When there is no whole answer, whatever its status.
pub async fn get(url: &str, bearer: Option<&str>) -> Result<Answer, ClientError> {
    let mut request = Request::builder().method(Method::GET).uri(url);
    if let Some(token) = bearer {
        request = request.header(AUTHORIZATION, secret_value(&format!("Bearer {token}"))?);
    }
    send(request.body(Full::default()).map_err(|_| ClientError::Url)?).await
}

/// Posts a form with Basic credentials.
///
/// # Errors
/// When there is no whole answer, whatever its status.
pub async fn post_form(url: &str, basic: &str, form: String) -> Result<Answer, ClientError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(AUTHORIZATION, secret_value(&format!("Basic {basic}"))?)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    send(request.body(Full::new(Bytes::from(form))).map_err(|_| ClientError::Url)?).await
}

fn secret_value(text: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| ClientError::Url)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
    tokio::time::timeout(DEADLINE, exchange(request)).await.unwrap_or(Err(ClientError::Deadline))
}

async fn exchange(mut request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
    let uri = request.uri().clone();
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(ClientError::Tls),
        _ => return Err(ClientError::Url),
    }
    let authority = uri.authority().ok_or(ClientError::Url)?;
    let host = authority.host().trim_matches(['[', ']']);
    let at = |error: &dyn fmt::Display| ClientError::Connection(format!("{authority}: {error}"));
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await.map_err(|error| at(&error))?;
    let value = HeaderValue::from_str(authority.as_str()).map_err(|_| ClientError::Url)?;
    request.headers_mut().insert(HOST, value);
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| ClientError::Url)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| at(&error))?;
    let exchange = async {
        let (parts, body) = sender.send_request(request).await.map_err(|error| at(&error))?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| at(&error))?;
        Ok(Answer { status: parts.status, body: body.to_bytes() })
    };
    let mut exchange = std::pin::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    let early = tokio::select! {
        biased;
        answer = &mut exchange => Some(answer),
        // The connection may end before its last bytes are read.
        _ = &mut connection => None,
    };
    match early {
        Some(answer) => answer,
        None => exchange.await,
    }
}
