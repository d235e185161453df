//! The bytes of a connection, and who holds room for them: whoever has sent a part of a request holds one buffer, and
//! whoever has sent nothing holds none.
//!
//! Leaves deadlines to `guard`, which sees every read, and to `body`.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::buffers::Buffers;
use crate::http::body::BodyError;
use crate::http::guard::{Guarded, Order, Watch};

/// What comes next, as far as there is room for it; `None` when the connection is to end before anything has come. Who
/// waits holds no buffer.
pub async fn first<S>(stream: &mut Guarded<S>, buffers: &Buffers, watch: &Watch) -> io::Result<Option<Vec<u8>>>
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

/// Reads more of a head, for which there is room. False when no more will come, or the connection is to end: hyper knows
/// what becomes of half a head then.
pub async fn more<S>(stream: &mut Guarded<S>, bytes: &mut Vec<u8>, watch: &Watch) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // It may have come behind another request, which had none of its deadlines.
    watch.begin_head();
    poll_fn(|context| match watch.order(context) {
        Order::Serve => pin!(stream.read_buf(bytes)).poll(context).map_ok(|length| length > 0),
        Order::Drain | Order::Cut => Poll::Ready(Ok(false)),
    })
    .await
}

/// Reads the rest of a body, for which there is room, until there are so many bytes of its request.
pub async fn rest<S>(stream: &mut Guarded<S>, bytes: &mut Vec<u8>, length: usize) -> Result<(), BodyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while bytes.len() < length {
        if !matches!(stream.read_buf(bytes).await, Ok(1..)) {
            return Err(BodyError::Broken);
        }
    }
    Ok(())
}
