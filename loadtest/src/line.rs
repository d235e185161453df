//! One kept-alive connection: takes a request that is due, sends it, reads the answer, takes the next.
//!
//! All lines of a thread share its [`Board`]; nothing is locked. A line that is free stands in a queue, the one that
//! has been free for longest first, so that all connections are used alike, as those of many clients are. What is due
//! while none is free waits on the board, and the next line that gets free takes it at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::answer::{self, Answer};
use crate::schedule::Choice;
use crate::tally::Tally;
use crate::target::Target;
use crate::verify::Sample;

/// Room for an answer.
const BUFFER_BYTES: usize = 16 * 1024;
/// Between attempts to connect, growing.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the lines of a thread share with whoever hands out the requests.
pub struct Board {
    /// The beginning of the schedule, the warm-up included; set once the lines are connected.
    pub start: Cell<Instant>,
    /// Only what is due from here on is counted.
    pub measured_from: Duration,
    /// How long a request waits for a line, and once it is sent for its answer. One time for both together would let
    /// a line that takes the oldest take one that is about to be given up, and then lose its connection over it.
    pub timeout: Duration,
    /// To whom, what.
    pub target: Rc<Target>,
    /// What is due and waits for a line.
    pub waiting: RefCell<VecDeque<Duration>>,
    /// The free lines.
    pub free: RefCell<VecDeque<usize>>,
    /// A line got free.
    pub freed: Notify,
    /// All of them.
    pub lines: Vec<Line>,
    /// Since it was last taken.
    pub tally: RefCell<Tally>,
    /// Of the tokens.
    pub sample: RefCell<Sample>,
    /// Which client asks.
    pub choice: RefCell<Choice>,
}

/// The state of one line.
#[derive(Debug, Default)]
pub struct Line {
    /// What it works on, by the instant at which that was due.
    pub due: Cell<Option<Duration>>,
    /// When it began to.
    pub since: Cell<Duration>,
    /// It is to give up.
    pub overdue: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Line {
    /// From now on it works on what was due then.
    pub fn take(&self, due: Duration, now: Duration) {
        self.due.set(Some(due));
        self.since.set(now);
    }

    /// Makes it look at its state.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn listen(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }
}

/// Why a line has to connect anew.
enum Lost {
    TimedOut,
    Broken,
    /// By the server, between two requests or with an answer.
    Closed,
}

impl Board {
    /// Time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.get().elapsed()
    }

    /// Whether a request that was due then is counted.
    #[must_use]
    pub fn counts(&self, due: Duration) -> bool {
        due >= self.measured_from
    }

    /// Counts what became of a request that was due then.
    pub fn note(&self, due: Duration, count: impl FnOnce(&mut Tally)) {
        if self.counts(due) {
            count(&mut self.tally.borrow_mut());
        }
    }

    /// The oldest request that waits, if it is not too late for it.
    fn next_waiting(&self, now: Duration) -> Option<Duration> {
        self.give_up_waiting(now);
        self.waiting.borrow_mut().pop_front()
    }

    /// Counts those that nobody could take in time.
    pub fn give_up_waiting(&self, now: Duration) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|due| *due + self.timeout < now) {
            if let Some(due) = waiting.pop_front() {
                self.note(due, Tally::note_unsent);
            }
        }
    }
}

