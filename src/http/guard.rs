//! The deadlines of a connection: head, idle, write; without a timer per request.
//!
//! Every read, write and request leaves a coarse stamp (a worker's tick, four a second) in the connection's
//! [`Watch`]; a sweep once a tick compares the stamps and ends what is late. [`Guarded`] is the socket that
//! leaves them. HTTP/2 has no head of its own to be late with: there, idleness counts from the last request, so
//! that pings keep nothing alive.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal;
use crate::metrics::{ConnectionEvent, Connections};

/// How long a tick is.
pub const TICK: Duration = Duration::from_millis(250);
/// What an HTTP/2 connection begins with (RFC 9113 §3.4). Until it has come whole, its deadline is that of a head.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A coarse instant of one worker: ticks since it started.
pub type Tick = u32;

/// The deadlines in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte of a head (or the accept) to its last.
    pub head: Tick,
    /// Between requests.
    pub idle: Tick,
    /// For the other side to take what is written.
    pub write: Tick,
}

impl Deadlines {
    /// Whole ticks, at least one.
    #[must_use]
    pub fn ticks(duration: Duration) -> Tick {
        Tick::try_from(duration.as_millis().div_ceil(TICK.as_millis())).unwrap_or(Tick::MAX).max(1)
    }
}

/// What a connection was told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Serve,
    /// Answer what has come, then close.
    Drain,
    /// Close now.
    Cut,
}

/// The stamps of one connection.
#[derive(Debug)]
pub struct Watch {
    now: Rc<Cell<Tick>>,
    counts: Arc<Connections>,
    head_since: Cell<Option<Tick>>,
    write_since: Cell<Option<Tick>>,
    idle_since: Cell<Tick>,
    in_flight: Cell<u32>,
    owes_reply: Cell<bool>,
    preface: Cell<usize>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// A connection accepted now; what happens to it is told to `counts`.
    #[must_use]
    pub fn new(now: Rc<Cell<Tick>>, counts: Arc<Connections>) -> Rc<Self> {
        let tick = now.get();
        Rc::new(Self {
            now,
            counts,
            head_since: Cell::new(Some(tick)),
            write_since: Cell::new(None),
            idle_since: Cell::new(tick),
            in_flight: Cell::new(0),
            owes_reply: Cell::new(false),
            preface: Cell::new(0),
            order: Cell::new(Order::Serve),
            waker: RefCell::new(None),
        })
    }

    /// True when a stamp is older than its deadline allows.
    #[must_use]
    pub fn is_late(&self, deadlines: Deadlines) -> bool {
        let older = |since: Option<Tick>, than| since.is_some_and(|since| self.now.get().wrapping_sub(since) > than);
        let idle = self.in_flight.get() == 0 && older(Some(self.idle_since.get()), deadlines.idle);
        older(self.head_since.get(), deadlines.head) || older(self.write_since.get(), deadlines.write) || idle
    }

    /// True when nothing was asked here for longer than this.
    #[must_use]
    pub fn is_idle_for(&self, ticks: Tick) -> bool {
        self.in_flight.get() == 0 && self.now.get().wrapping_sub(self.idle_since.get()) > ticks
    }

