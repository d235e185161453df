//! Asks as fast as it is answered, over many connections from one thread.
//!
//! Small on purpose, since in process its own time is part of the figure: a ready request goes out, and an answer has
//! ended once as many bytes have come as its head says. Every connection has exactly one request under way: the next
//! goes out when its answer was read, and the connections have their turns in a fixed order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::service::Requests;

/// Room for an answer; longer ones are none of the token endpoint.
pub const ANSWER_BYTES: usize = 8 * 1024;
/// A server that takes longer does not answer any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub tokens: u64,
    /// Requests that got no token, as when the machine paused the process and it took that for overload.
    pub refused: u64,
}

/// The connections of a thread. Never to be printed: its requests hold secrets, if only of this process.
pub struct Load<S> {
    connections: Vec<Connection<S>>,
    requests: Arc<Requests>,
    next: usize,
}

struct Connection<S> {
    stream: S,
    buffer: Box<[u8]>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Load<S> {
    /// Asks once on every one of these connections.
    pub async fn begin(streams: Vec<S>, requests: Arc<Requests>) -> io::Result<Self> {
        let connection = |stream| Connection { stream, buffer: vec![0; ANSWER_BYTES].into() };
        let connections = streams.into_iter().map(connection).collect();
        let mut load = Self { connections, requests, next: 0 };
        for position in 0..load.connections.len() {
            load.ask(position).await?;
        }
        Ok(load)
    }

    /// Reads one answer of each connection, and asks for the next.
    pub async fn turn(&mut self) -> io::Result<Answers> {
        let mut answers = Answers::default();
        for position in 0..self.connections.len() {
            let Some(connection) = self.connections.get_mut(position) else { break };
            if connection.read_answer().await? {
                answers.tokens += 1;
            } else {
                answers.refused += 1;
            }
            self.ask(position).await?;
        }
        Ok(answers)
    }

    async fn ask(&mut self, position: usize) -> io::Result<()> {
        let request = self.requests.at(self.next);
        self.next = self.next.wrapping_add(1);
        match self.connections.get_mut(position) {
            Some(connection) => connection.stream.write_all(request).await,
            None => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Whether the answer is a token.
    async fn read_answer(&mut self) -> io::Result<bool> {
        let mut filled = 0;
        loop {
            let room = self.buffer.get_mut(filled..).filter(|room| !room.is_empty());
            let room = room.ok_or_else(|| io::Error::other("an answer is too long"))?;
            match self.stream.read(room).await? {
                0 => return Err(io::Error::other("the server closed a connection")),
                came => filled += came,
            }
            let answer = self.buffer.get(..filled).unwrap_or_default();
            if is_whole(answer) {
                return Ok(answer.starts_with(b"HTTP/1.1 200 "));
            }
        }
    }
}

/// Waits for what must not take for ever. A whole round, so that no answer pays for a timer.
pub async fn patiently<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(time + PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("no token comes any more: this machine is too busy to tell")))
}

/// Whether as many bytes have come as the head of the answer says.
fn is_whole(answer: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length: ";
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = answer.get(..end).unwrap_or_default();
    let line = head.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(NAME));
    let length = line.and_then(|value| std::str::from_utf8(value.trim_ascii()).ok()?.parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= end + 4 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: x\r\n\r\nok";
        for end in 0..answer.len() {
            assert!(!is_whole(&answer[..end]), "{end}");
        }
        assert!(is_whole(answer));
    }

    #[tokio::test]
    async fn what_is_no_token_is_counted_apart_and_a_server_that_goes_is_an_error() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut load = Load::begin(vec![ours], Arc::new(Requests::of(vec![b"ask".as_slice().into()]))).await.unwrap();
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Answers { tokens: 1, refused: 0 }),
            ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Answers { tokens: 0, refused: 1 }),
        ] {
            let mut asked = [0; 3];
            theirs.read_exact(&mut asked).await.unwrap();
            theirs.write_all(answer.as_bytes()).await.unwrap();
            assert_eq!((&asked, load.turn().await.unwrap()), (b"ask", expected));
        }
        drop(theirs);
        assert!(load.turn().await.unwrap_err().to_string().contains("closed a connection"));
    }
}
