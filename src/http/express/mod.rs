//! The way of the request that matters: a token request with nothing unusual about it.
//!
//! hyper takes any request there is apart, and hands its parts to whoever answers: a third of the instructions of the
//! usual one, and memory that others would like to keep in the processor's cache. Here it is read where it lies
//! (`read`, `request`), answered like any other, and its reply leaves from the buffer that it was written in (`head`).
//! It may come in pieces, as from all who write a head and its body one after the other: half a head waits where the
//! next request would, half a body as any body waits (`body`), and either holds the one buffer that it lies in.
//! Everything else, be it wrong or only rare, is hyper's from its first byte on, and so is the connection from then on.
//! So nothing is refused here but by the token endpoint itself, and what is about to end, ends with hyper.
//!
//! Leaves deadlines of heads to `guard`, those of bodies to `body`, and the answer to `token`.

mod head;
mod read;
pub mod request;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use http::header::CONNECTION;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::body;
use super::form_post::{Posted, Refusal, refuse};
use super::guard::{Guarded, Watch};
use super::reply::{self, Reply};
use super::routes::Asked;
use super::token::{grant, note};
use super::worker::{Peer, Worker};
use crate::buffers::ROOM;
use crate::metrics::Endpoint;
use request::{Begun, Usual};

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
        let Some(mut bytes) = read::first(stream, worker.buffers(), watch).await.ok()? else { return Some(Vec::new()) };
        while !bytes.is_empty() {
            let usual = match begun(worker, &bytes) {
                Begun::Usual(usual) => usual,
                Begun::Head if read::more(stream, &mut bytes, watch).await.ok()? => continue,
                Begun::Head | Begun::Unusual => return Some(bytes),
            };
            let sent = answer(worker, (stream, &mut bytes), &usual, (peer, watch)).await;
            stream.write_all(sent.bytes()).await.ok()?;
            if sent.ends {
                // Whoever is gone already needs no end.
                drop(stream.shutdown().await);
                return None;
            }
            worker.buffers().give_back(sent.buffer);
            bytes.drain(..usual.length());
        }
        worker.buffers().give_back(bytes);
    }
}