    /// Tells the connection's task what to do; it looks at once.
    pub fn tell(&self, order: Order) {
        if self.order.get() == Order::Cut {
            return;
        }
        self.order.set(order);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Ends the connection, which has kept others waiting.
    pub fn cut_off(&self) {
        if self.order.get() != Order::Cut {
            self.counts.count(ConnectionEvent::Cut);
            self.tell(Order::Cut);
        }
    }

    /// What the connection was told. Its task leaves its waker here on the first look.
    pub fn order(&self, context: &Context<'_>) -> Order {
        let mut waker = self.waker.borrow_mut();
        if waker.is_none() {
            *waker = Some(context.waker().clone());
        }
        self.order.get()
    }

    /// Notes a request; the stamp of its end is left when the guard is dropped.
    #[must_use]
    pub fn begin_request(self: &Rc<Self>) -> InFlight {
        self.head_since.set(None);
        self.in_flight.set(self.in_flight.get() + 1);
        InFlight(Rc::clone(self))
    }

    fn is_http2(&self) -> bool {
        self.preface.get() == PREFACE.len()
    }

    fn note_read(&self, bytes: &[u8]) {
        let seen = self.preface.get();
        if seen < PREFACE.len() {
            let rest = PREFACE.get(seen..).unwrap_or_default();
            let matching = rest.iter().zip(bytes).take_while(|(left, right)| left == right).count();
            // Anything else is HTTP/1 for good: a length that no preface reaches.
            let complete = matching == rest.len() || matching == bytes.len();
            self.preface.set(if complete { seen + matching } else { usize::MAX });
        }
        if self.is_http2() {
            self.head_since.set(None);
        } else if self.in_flight.get() == 0 {
            self.begin_head();
        }
    }

    /// A head has begun to come, now or before.
    pub fn begin_head(&self) {
        if self.head_since.get().is_none() {
            self.head_since.set(Some(self.now.get()));
        }
    }

    fn note_write(&self, complete: bool) {
        if complete {
            self.write_since.set(None);
            self.owes_reply.set(false);
        } else if self.write_since.get().is_none() {
            self.write_since.set(Some(self.now.get()));
        }
    }

    /// hyper's own refusal is all that an HTTP/1 connection writes without owing a reply.
    fn replacement(&self, bytes: &[u8]) -> Option<&'static [u8]> {
        let own = self.in_flight.get() == 0 && !self.owes_reply.get() && !self.is_http2();
        let reply = if own { refusal::instead_of(bytes) } else { None };
        if reply.is_some() {
            self.counts.count(ConnectionEvent::Malformed);
        }
        reply
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct InFlight(Rc<Watch>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let watch = &self.0;
        watch.in_flight.set(watch.in_flight.get().saturating_sub(1));
        watch.idle_since.set(watch.now.get());
        watch.owes_reply.set(true);
    }
}

/// A socket that leaves stamps.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    watch: Rc<Watch>,
    /// A prepared reply on its way out, and how much of it is gone.
    replacing: Option<(&'static [u8], usize)>,
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Watches `stream`.
    #[must_use]
    pub const fn new(stream: S, watch: Rc<Watch>) -> Self {
        Self { stream, watch, replacing: None }
    }

    fn poll_replacement(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some((reply, sent)) = self.replacing {
            let rest = reply.get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match Pin::new(&mut self.stream).poll_write(context, rest)? {
                Poll::Ready(written) => self.replacing = Some((reply, sent + written)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.replacing = None;
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let fresh = buffer.filled().get(filled..).unwrap_or_default();
        if read.is_ready() && !fresh.is_empty() {
            self.watch.note_read(fresh);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replacing.is_none() {
            self.replacing = self.watch.replacement(bytes).map(|reply| (reply, 0));
        }
        let written = if self.replacing.is_some() {
            self.poll_replacement(context, bytes.len())
        } else {
            Pin::new(&mut self.stream).poll_write(context, bytes)
        };
        self.watch.note_write(matches!(written, Poll::Ready(Ok(length)) if length == bytes.len()));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// One flat write: replies are short, and hyper's vectored way costs more than the copy.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines { head: 2, idle: 10, write: 2 };

    fn watch() -> (Rc<Cell<Tick>>, Rc<Watch>) {
        let now = Rc::new(Cell::new(0));
        (Rc::clone(&now), Watch::new(now, Arc::default()))
    }

    #[test]
    fn t019_a_head_a_reply_and_a_silence_each_have_their_deadline() {
        let (now, watch) = watch();
        now.set(2);
        assert!(!watch.is_late(DEADLINES));
        now.set(3);
        assert!(watch.is_late(DEADLINES), "no head within its deadline");
        watch.note_read(b"POST");
        drop(watch.begin_request());
        assert!(!watch.is_late(DEADLINES));
        watch.note_write(false);
        now.set(6);
        assert!(watch.is_late(DEADLINES), "the reply is not taken");
        watch.note_write(true);
        assert!(!watch.is_late(DEADLINES));
        now.set(14);
        assert!(watch.is_late(DEADLINES), "idle");
    }

    #[test]
    fn a_trickling_head_does_not_move_its_deadline() {
        let (now, watch) = watch();
        drop(watch.begin_request());
        for tick in 1..=4 {
            now.set(tick);
            watch.note_read(b"P");
        }
        assert!(watch.is_late(DEADLINES));
    }

    #[test]
    fn t024_pings_do_not_keep_an_http2_connection() {
        let (now, watch) = watch();
        watch.note_read(b"P");
        watch.note_read(b"RI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        for tick in 1..=11 {
            now.set(tick);
            watch.note_read(b"ping");
            assert_eq!(watch.is_late(DEADLINES), tick == 11);
        }
    }

    #[test]
    fn t019_half_a_preface_is_as_late_as_any_head() {
        let (now, watch) = watch();
        watch.note_read(b"PRI");
        now.set(3);
        assert!(watch.is_late(DEADLINES));
        watch.note_read(b"X / HTTP/1.1\r\n");
        assert!(!watch.is_http2());
    }

    #[test]
    fn only_a_refusal_that_nobody_asked_for_is_replaced() {
        let (_, watch) = watch();
        watch.note_read(b"BAD");
        assert!(watch.replacement(b"HTTP/1.1 400 Bad Request").is_some());
        drop(watch.begin_request());
        assert!(watch.replacement(b"HTTP/1.1 400 Bad Request").is_none(), "a reply of ours");
        watch.note_write(true);
        assert!(watch.replacement(b"HTTP/1.1 400 Bad Request").is_some());
    }
}
