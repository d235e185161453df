//! Listeners and workers: one single-thread runtime per worker, each with a listener of its own on the same port.
//!
//! Leaves a connection's life to `connection`. Stopping has two steps: *drain* (after a short notice, everything that
//! the kernel has accepted is answered, then connections end) and *cut* (they end now).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{self, Front};
use super::guard::{Deadlines, Order, TICK, Tick, Watch};
use super::refusal;
use super::worker::{self, Peer};
use crate::metrics::{ConnectionEvent, Connections};

const BACKLOG: i32 = 4096;
/// How long an accept that failed for want of descriptors or memory waits before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a server that is about to stop goes on as before, while readiness says no and every reply that its
/// connection ends: an idle HTTP/1 connection that is closed at once may meet a request on its way.
const NOTICE: Duration = Duration::from_millis(250);
/// How long a connection is safe from having to make room when there is none: longer than a client that lives takes
/// between two requests, and much shorter than the idle deadline.
const SPARED_FOR: Duration = Duration::from_secs(5);
/// How many connections beyond the cap are told so at a time; more are closed without a word.
const MAX_REFUSALS: usize = 64;
/// How long a refused connection may take to read why.
const REFUSAL_LINGER: Duration = Duration::from_secs(1);

/// What bounds the connections of one listener.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Open at the same time, over all workers.
    pub connections: usize,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For the other side to take a reply.
    pub write: Duration,
}

/// Listeners that are bound but not yet served.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<StdListener>,
    address: SocketAddr,
}

impl Bound {
    /// One listener per worker on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be had, such as a port that is taken.
    pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Self> {
        // Without SO_REUSEPORT first: a port that another process serves is an error, not a silent share.
        drop(listen(address, false)?);
        let first = listen(address, true)?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..workers {
            listeners.push(listen(address, true)?);
        }
        Ok(Self { listeners, address })
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the workers of a server were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Cut,
}

/// The running workers of one listener.
#[derive(Debug)]
pub struct Server {
    phase: watch::Sender<Phase>,
    open: Arc<Connections>,
    workers: Vec<std::thread::JoinHandle<io::Result<()>>>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Whole,
    /// The deadline came first; this many connections were cut.
    Cut(u64),
}

impl Server {
    /// Starts a worker thread per listener. `front` is called once on each thread.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start<M, H, F>(bound: Bound, limits: ConnectionLimits, open: Arc<Connections>, front: M) -> io::Result<Self>
    where
        M: Fn(usize) -> Front<H> + Clone + Send + 'static,
        H: Fn(Request<Incoming>, Peer) -> F + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Unpin + 'static,
    {
        let (phase, told) = watch::channel(Phase::Serving);
        let mut workers = Vec::new();
        for (index, listener) in bound.listeners.into_iter().enumerate() {
            let (told, open, front) = (told.clone(), Arc::clone(&open), front.clone());
            let run = move || {
                worker::runtime()?.block_on(async {
                    let listener = TcpListener::from_std(listener)?;
                    Acceptor::new(limits, open, front(index)).run(listener, told).await;
                    Ok(())
                })
            };
            workers.push(std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?);
        }
        Ok(Self { phase, open, workers })
    }

    /// Stops accepting, lets connections finish for up to `deadline`, then cuts the rest.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.phase.send_replace(Phase::Draining);
        let end = Instant::now() + deadline;
        while !self.is_finished() {
            if Instant::now() >= end {
                let cut = self.open.open();
                self.phase.send_replace(Phase::Cut);
                return Drained::Cut(cut);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Drained::Whole
    }

    /// True when every worker has ended; before a drain that means that one died.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.workers.iter().all(std::thread::JoinHandle::is_finished)
    }

    /// True when any worker has ended.
    #[must_use]
    pub fn has_lost_a_worker(&self) -> bool {
        self.workers.iter().any(std::thread::JoinHandle::is_finished)
    }
}

/// Accepts and keeps the connections of one worker.
struct Acceptor<H> {
    limits: ConnectionLimits,
    open: Arc<Connections>,
    front: Rc<Front<H>>,
    now: Rc<Cell<Tick>>,
    connections: Rc<RefCell<HashMap<u64, Rc<Watch>>>>,
    refusals: Rc<Cell<usize>>,
    next_id: Cell<u64>,
}

/// Takes a connection off the lists when its task ends, however it ends.
struct Registration {
    id: u64,
    connections: Rc<RefCell<HashMap<u64, Rc<Watch>>>>,
    open: Arc<Connections>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.borrow_mut().remove(&self.id);
        self.open.closed();
    }
}

