//! One connection: its usual requests, then hyper's settings and everything else, its end.
//!
//! Leaves deadlines to `guard`, usual requests to `express`, routing to whoever passes the handler. A request that
//! panics is answered with 500 and takes nothing else down.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};

use super::express;
use super::guard::{Guarded, InFlight, Order, Watch};
use super::reply;
use super::rewound::Rewound;
use super::worker::{Peer, Worker};

/// The largest head, in bytes; also bounds the memory of a connection.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Runs the tasks of HTTP/2 streams on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// HTTP/1.1, and HTTP/2 by prior knowledge, as tight as a token service can be.
#[must_use]
pub fn builder() -> auto::Builder<LocalExecutor> {
    let mut builder = auto::Builder::new(LocalExecutor);
    // half_close: otherwise hyper looks for an end of file while a request holds the read buffer, and every
    // request gets a buffer of its own. No timer: deadlines are the guard's. No pipeline_flush: it holds replies
    // back while bytes are unread, and loses them when what follows is half a request or no request at all.
    builder.http1().half_close(true).writev(false).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .max_concurrent_streams(128)
        .max_header_list_size(16 * 1024)
        .max_frame_size(16 * 1024)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64);
    builder
}

/// What answers the requests of a listener.
#[derive(Debug)]
pub struct Front<H> {
    /// Whatever comes.
    pub handler: H,
    /// Whose usual token requests are answered before hyper sees them.
    pub express: Option<Rc<Worker>>,
}

impl<H> Front<H> {
    /// All of it by `handler`.
    #[must_use]
    pub const fn plain(handler: H) -> Self {
        Self { handler, express: None }
    }
}

/// Serves a connection until it ends, is late or is told to.
pub async fn serve<S, H, F>(
    stream: S,
    peer: Peer,
    watch: Rc<Watch>,
    (builder, front): (auto::Builder<LocalExecutor>, Rc<Front<H>>),
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request<Incoming>, Peer) -> F + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Unpin + 'static,
{
    let mut stream = Guarded::new(stream, Rc::clone(&watch));
    let ahead = match &front.express {
        Some(worker) => until_cut(&watch, express::serve(&mut stream, worker, (peer, &watch))).await.flatten(),
        None => Some(Vec::new()),
    };
    let Some(ahead) = ahead else { return };
    let service = service_fn({
        let watch = Rc::clone(&watch);
        move |request| {
            let in_flight = Some(watch.begin_request());
            // A handler that panics before its first await is caught as well.
            Answering { answer: catch_unwind(AssertUnwindSafe(|| (front.handler)(request, peer))).ok(), in_flight }
        }
    });
    let io = TokioIo::new(Rewound::new(ahead, stream));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut draining = false;
    let ended = poll_fn(|context| {
        match watch.order(context) {
            Order::Cut => return Poll::Ready(Ok(())),
            Order::Drain if !draining => {
                draining = true;
                // What has arrived counts as a request first, and is answered.
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(ended);
                }
                connection.as_mut().graceful_shutdown();
            }
            Order::Drain | Order::Serve => {}
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(peer = %peer.address, %error, "connection ended early");
    }
}

/// What a future comes to, unless the connection is cut off first.
async fn until_cut<F: Future>(watch: &Watch, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match watch.order(context) {
        Order::Cut => Poll::Ready(None),
        Order::Drain | Order::Serve => future.as_mut().poll(context).map(Some),
    })
    .await
}

/// The answer to one request on its way; none when asking for it panicked. hyper keeps room for it as long as the
/// connection lives and moves it about, so it is small: what it waits for is in a box.
struct Answering<F> {
    answer: Option<F>,
    in_flight: Option<InFlight>,
}

impl<F: Future<Output = Response<Full<Bytes>>> + Unpin> Future for Answering<F> {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    /// The reply, or a constant 500 when making it panicked. What a request shares with others is behind locks
    /// that are whole after every step, so nothing is left half done.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.answer.as_mut();
        let polled = answer.map(|answer| catch_unwind(AssertUnwindSafe(|| Pin::new(answer).poll(context))));
        let reply = match polled {
            Some(Ok(Poll::Pending)) => return Poll::Pending,
            Some(Ok(Poll::Ready(reply))) => reply,
            Some(Err(_)) | None => reply::panicked(),
        };
        drop(self.in_flight.take());
        Poll::Ready(Ok(reply))
    }
}
