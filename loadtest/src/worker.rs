//! A thread that hands out what is due: its own runtime, its own lines, its own counts.
//!
//! The timers of the runtime know milliseconds, and a request must leave when it is due: close to that the thread
//! looks at the clock again and again instead of sleeping. So it wants a core for itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio::sync::Notify;

use crate::line::{Board, Line, keep};
use crate::schedule::Choice;
use crate::tally::Tally;
use crate::target::Target;
use crate::units::nanos;
use crate::verify::Sample;

/// How often what takes too long is looked for.
const SWEEP: Duration = Duration::from_millis(10);
/// Tasks between two looks at the clock and the sockets; a few requests' worth.
const TASKS_PER_TURN: u32 = 16;
/// A sleep may last this much longer than it should.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// How long the connections may take to be there before the first request is due.
const CONNECTING: Duration = Duration::from_secs(5);

/// What a thread is given.
pub struct Job {
    /// To whom, what.
    pub target: Target,
    /// When, as durations from the beginning of the warm-up.
    pub arrivals: Box<dyn Iterator<Item = Duration> + Send>,
    /// When the measurement begins and when it ends.
    pub measured: (Duration, Duration),
    /// How many lines.
    pub connections: usize,
    /// How long a request waits for a line, and then for its answer.
    pub timeout: Duration,
    /// What to keep of the tokens.
    pub sample: Sample,
    /// Who asks next.
    pub choice: Choice,
    /// To whom to tell how it goes.
    pub events: Sender<Event>,
}

/// What a thread tells while it runs.
pub enum Event {
    /// The measurement begins.
    Begins,
    /// What it counted in this second of the measurement.
    Second(u64, Box<Tally>),
}

/// Runs the job to its end: until the last request is answered or given up. Hands back the sample.
///
/// # Errors
/// A sentence, when it cannot be started or nobody can be connected to.
pub fn run(job: Job) -> Result<Sample, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS_PER_TURN)
        .build_local(LocalOptions::default())
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(pace(job))
}

async fn pace(job: Job) -> Result<Sample, String> {
    // A server that is not there is told at once.
    let address = job.target.address;
    TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
    let Job { mut arrivals, measured, events, .. } = job;
    let board = Rc::new(Board {
        start: Cell::new(Instant::now()),
        measured_from: measured.0,
        timeout: job.timeout,
        target: Rc::new(job.target),
        waiting: RefCell::default(),
        free: RefCell::default(),
        freed: Notify::new(),
        lines: (0..job.connections).map(|_| Line::default()).collect(),
        tally: Tally::new().into(),
        sample: job.sample.into(),
        choice: job.choice.into(),
    });
    for index in 0..job.connections {
        tokio::task::spawn_local(keep(Rc::clone(&board), index));
    }
    connect_all(&board).await?;
    board.start.set(Instant::now());
    let mut clock = Clock { board: &board, events, measured, second: None, swept: Duration::ZERO };
    let mut next = arrivals.next();
    while next.is_some() || !is_at_rest(&board) {
        let now = board.now();
        while let Some(due) = next.filter(|due| *due <= now) {
            hand_out(&board, due);
            next = arrivals.next();
        }
        clock.look(now);
        pause(&board, next, now).await;
    }
    clock.hand_over();
    Ok(board.sample.take())
}

/// Waits until every line is connected; some may come later, but not all.
async fn connect_all(board: &Board) -> Result<(), String> {
    let end = Instant::now() + CONNECTING;
    while board.free.borrow().len() < board.lines.len() {
        if Instant::now() > end {
            let connected = board.free.borrow().len();
            let (wanted, address) = (board.lines.len(), board.target.address);
            return Err(format!("{connected} of {wanted} connections to {address} could be opened"));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Gives a request that is due to a line, or lets it wait for one.
fn hand_out(board: &Board, due: Duration) {
    board.note(due, Tally::note_due);
    let free = board.free.borrow_mut().pop_front();
    let Some(line) = free.and_then(|index| board.lines.get(index)) else {
        board.waiting.borrow_mut().push_back(due);
        return;
    };
    let now = board.now();
    board.note(due, |tally| tally.note_lag(nanos(now.saturating_sub(due))));
    line.take(due, now);
    line.wake();
}

fn is_at_rest(board: &Board) -> bool {
    board.waiting.borrow().is_empty() && board.lines.iter().all(|line| line.due.get().is_none())
}

/// Until about when the next is due and somebody is free to take it, or what takes too long must be looked for.
async fn pause(board: &Board, next: Option<Duration>, now: Duration) {
    let gap = next.map(|due| due.saturating_sub(now));
    if board.free.borrow().is_empty() {
        // A time-out is no more than the other reason to look.
        drop(tokio::time::timeout(TIMER_SLACK, board.freed.notified()).await);
    } else if gap.is_some_and(|gap| gap < 2 * TIMER_SLACK) {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(gap.map_or(TIMER_SLACK, |gap| gap.saturating_sub(TIMER_SLACK).min(SWEEP))).await;
    }
}

/// What happens by the clock beside the requests.
struct Clock<'a> {
    board: &'a Board,
    events: Sender<Event>,
    measured: (Duration, Duration),
    /// Of the measurement; none before it begins.
    second: Option<u64>,
    swept: Duration,
}

impl Clock<'_> {
    fn look(&mut self, now: Duration) {
        if now < self.swept + SWEEP {
            return;
        }
        self.swept = now;
        let board = self.board;
        board.give_up_waiting(now);
        let is_late = |line: &&Line| line.due.get().is_some() && line.since.get() + board.timeout < now;
        for line in board.lines.iter().filter(is_late) {
            line.overdue.set(true);
            line.wake();
        }
        let Some(since) = now.checked_sub(self.measured.0) else { return };
        // What is answered after the last request was due belongs to the last second.
        let last = self.measured.1.saturating_sub(self.measured.0).as_secs_f64().ceil();
        let second = since.as_secs().min(crate::units::count(last).saturating_sub(1));
        if self.second.is_none() {
            // Whoever listened may have given up: then nobody wants to know.
            self.events.send(Event::Begins).unwrap_or_default();
        }
        if self.second.is_some_and(|before| before < second) {
            self.hand_over();
        }
        self.second = Some(second);
    }

    fn hand_over(&self) {
        let tally = self.board.tally.replace(Tally::new());
        self.events.send(Event::Second(self.second.unwrap_or_default(), Box::new(tally))).unwrap_or_default();
    }
}
