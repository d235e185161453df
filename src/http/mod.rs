//! Bytes to protocol and back; the only code that knows hyper.
//!
//! `server` binds and runs the workers, `connection` and `guard` keep one connection within its limits, `express` is
//! the way of usual token requests past hyper and `rewound` the way back, `routes` finds the endpoint, `form_post` is
//! what `token`, `introspect` and `revoke` share, `pacing` gives refusals their time, `body` reads and `reply` writes,
//! `ops` is the operator's listener, `client` what our own commands ask other servers with, `demo` the quickstart's
//! resource server. `rehearsal` is a worker for tests.

mod body;
pub mod client;
mod connection;
pub mod demo;
pub mod express;
mod form_post;
mod guard;
pub mod host;
mod introspect;
pub mod metadata;
pub mod ops;
mod overload;
pub mod pacing;
mod refusal;
#[cfg(test)]
mod rehearsal;
pub mod reply;
mod revoke;
mod rewound;
pub mod routes;
pub mod server;
mod token;
mod waiting;
mod worker;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::app::App;
use crate::limiter::FailureLimiter;

use routes::Answer;

pub use connection::Front;
pub use server::{Bound, ConnectionLimits, Drained, Server};
pub use worker::{Peer, Worker};

/// Connections that the operator's listener keeps.
const OPS_CONNECTIONS: usize = 256;

/// Serves the public endpoints on `bound`.
///
/// # Errors
/// When a worker thread cannot be started.
pub fn serve(app: &Arc<App>, bound: Bound) -> io::Result<Server> {
    let serve = &app.config.serve;
    let limits = ConnectionLimits {
        connections: serve.max_connections,
        head: serve.head_deadline,
        idle: serve.idle_deadline,
        write: serve.write_deadline,
    };
    let failures = &app.config.limits;
    let limiter = Arc::new(FailureLimiter::new(failures.per_client, failures.per_source));
    let pacing = pacing::Pacing::start()?;
    let (open, app) = (Arc::clone(app.metrics.connections()), Arc::clone(app));
    Server::start(bound, limits, open, move |index| {
        let worker = Rc::new(Worker::new(Arc::clone(&app), Arc::clone(&limiter), pacing.clone(), index));
        public(worker)
    })
}

/// Answers at all public endpoints.
fn public(worker: Rc<Worker>) -> Front<impl Fn(Request<Incoming>, Peer) -> Answer> {
    let express = Some(Rc::clone(&worker));
    Front { handler: move |request, peer| routes::answer(&worker, request, peer), express }
}

/// Serves one connection that is already open until it ends, in the task that asks; for benches. It is the same
/// connection as a listener's, but that nothing sweeps its deadlines.
pub async fn serve_stream<S>(worker: Rc<Worker>, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let watch = guard::Watch::new(Rc::default(), Arc::default());
    connection::serve(stream, peer, watch, (connection::builder(), Rc::new(public(worker)))).await;
}

/// Serves probes and metrics on `bound`.
///
/// # Errors
/// When the thread cannot be started.
pub fn serve_ops(app: &Arc<App>, bound: Bound) -> io::Result<Server> {
    let (head, idle) = (Duration::from_secs(10), Duration::from_mins(1));
    let limits = ConnectionLimits { connections: OPS_CONNECTIONS, head, idle, write: head };
    let app = Arc::clone(app);
    Server::start(bound, limits, Arc::default(), move |_| {
        let app = Arc::clone(&app);
        Front::plain(move |request, _| std::future::ready(ops::answer(&app, &request)))
    })
}
