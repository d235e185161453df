//! A stream of which something was read already, and is read again first.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream behind bytes that were read ahead. They do not print: a secret may be among them.
pub struct Rewound<S> {
    ahead: Vec<u8>,
    stream: S,
}

impl<S: fmt::Debug> fmt::Debug for Rewound<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewound").field("ahead", &self.ahead.len()).field("stream", &self.stream).finish()
    }
}

impl<S> Rewound<S> {
    /// `stream`, from before `ahead` was read of it.
    #[must_use]
    pub const fn new(ahead: Vec<u8>, stream: S) -> Self {
        Self { ahead, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.get(..length).unwrap_or_default());
        self.ahead.drain(..length);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_read_ahead_comes_first_however_it_is_read() {
        for step in 1..9 {
            let mut stream = Rewound::new(b"ahead".to_vec(), b" and behind".as_slice());
            let (mut whole, mut room) = (Vec::new(), [0; 8]);
            loop {
                match stream.read(&mut room[..step]).await.unwrap() {
                    0 => break,
                    length => whole.extend_from_slice(&room[..length]),
                }
            }
            assert_eq!(whole, b"ahead and behind");
        }
    }

    #[test]
    fn t223_what_was_read_ahead_does_not_print() {
        let stream = Rewound::new(b"a secret".to_vec(), ());
        assert_eq!(format!("{stream:?}"), "Rewound { ahead: 8, stream: () }");
    }
}