impl<H, F> Acceptor<H>
where
    H: Fn(Request<Incoming>, Peer) -> F + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Unpin + 'static,
{
    fn new(limits: ConnectionLimits, open: Arc<Connections>, front: Front<H>) -> Self {
        Self {
            limits,
            open,
            front: Rc::new(front),
            now: Rc::default(),
            connections: Rc::default(),
            refusals: Rc::default(),
            next_id: Cell::new(0),
        }
    }

    async fn run(&self, listener: TcpListener, mut told: watch::Receiver<Phase>) {
        let mut sweeper = tokio::task::spawn_local(sweep(
            (self.limits, Arc::clone(&self.open)),
            Rc::clone(&self.now),
            Rc::clone(&self.connections),
        ));
        let is_lost = Cell::new(false);
        let end = async {
            tokio::select! {
                _ = told.wait_for(|phase| *phase != Phase::Serving) => {}
                _ = &mut sweeper => is_lost.set(true),
            }
        };
        self.accept_until(&listener, end).await;
        if is_lost.get() {
            // Without it no deadline holds: better to end, which is noticed, than to be held open for ever.
            return;
        }
        self.accept_until(&listener, tokio::time::timeout(NOTICE, told.wait_for(|phase| *phase == Phase::Cut))).await;
        self.take_backlog(listener);
        self.tell_all(Order::Drain);
        while !self.connections.borrow().is_empty() {
            tokio::select! {
                _ = told.wait_for(|phase| *phase == Phase::Cut) => { self.tell_all(Order::Cut); break }
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        sweeper.abort();
    }

    async fn accept_until(&self, listener: &TcpListener, end: impl Future) {
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                biased;
                _ = &mut end => return,
                accepted = listener.accept() => self.take(accepted).await,
            }
        }
    }

    /// What the kernel has accepted already belongs to us: closing the listener would reset it.
    fn take_backlog(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, address)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.spawn(stream, address);
            }
        }
    }

    fn tell_all(&self, order: Order) {
        for watch in self.connections.borrow().values() {
            watch.tell(order);
        }
    }

    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, address)) => self.spawn(stream, address),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                self.open.count(ConnectionEvent::Failed);
                tracing::warn!(%error, "cannot accept connections for now; raise the limit of open files if this repeats");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn spawn(&self, stream: TcpStream, address: SocketAddr) {
        if self.open.open() >= self.limits.connections as u64 {
            return self.refuse(stream);
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let id = self.next_id.replace(self.next_id.get() + 1);
        let watch = Watch::new(Rc::clone(&self.now), Arc::clone(&self.open));
        self.connections.borrow_mut().insert(id, Rc::clone(&watch));
        self.open.opened();
        let registration = Registration { id, connections: Rc::clone(&self.connections), open: Arc::clone(&self.open) };
        let front = Rc::clone(&self.front);
        tokio::task::spawn_local(async move {
            let _registration = registration;
            connection::serve(stream, Peer { address }, watch, (connection::builder(), front)).await;
        });
    }

    /// An early 503. The connection lingers a moment, since closing it over an unread request would reset it
    /// before the answer is read.
    fn refuse(&self, mut stream: TcpStream) {
        self.open.count(ConnectionEvent::Refused);
        if self.refusals.get() >= MAX_REFUSALS {
            return;
        }
        self.refusals.set(self.refusals.get() + 1);
        let refusals = Rc::clone(&self.refusals);
        tokio::task::spawn_local(async move {
            let linger = async {
                stream.write_all(refusal::FULL).await?;
                stream.shutdown().await?;
                while stream.read(&mut [0; 1024]).await? > 0 {}
                io::Result::Ok(())
            };
            // Late or broken, it is closed either way.
            drop(tokio::time::timeout(REFUSAL_LINGER, linger).await);
            refusals.set(refusals.get() - 1);
        });
    }
}

/// Errors of `accept` that concern only the connection that was to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | PermissionDenied)
}

/// Ends the connections that are late, once a tick.
async fn sweep(
    (limits, open): (ConnectionLimits, Arc<Connections>),
    now: Rc<Cell<Tick>>,
    connections: Rc<RefCell<HashMap<u64, Rc<Watch>>>>,
) {
    let [head, idle, write] = [limits.head, limits.idle, limits.write].map(Deadlines::ticks);
    let (deadlines, spared) = (Deadlines { head, idle, write }, Deadlines::ticks(SPARED_FOR));
    let mut ticks = tokio::time::interval(TICK);
    // After a pause of the whole process, time goes on from here: nobody is late for what we missed.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        now.set(now.get().wrapping_add(1));
        let connections = connections.borrow();
        connections.values().filter(|watch| watch.is_late(deadlines)).for_each(|watch| watch.cut_off());
        if open.open() >= limits.connections as u64 {
            // The cap must not be held by those who only hold it; a part at a time, so that not all return at once.
            let idle = connections.values().filter(|watch| watch.is_idle_for(spared));
            idle.take(connections.len().div_ceil(8)).for_each(|watch| watch.cut_off());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::await_holding_refcell_ref, reason = "it is what makes the sweeper panic")]
    fn p12_a_worker_whose_sweeper_panics_ends() {
        let second = Duration::from_secs(1);
        let limits = ConnectionLimits { connections: 1, head: second, idle: second, write: second };
        let runtime = worker::runtime();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let handler = |_: Request<Incoming>, _: Peer| std::future::ready(Response::new(Full::<Bytes>::default()));
            let acceptor = Acceptor::new(limits, Arc::default(), Front::plain(handler));
            let held = acceptor.connections.borrow_mut();
            let (_phase, told) = watch::channel(Phase::Serving);
            let ended = tokio::time::timeout(Duration::from_secs(20), acceptor.run(listener, told)).await;
            assert!(ended.is_ok(), "it goes on without deadlines");
            drop(held);
        });
    }
}
