//! Method and path to endpoint.
//!
//! Paths are compared byte for byte: no trailing slash, no second slash, no case folding, no redirect (RFC 9700
//! §4.12). An issuer with a path keeps the well-known names by insertion (RFC 8414 §3.1).

use std::future::ready;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode, Version};
use hyper::body::Incoming;

use super::form_post::Arrival;
use super::host;
use super::introspect::introspect;
use super::reply::{self, Reply};
use super::revoke::revoke;
use super::token::token;
use super::worker::{Peer, Worker};
use crate::metrics::{Endpoint, Laps, UNANSWERED};
use crate::oauth::{Algorithm, IssuerUrl, OAuthError};

/// The paths of one issuer.
#[derive(Debug)]
pub struct Routes {
    token: Box<str>,
    introspect: Box<str>,
    revoke: Box<str>,
    jwks: Box<str>,
    metadata: [Box<str>; 3],
}

impl Routes {
    /// The paths below the issuer's own.
    #[must_use]
    pub fn new(issuer: &IssuerUrl) -> Self {
        let base = issuer.path();
        Self {
            token: format!("{base}/oauth2/token").into(),
            introspect: format!("{base}/oauth2/introspect").into(),
            revoke: format!("{base}/oauth2/revoke").into(),
            jwks: format!("{base}/.well-known/jwks.json").into(),
            metadata: [
                format!("/.well-known/oauth-authorization-server{base}").into(),
                format!("/.well-known/openid-configuration{base}").into(),
                // OpenID Connect Discovery appends where RFC 8414 inserts.
                format!("{base}/.well-known/openid-configuration").into(),
            ],
        }
    }

    /// The path of the token endpoint.
    #[must_use]
    pub const fn token(&self) -> &str {
        &self.token
    }

    fn find(&self, path: &str) -> Endpoint {
        if path == &*self.token {
            Endpoint::Token
        } else if path == &*self.introspect {
            Endpoint::Introspect
        } else if path == &*self.revoke {
            Endpoint::Revoke
        } else if path == &*self.jwks {
            Endpoint::Jwks
        } else if self.metadata.iter().any(|name| path == &**name) {
            Endpoint::Metadata
        } else {
            Endpoint::Other
        }
    }
}

/// The reply to a request, ready or on its way.
pub type Answer = Pin<Box<dyn Future<Output = Reply>>>;

/// Answers one request of the public listener.
pub fn answer(worker: &Rc<Worker>, request: Request<Incoming>, peer: Peer) -> Answer {
    let started = Instant::now();
    if !host::is_acceptable(request.version(), request.headers()) {
        let error = OAuthError::invalid_request("exactly one valid Host is needed");
        worker.shard().count_http(Endpoint::Other, 400);
        return Box::pin(ready(reply::closing(reply::refused(&error))));
    }
    let endpoint = worker.routes().find(request.uri().path());
    let can_close = request.version() < Version::HTTP_2;
    match endpoint {
        Endpoint::Jwks | Endpoint::Metadata => {
            let reply = document(worker, endpoint, &request);
            return Box::pin(ready(worker.finish((endpoint, can_close), reply)));
        }
        Endpoint::Other => return Box::pin(ready(worker.finish((endpoint, can_close), reply::not_found()))),
        Endpoint::Token | Endpoint::Introspect | Endpoint::Revoke if request.method() != Method::POST => {
            return Box::pin(ready(worker.finish((endpoint, can_close), reply::method_not_allowed("POST"))));
        }
        Endpoint::Token | Endpoint::Introspect | Endpoint::Revoke => {}
    }
    // Taken apart here and lent from here on: what is handed from future to future takes room in each of them.
    let (parts, body) = request.into_parts();
    let mut arrival = Arrival { headers: parts.headers, body: Some(body), peer, started, laps: Laps::default() };
    let asked = Asked::new(worker, (endpoint, can_close));
    match endpoint {
        Endpoint::Introspect => Box::pin(async move {
            let reply = introspect(&asked.worker, &mut arrival).await;
            asked.answer(reply)
        }),
        Endpoint::Revoke => Box::pin(async move {
            let reply = revoke(&asked.worker, &mut arrival).await;
            asked.answer(reply)
        }),
        _ => Box::pin(async move {
            let reply = token(&asked.worker, &mut arrival).await;
            asked.answer(reply)
        }),
    }
}

