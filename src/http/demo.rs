//! The resource server of the quickstart: what an API that accepts our tokens does (RFC 6750, RFC 9068 §4).
//!
//! It knows the issuer's name and keys and its own name, asks nobody per request, and lets in whoever shows a
//! token that is meant for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use super::connection::Front;
use super::reply::{self, Reply};
use super::server::{Bound, ConnectionLimits, Server};
use crate::clock::Clock;
use crate::jwt::{AccessToken, Expected, PublicKey, VerifyError, verify};

/// An API that is called with tokens.
#[derive(Debug)]
pub struct ResourceServer {
    /// Whose tokens it accepts.
    pub issuer: String,
    /// Its own name, as in `aud`.
    pub audience: String,
    /// The issuer's published keys.
    pub keys: Vec<PublicKey>,
}

impl ResourceServer {
    /// Serves on a free loopback port until the returned server is dropped.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn serve(self) -> io::Result<(Server, SocketAddr)> {
        let bound = Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1)?;
        let address = bound.address();
        let deadline = Duration::from_secs(10);
        let limits = ConnectionLimits { connections: 64, head: deadline, idle: deadline, write: deadline };
        let this = Arc::new(self);
        let server = Server::start(bound, limits, Arc::default(), move |_| {
            let this = Arc::clone(&this);
            Front::plain(move |request, _| std::future::ready(this.answer(&request)))
        })?;
        Ok((server, address))
    }

    fn answer(&self, request: &Request<Incoming>) -> Reply {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
            return refuse("Bearer", "a token is needed\n".to_owned());
        };
        match self.check(token) {
            Ok(token) => {
                let text = format!("hello {}, you may {}\n", token.client_id, token.scope);
                reply::text(StatusCode::OK, "text/plain; charset=utf-8", text)
            }
            Err(error) => refuse(r#"Bearer error="invalid_token""#, format!("the token is refused: {error}\n")),
        }
    }

    fn check(&self, token: &str) -> Result<AccessToken, VerifyError> {
        let (now, leeway) = (Clock::System.now(), Duration::from_mins(1));
        verify(token, &self.keys, &Expected { issuer: &self.issuer, audience: Some(&self.audience), now, leeway })
    }
}

fn refuse(challenge: &'static str, text: String) -> Reply {
    let mut reply = reply::text(StatusCode::UNAUTHORIZED, "text/plain; charset=utf-8", text);
    reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    reply
}
