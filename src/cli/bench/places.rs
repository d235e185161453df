//! Where tokens are asked for: in the thread that serves, and over loopback from a thread beside it.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;

use super::Stage;
use super::cpu::ThreadClock;
use super::load::{ANSWER_BYTES, Load, patiently};
use super::rounds::{Figures, Plan, measure};
use super::service::Service;
use crate::http::pacing::Pacing;
use crate::http::{self, Bound, Peer, Worker};
use crate::limiter::FailureLimiter;

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
/// What the first worker's thread is called.
const WORKER: &str = "worker-0";

/// Serves and asks in one thread, over pipes in memory: all that is jeton's own, and what it costs to ask.
pub fn in_process(service: &Service, plan: Plan, stage: &Stage) -> io::Result<Figures> {
    here(async {
        let failures = &service.app.config.limits;
        let limiter = Arc::new(FailureLimiter::new(failures.per_client, failures.per_source));
        let worker = Rc::new(Worker::new(Arc::clone(&service.app), limiter, Pacing::start()?, 0));
        let peer = Peer { address: SocketAddr::from((LOOPBACK, 1)) };
        let open = || {
            let (ours, theirs) = tokio::io::duplex(ANSWER_BYTES);
            tokio::task::spawn_local(http::serve_stream(Rc::clone(&worker), theirs, peer));
            ours
        };
        let streams = (0..plan.connections).map(|_| open()).collect();
        let load = Load::begin(streams, Arc::clone(&service.requests)).await?;
        measure(load, &ThreadClock::Own, (plan, service.requests.count()), (stage, "in process")).await
    })
}

/// Serves by a worker as `jeton serve` has them, and asks from this thread. The worker ends with the process: nobody else
/// knows its port.
pub fn over_loopback(service: &Service, plan: Plan, stage: &Stage) -> io::Result<Figures> {
    let bound = Bound::bind(SocketAddr::from((LOOPBACK, 0)), 1)?;
    let address = bound.address();
    let server = http::serve(&service.app, bound)?;
    let figures = here(async {
        let mut streams = Vec::new();
        for _ in 0..plan.connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let mut load = Load::begin(streams, Arc::clone(&service.requests)).await?;
        // A thread that has answered has its name.
        patiently(Duration::ZERO, load.turn()).await?;
        let clock = ThreadClock::of(WORKER)?;
        measure(load, &clock, (plan, service.requests.count()), (stage, "over loopback")).await
    })?;
    if server.has_lost_a_worker() {
        return Err(io::Error::other("the server ended before its time"));
    }
    Ok(figures)
}

/// Runs it on this thread, which nothing else runs on.
fn here<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(work)
}
