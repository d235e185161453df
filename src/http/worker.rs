//! What one worker thread keeps at hand for its requests.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::{LocalOptions, LocalRuntime};

use super::body::BodyLimits;
use super::express::Heads;
use super::metadata;
use super::overload::{Overload, Permit};
use super::pacing::Pacing;
use super::reply::{self, Document, Reply};
use super::routes::Routes;
use super::waiting::Waiting;
use crate::app::App;
use crate::audit::Trail;
use crate::buffers::Buffers;
use crate::jwt::{Instants, SignQueue, queue};
use crate::keys::KeySet;
use crate::limiter::FailureLimiter;
use crate::metrics::{Endpoint, Shard, Shed};
use crate::oauth::{Algorithm, OAuthError};

/// How often a worker looks at its sockets while there is other work, in tasks. Looking seldom lets what was read be
/// answered before more is read; so many tasks take about a millisecond.
const LOOK_EVERY: u32 = 256;

/// The event loop of a worker. It reads from no more sockets in a turn than it signs for at a time: what it knows of
/// them is still in the processor's cache when it writes to them.
///
/// # Errors
/// When the system has no room for one.
pub fn runtime() -> io::Result<LocalRuntime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.max_io_events_per_tick(queue::MOST).event_interval(LOOK_EVERY).enable_all();
    builder.build_local(LocalOptions::default())
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
}

/// The context of the requests of one thread.
#[derive(Debug)]
pub struct Worker {
    app: Arc<App>,
    limiter: Arc<FailureLimiter>,
    pacing: Pacing,
    index: usize,
    queue: SignQueue,
    instants: Instants,
    heads: Heads,
    buffers: Buffers,
    overload: Rc<Overload>,
    waiting: Waiting,
    routes: Routes,
    metadata: Document,
    jwks: RefCell<Published>,
}

impl Worker {
    /// The context of worker `index`; made on its own thread.
    #[must_use]
    pub fn new(app: Arc<App>, limiter: Arc<FailureLimiter>, pacing: Pacing, index: usize) -> Self {
        let max_age = app.config.keys.jwks_max_age.as_secs();
        let jwks = RefCell::new(Published::new(&app.keys.load(), max_age));
        let serve = &app.config.serve;
        let max_in_flight = serve.max_in_flight.div_ceil(serve.workers());
        let occupancy = app.metrics.shard(index).occupancy();
        Self {
            index,
            queue: SignQueue::default(),
            instants: Instants::default(),
            heads: Heads::default(),
            buffers: Buffers::default(),
            limiter,
            pacing,
            overload: Overload::new(max_in_flight, Arc::clone(occupancy)),
            waiting: Waiting::new(max_in_flight, Arc::clone(occupancy)),
            routes: Routes::new(&app.issuer),
            metadata: Document::new(&metadata::render(&app.issuer), "application/json", max_age),
            jwks,
            app,
        }
    }

