//! The second listener, for the operator's machines: `GET /livez`, `GET /readyz`, `GET /metrics`.
//!
//! Answers from memory alone: no probe ever asks the store.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use super::reply::{self, Reply};
use crate::app::App;
use crate::metrics;

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request of the operator's listener.
#[must_use]
pub fn answer(app: &Arc<App>, request: &Request<Incoming>) -> Reply {
    let path = request.uri().path();
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        return reply::not_found();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::method_not_allowed("GET, HEAD");
    }
    match path {
        "/livez" => reply::text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if app.is_ready() => reply::text(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => reply::text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        _ => scrape(app),
    }
}

fn scrape(app: &App) -> Reply {
    match app.metrics.render(Some(&app.state())) {
        Ok(text) => reply::text(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be rendered");
            reply::text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the cause is in the server log\n")
        }
    }
}