/// A request that is to be counted once, whatever becomes of it.
pub struct Asked {
    worker: Rc<Worker>,
    of: Option<(Endpoint, bool)>,
}

impl Asked {
    /// A request to this endpoint, and whether its connection can be ended by its reply.
    #[must_use]
    pub fn new(worker: &Rc<Worker>, of: (Endpoint, bool)) -> Self {
        Self { worker: Rc::clone(worker), of: Some(of) }
    }

    /// Counts a reply that is no [`Reply`] and does not end its connection.
    pub fn count(mut self, status: StatusCode) {
        if let Some((endpoint, _)) = self.of.take() {
            self.worker.shard().count_http(endpoint, status.as_u16());
        }
    }

    /// Counts a reply, and lets it end its connection where the process is about to stop.
    pub fn answer(mut self, reply: Reply) -> Reply {
        match self.of.take() {
            Some(of) => self.worker.finish(of, reply),
            None => reply,
        }
    }
}

/// Nobody waits for the reply any more, or making it panicked.
impl Drop for Asked {
    fn drop(&mut self) {
        if let Some((endpoint, _)) = self.of.take() {
            let status = if std::thread::panicking() { 500 } else { UNANSWERED };
            self.worker.shard().count_http(endpoint, status);
        }
    }
}

fn document(worker: &Worker, endpoint: Endpoint, request: &Request<Incoming>) -> Reply {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::method_not_allowed("GET, HEAD");
    }
    let known = request.headers().get(http::header::IF_NONE_MATCH);
    match endpoint {
        // A verifier would keep an empty set for its whole age, and refuse what is signed meanwhile.
        Endpoint::Jwks if worker.app().keys.load().is_empty() => reply::unavailable_for(Duration::from_secs(1)),
        Endpoint::Jwks => worker.jwks(wanted(request.uri().query())).reply(known),
        _ => worker.metadata().reply(known),
    }
}

/// The algorithm that a verifier asks for by `alg`; whatever else a query says asks for nothing.
fn wanted(query: Option<&str>) -> Option<Algorithm> {
    query?.split('&').find_map(|pair| pair.strip_prefix("alg="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_an_algorithm_of_ours_or_for_nothing() {
        for (query, algorithm) in [
            ("alg=ES256", Some(Algorithm::Es256)),
            ("x=1&alg=RS256&alg=ES256", Some(Algorithm::Rs256)),
            ("alg=", None),
            ("alg=es256", None),
            ("alg=HS256&alg=ES256", None),
            ("xalg=ES256&%ff", None),
            ("", None),
        ] {
            assert_eq!(wanted(Some(query)), algorithm, "{query}");
        }
        assert_eq!(wanted(None), None);
    }

    #[test]
    fn t003_t004_paths_are_compared_byte_for_byte() {
        let routes = Routes::new(&IssuerUrl::parse("https://a.example").unwrap());
        assert_eq!(routes.find("/oauth2/token"), Endpoint::Token);
        for path in
            ["/oauth2/token/", "//oauth2/token", "/OAuth2/token", "/oauth2/token/../token", "/oauth2/%74oken", "/", ""]
        {
            assert_eq!(routes.find(path), Endpoint::Other, "{path}");
        }
    }

    #[test]
    fn m01_an_issuers_path_is_inserted_after_the_well_known_name() {
        let routes = Routes::new(&IssuerUrl::parse("https://a.example/t/1").unwrap());
        assert_eq!(routes.find("/.well-known/oauth-authorization-server/t/1"), Endpoint::Metadata);
        assert_eq!(routes.find("/.well-known/oauth-authorization-server"), Endpoint::Other);
        assert_eq!(routes.find("/t/1/oauth2/token"), Endpoint::Token);
        assert_eq!(routes.find("/oauth2/token"), Endpoint::Other);
    }
}