    /// The service.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Where this worker counts.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        self.app.metrics.shard(self.index)
    }

    /// What it begins its replies with.
    #[must_use]
    pub const fn heads(&self) -> &Heads {
        &self.heads
    }

    /// What it reads into and writes in.
    #[must_use]
    pub const fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Where its requests wait for their signatures.
    #[must_use]
    pub const fn queue(&self) -> &SignQueue {
        &self.queue
    }

    /// What its tokens say of when.
    #[must_use]
    pub const fn instants(&self) -> &Instants {
        &self.instants
    }

    /// Where this worker writes down what a peer did.
    #[must_use]
    pub fn trail(&self, peer: Peer) -> Trail<'_> {
        self.app.audit.trail(self.index, peer.address.ip())
    }

    /// The bounds of failed authentications.
    #[must_use]
    pub fn limiter(&self) -> &FailureLimiter {
        &self.limiter
    }

    /// Where refusals wait for their instant.
    #[must_use]
    pub const fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    /// The paths.
    #[must_use]
    pub const fn routes(&self) -> &Routes {
        &self.routes
    }

    /// A permit to begin a request.
    ///
    /// # Errors
    /// When this worker has too much to do.
    pub fn admit(&self, now: Instant) -> Result<Permit, OAuthError> {
        self.overload.admit(now).map_err(|reason| self.shed(reason))
    }

    /// Counts a request that is refused early, and says what it is told.
    pub fn shed(&self, reason: Shed) -> OAuthError {
        self.shard().count_shed(reason);
        OAuthError::TEMPORARILY_UNAVAILABLE
    }

    /// Counts a reply, and lets it end its connection where one can be ended and the process is about to stop. Asked
    /// last: the drain may have begun while the body was on its way.
    #[must_use]
    pub fn finish(&self, (endpoint, can_close): (Endpoint, bool), reply: Reply) -> Reply {
        self.shard().count_http(endpoint, reply.status().as_u16());
        if can_close && self.app.is_draining() { reply::closing(reply) } else { reply }
    }

    /// The bounds of a body.
    #[must_use]
    pub fn body_limits(&self) -> BodyLimits<'_> {
        let serve = &self.app.config.serve;
        BodyLimits { size: serve.max_body, deadline: serve.body_deadline, waiting: &self.waiting }
    }

    /// The metadata document.
    #[must_use]
    pub const fn metadata(&self) -> &Document {
        &self.metadata
    }

    /// The JWKS document for verifiers of this algorithm, or of all; rendered anew when the keys have changed.
    #[must_use]
    pub fn jwks(&self, algorithm: Option<Algorithm>) -> Document {
        let keys = self.app.keys.load();
        let mut held = self.jwks.borrow_mut();
        if !Arc::ptr_eq(&held.keys, keys.document()) {
            *held = Published::new(&keys, self.app.config.keys.jwks_max_age.as_secs());
        }
        algorithm.and_then(|algorithm| held.narrowed.get(algorithm.index())).unwrap_or(&held.whole).clone()
    }
}

/// The JWKS documents as replies, and what they were made of.
#[derive(Debug)]
struct Published {
    keys: Arc<[u8]>,
    whole: Document,
    narrowed: [Document; Algorithm::ALL.len()],
}

impl Published {
    fn new(keys: &KeySet, max_age: u64) -> Self {
        let document = |algorithm| Document::new(keys.document_of(algorithm), "application/jwk-set+json", max_age);
        Self {
            keys: Arc::clone(keys.document()),
            whole: document(None),
            narrowed: Algorithm::ALL.map(|algorithm| document(Some(algorithm))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream as StdUnixStream;
    use std::task::Poll;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::*;

    /// Is ready again and again, for so many turns. Not by what tokio has for that, which looks at the sockets first.
    async fn stay_busy(turns: Rc<Cell<u32>>, most: u32) {
        poll_fn(|context| {
            turns.set(turns.get() + 1);
            context.waker().wake_by_ref();
            if turns.get() < most { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    #[test]
    fn a_loop_that_is_never_idle_looks_at_its_sockets_and_takes_in_no_more_at_a_time_than_it_signs() {
        const SOCKETS: usize = 3 * queue::MOST;
        runtime().unwrap().block_on(async {
            let turns = Rc::new(Cell::new(0));
            let (mut others, mut readers) = (Vec::new(), Vec::new());
            for _ in 0..SOCKETS {
                let (ours, mut other) = StdUnixStream::pair().unwrap();
                ours.set_nonblocking(true).unwrap();
                other.write_all(b"x").unwrap();
                others.push(other);
                let (turns, mut ours) = (Rc::clone(&turns), UnixStream::from_std(ours).unwrap());
                readers.push(tokio::task::spawn_local(async move {
                    assert_eq!(ours.read_u8().await.unwrap(), b'x');
                    turns.get()
                }));
            }
            let most = 100 * LOOK_EVERY;
            let busy = tokio::task::spawn_local(stay_busy(Rc::clone(&turns), most));
            let mut read_at = Vec::new();
            for reader in readers {
                read_at.push(reader.await.unwrap());
            }
            read_at.sort_unstable();
            assert!(read_at.last().is_some_and(|last| *last < most / 2), "the loop was still busy: {read_at:?}");
            for together in read_at.chunk_by(|one, next| one == next) {
                assert!(together.len() <= queue::MOST, "{} in one turn", together.len());
            }
            busy.abort();
        });
    }
}