/// What to take the request for that begins with these bytes. What does not fit into a buffer is none of the usual.
fn begun(worker: &Worker, bytes: &[u8]) -> Begun {
    match request::parse(bytes, worker.routes().token(), worker.body_limits().size) {
        Begun::Usual(usual) if usual.length() <= ROOM && !worker.app().is_draining() => Begun::Usual(usual),
        Begun::Head if bytes.len() < ROOM => Begun::Head,
        _ => Begun::Unusual,
    }
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

/// Answers a request whose head has come whole, once its body has.
async fn answer<S>(
    worker: &Rc<Worker>,
    (stream, bytes): (&mut Guarded<S>, &mut Vec<u8>),
    usual: &Usual,
    (peer, watch): (Peer, &Rc<Watch>),
) -> Sent
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _in_flight = watch.begin_request();
    let asked = Asked::new(worker, (Endpoint::Token, true));
    let started = Instant::now();
    let laps = worker.shard().laps(started);
    let granted = async {
        let mut read = started;
        if bytes.len() < usual.length() {
            let reading = pin!(read::rest(stream, bytes, usual.length()));
            body::in_time(reading, worker.body_limits()).await.map_err(Refusal::Body)?;
            read = Instant::now();
        }
        let (form, authorization) = (usual.form(bytes), [usual.authorization(bytes), None]);
        let now = worker.app().clock.now();
        let posted = Posted { form, authorization, peer, now, started, read, laps: &laps };
        grant(worker, &posted).await.map(|response| (response, now))
    };
    let (reply, code) = match caught(pin!(granted)).await {
        None => return Sent::unusual(worker, asked.answer(reply::panicked())).await,
        Some(Ok((response, now))) if !worker.app().is_draining() => {
            let (buffer, from) = worker.heads().issued(response, now);
            note(worker, &laps, started, None);
            asked.count(StatusCode::OK);
            return Sent { buffer, from, ends: false };
        }
        Some(Ok((response, _))) => (reply::issued(HeaderMap::new(), &response), None),
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
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, DuplexStream};

    use super::*;
    use crate::buffers::Buffers;
    use crate::http::guard::Order;
    use crate::http::pacing::FAILURE_TAKES;
    use crate::http::rehearsal::{PEER, Rehearsal};
    use crate::http::worker;
    use crate::oauth::Algorithm;

    /// Of nobody: any answer will do.
    const REQUEST: &[u8] = b"POST /oauth2/token HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic YTpi\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\ngrant_type=client_credentials";

    /// What is left to hyper of a connection on which the other side does this.
    fn left_of(client: impl AsyncFnOnce(DuplexStream, &Watch, &Buffers)) -> Option<Vec<u8>> {
        worker::runtime().unwrap().block_on(async {
            let (ours, theirs) = tokio::io::duplex(16 * 1024);
            let watch = Watch::new(Rc::default(), Arc::default());
            let (service, mut stream) =
                (Rehearsal::start(Algorithm::EdDsa, "").await, Guarded::new(theirs, Rc::clone(&watch)));
            let served = serve(&mut stream, &service.worker, (PEER, &watch));
            tokio::join!(biased; served, client(ours, &watch, service.worker.buffers())).0
        })
    }

    /// Lets the connection read what was sent.
    async fn send(stream: &mut DuplexStream, piece: &[u8]) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }

    async fn expect_answer(stream: &mut DuplexStream) {
        let mut room = [0; 4096];
        let length = stream.read(&mut room).await.unwrap();
        assert!(room.starts_with(b"HTTP/1.1 ") && room[..length].ends_with(b"}"));
    }

    #[test]
    fn requests_in_pieces_are_answered_here_and_their_connection_stays() {
        let left = left_of(async |mut stream, _, _| {
            for at in 0..REQUEST.len() {
                for piece in [&REQUEST[..at], &REQUEST[at..]] {
                    send(&mut stream, piece).await;
                }
                expect_answer(&mut stream).await;
            }
            for byte in REQUEST {
                send(&mut stream, &[*byte]).await;
            }
            expect_answer(&mut stream).await;
            // The end of one and the beginning of the next come at once.
            send(&mut stream, &REQUEST[..100]).await;
            send(&mut stream, &[&REQUEST[100..], &REQUEST[..60]].concat()).await;
            expect_answer(&mut stream).await;
            send(&mut stream, &REQUEST[60..]).await;
            expect_answer(&mut stream).await;
            send(&mut stream, b"GET / ").await;
        });
        assert_eq!(left.as_deref(), Some(b"GET / ".as_slice()), "this is the first that is not answered here");
    }

    #[test]
    fn half_a_head_is_left_to_hyper_when_no_more_comes_or_the_connection_is_to_end() {
        let half = &REQUEST[..60];
        let left = left_of(async |mut stream, _, _| send(&mut stream, half).await);
        assert_eq!(left.as_deref(), Some(half), "nobody is at the other end");
        for sent in [half, b""] {
            let left = left_of(async |mut stream, watch, _| {
                send(&mut stream, sent).await;
                watch.tell(Order::Drain);
                tokio::task::yield_now().await;
            });
            assert_eq!(left.as_deref(), Some(sent));
        }
    }

    #[test]
    fn what_does_not_fit_into_a_buffer_is_left_to_hyper_from_its_first_byte_on() {
        let head = |length: usize| {
            let request = String::from_utf8(REQUEST.to_vec()).unwrap();
            let (head, _) = request.split_once("grant_type").unwrap();
            head.replace("Content-Length: 29", &format!("Content-Length: {length}")).into_bytes()
        };
        let most = ROOM - head(ROOM - 200).len();
        let sent = head(most + 1);
        let left = left_of(async |mut stream, _, _| send(&mut stream, &sent).await);
        assert_eq!(left.as_deref(), Some(&*sent));
        let left = left_of(async |mut stream, _, _| {
            send(&mut stream, &[head(most), vec![b'a'; most]].concat()).await;
            expect_answer(&mut stream).await;
        });
        assert_eq!(left, None, "it just fits, and is answered here");
    }

    #[test]
    fn t069_a_failure_takes_its_time_from_when_the_body_was_whole() {
        let (head, body) = REQUEST.split_at(REQUEST.len() - 10);
        left_of(async |mut stream, _, _| {
            send(&mut stream, head).await;
            tokio::time::sleep(2 * FAILURE_TAKES).await;
            let whole = Instant::now();
            send(&mut stream, body).await;
            expect_answer(&mut stream).await;
            assert!(whole.elapsed() >= FAILURE_TAKES, "after {:?}", whole.elapsed());
        });
    }

    #[test]
    fn half_a_request_holds_one_buffer_and_an_idle_connection_none() {
        left_of(async |mut stream, _, buffers| {
            let spare = || format!("{buffers:?}");
            for at in [1, 100, REQUEST.len() - 1] {
                send(&mut stream, &REQUEST[..at]).await;
                let held = spare();
                send(&mut stream, &REQUEST[at..]).await;
                expect_answer(&mut stream).await;
                tokio::task::yield_now().await;
                assert_eq!((&*held, &*spare()), ("Buffers { spare: 0 }", "Buffers { spare: 1 }"), "{at}");
            }
        });
    }

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