/// Keeps line `index` of the board connected and at work until it is dropped.
pub async fn keep(board: Rc<Board>, index: usize) {
    let mut pause = FIRST_PAUSE;
    let Some(line) = board.lines.get(index) else { return };
    loop {
        match TcpStream::connect(board.target.address).await {
            Ok(stream) if stream.set_nodelay(true).is_ok() => {
                board.tally.borrow_mut().note_connect();
                pause = FIRST_PAUSE;
                let lost =
                    Connection { board: &board, line, index, stream, buffer: vec![0; BUFFER_BYTES] }.work().await;
                clear_away(&board, index, &lost);
            }
            _ => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Counts what the line worked on when it was lost, or puts it back where it was not even sent.
fn clear_away(board: &Board, index: usize, lost: &Lost) {
    board.free.borrow_mut().retain(|free| *free != index);
    let Some(line) = board.lines.get(index) else { return };
    line.overdue.set(false);
    if let Some(due) = line.due.take() {
        match lost {
            Lost::TimedOut => board.note(due, Tally::note_timed_out),
            Lost::Broken => board.note(due, Tally::note_broken),
            Lost::Closed => board.waiting.borrow_mut().push_front(due),
        }
    }
}

/// A line while it is connected.
struct Connection<'a> {
    board: &'a Board,
    line: &'a Line,
    index: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection<'_> {
    async fn work(mut self) -> Lost {
        loop {
            match self.exchange().await {
                Ok(()) => {}
                Err(lost) => return lost,
            }
        }
    }

    /// One request and its answer.
    async fn exchange(&mut self) -> Result<(), Lost> {
        let due = self.next_due().await?;
        let requests = &self.board.target.requests;
        let chosen = self.board.choice.borrow_mut().of(requests.len());
        let request = requests.get(chosen).map(|request| &**request).unwrap_or_default();
        match self.stream.try_write(request) {
            Ok(sent) if sent == request.len() => {}
            Ok(sent) => self.send(request.get(sent..).unwrap_or_default()).await?,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.send(request).await?,
            Err(_) => return Err(Lost::Broken),
        }
        let closes = self.receive(due).await?;
        self.line.due.set(None);
        if closes { Err(Lost::Closed) } else { Ok(()) }
    }

    /// What is due: at once when something waits, or once it is handed out.
    async fn next_due(&mut self) -> Result<Duration, Lost> {
        let now = self.board.now();
        if let Some(due) = self.board.next_waiting(now) {
            self.line.take(due, now);
            return Ok(due);
        }
        self.board.free.borrow_mut().push_back(self.index);
        self.board.freed.notify_one();
        let Self { line, stream, buffer, .. } = self;
        poll_fn(|context| {
            line.listen(context);
            if let Some(due) = line.due.get() {
                return Poll::Ready(Ok(due));
            }
            // Whatever comes now, the end or bytes that nobody asked for, is the end of it.
            let mut buffer = ReadBuf::new(buffer);
            Pin::new(&mut *stream).poll_read(context, &mut buffer).map(|_| Err(Lost::Closed))
        })
        .await
    }

    /// Sends what did not fit at once; a server that does not read is given up like one that does not answer.
    async fn send(&mut self, rest: &[u8]) -> Result<(), Lost> {
        let Self { line, stream, .. } = self;
        let mut sending = std::pin::pin!(stream.write_all(rest));
        poll_fn(|context| {
            line.listen(context);
            if line.overdue.get() {
                return Poll::Ready(Err(Lost::TimedOut));
            }
            sending.as_mut().poll(context).map_err(|_| Lost::Broken)
        })
        .await
    }

    /// Reads an answer and counts it; whether the server then closes.
    async fn receive(&mut self, due: Duration) -> Result<bool, Lost> {
        let Self { board, line, stream, buffer, .. } = self;
        let mut filled = 0;
        poll_fn(|context| {
            line.listen(context);
            loop {
                if line.overdue.get() {
                    return Poll::Ready(Err(Lost::TimedOut));
                }
                if filled == buffer.len() {
                    buffer.resize(filled * 2, 0);
                }
                let mut room = ReadBuf::new(buffer.get_mut(filled..).unwrap_or_default());
                let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut room));
                let came = room.filled().len();
                if read.is_err() || came == 0 {
                    return Poll::Ready(Err(Lost::Broken));
                }
                filled += came;
                match answer::parse(buffer.get(..filled).unwrap_or_default()) {
                    Answer::Incomplete => {}
                    Answer::Bad(_) => return Poll::Ready(Err(Lost::Broken)),
                    Answer::Whole(whole) => {
                        count(board, due, &whole);
                        return Poll::Ready(Ok(whole.closes));
                    }
                }
            }
        })
        .await
    }
}

fn count(board: &Board, due: Duration, whole: &answer::Whole<'_>) {
    let took = board.now().saturating_sub(due);
    board.note(due, |tally| match whole.status {
        200 => tally.note_issued(crate::units::nanos(took)),
        other => tally.note_refused(other),
    });
    if whole.status == 200 && board.counts(due) {
        board.sample.borrow_mut().look_at(whole.body);
    }
}
