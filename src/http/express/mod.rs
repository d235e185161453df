//! The way of the request that matters: a token request that came whole, with nothing unusual about it.
//!
//! hyper takes any request there is apart, and hands its parts to whoever answers: a third of the instructions of the
//! usual one, and memory that others would like to keep in the processor's cache. Here it is read where it lies
//! (`request`), answered like any other, and its reply leaves from the buffer that it was written in (`head`).
//! Everything else, be it wrong or only rare, is hyper's from its first byte on, and so is the connection from then on.
//! So nothing is refused here but by the token endpoint itself, and what is about to end, ends with hyper.
//!
//! Leaves deadlines to `guard`, and the answer to `token`.

mod head;
pub mod request;

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use http::header::CONNECTION;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::form_post::{Posted, refuse};
use super::guard::{Guarded, Order, Watch};
use super::reply::{self, Reply};
use super::routes::Asked;
use super::token::{grant, note};
use super::worker::{Peer, Worker};
use crate::buffers::Buffers;
use crate::metrics::Endpoint;
use request::Usual;

pub use head::Heads;

/// Answers token requests until something else comes: the bytes that were read of it, which begin a request. `None`
/// when the connection is over.
pub async fn serve<S>(
    stream: &mut Guarded<S>,
    worker: &Rc<Worker>,
    (peer, watch): (Peer, &Rc<Watch>),
) -> Option<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let Some(mut bytes) = read(stream, worker.buffers(), watch).await.ok()? else { return Some(Vec::new()) };
        while !bytes.is_empty() {
            let (path, most) = (worker.routes().token(), worker.body_limits().size);
            let usual = request::parse(&bytes, path, most).filter(|_| !worker.app().is_draining());
            let Some(usual) = usual else { return Some(bytes) };
            let sent = answer(worker, &usual, (peer, watch)).await;
            stream.write_all(sent.bytes()).await.ok()?;
            if sent.ends {
                // Whoever is gone already needs no end.
                drop(stream.shutdown().await);
                return None;
            }
            worker.buffers().give_back(sent.buffer);
            let length = usual.length;
            bytes.drain(..length);
        }
        worker.buffers().give_back(bytes);
    }
}

/// What comes next, as far as there is room for it; `None` when the connection is to end before anything has come. Who
/// waits holds no buffer.
async fn read<S>(stream: &mut Guarded<S>, buffers: &Buffers, watch: &Watch) -> io::Result<Option<Vec<u8>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        if watch.order(context) != Order::Serve {
            return Poll::Ready(Ok(None));
        }
        let mut bytes = buffers.take();
        let read = pin!(stream.read_buf(&mut bytes)).poll(context);
        match read {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(read) => Poll::Ready(read.map(|_| Some(bytes))),
            Poll::Pending => {
                buffers.give_back(bytes);
                Poll::Pending
            }
        }
    })
    .await
}

/// A reply as it is sent, and whether the connection ends with it.
struct Sent {
    buffer: Vec<u8>,
    from: usize,
    ends: bool,
}

impl Sent {
    /// Writes a reply out that is none of the usual.
    async fn unusual(worker: &Worker, reply: Reply) -> Self {
        let ends = reply.headers().contains_key(CONNECTION);
        Self { buffer: worker.heads().encode(reply, worker.app().clock.now()).await, from: 0, ends }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.from..).unwrap_or_default()
    }
}

async fn answer(worker: &Rc<Worker>, usual: &Usual<'_>, (peer, watch): (Peer, &Rc<Watch>)) -> Sent {
    let _in_flight = watch.begin_request();
    let asked = Asked::new(worker, (Endpoint::Token, true));
    let started = Instant::now();
    let laps = worker.shard().laps(started);
    let Usual { form, authorization, .. } = *usual;
    let now = worker.app().clock.now();
    let posted = Posted { form, authorization: [authorization, None], peer, now, started, read: started, laps: &laps };
    let (reply, code) = match caught(pin!(grant(worker, &posted))).await {
        None => return Sent::unusual(worker, asked.answer(reply::panicked())).await,
        Some(Ok(response)) if !worker.app().is_draining() => {
            let (buffer, from) = worker.heads().issued(response, now);
            note(worker, &laps, started, None);
            asked.count(StatusCode::OK);
            return Sent { buffer, from, ends: false };
        }
        Some(Ok(response)) => (reply::issued(HeaderMap::new(), &response), None),
        Some(Err(refusal)) => {
            let (reply, code) = refuse(&refusal, peer);
            (reply, Some(code))
        }
    };
    note(worker, &laps, started, code);
    Sent::unusual(worker, asked.answer(reply)).await
}

/// What a future comes to; `None` when it panics. What it shares with others is behind locks that are whole after every
/// step, so nothing is left half done.
async fn caught<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn t225_a_panic_is_caught_before_and_after_the_first_await() {
        assert_eq!(caught(pin!(async { 1 })).await, Some(1));
        assert_eq!(caught(pin!(async { panic!("a bug") })).await, None::<()>);
        let later = async {
            tokio::task::yield_now().await;
            panic!("a bug")
        };
        assert_eq!(caught(pin!(later)).await, None::<()>);
    }
}
