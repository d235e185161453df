//! One run: starts the threads, puts their seconds together, looks at the server's processor time, checks the tokens.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::machine;
use crate::report::{Run, Second, ServerTime};
use crate::schedule::{Choice, Random, Schedule};
use crate::slo::Slo;
use crate::tally::Tally;
use crate::target::{Credentials, Kind, Target};
use crate::units::{count, float};
use crate::verify::{self, Sample, Verified};
use crate::worker::{self, Event, Job};

/// Points of a series: longer runs have fewer per minute.
const MOST_POINTS: u64 = 300;

/// All that a run is told.
#[derive(Clone)]
pub struct Plan {
    /// What the run is called.
    pub name: String,
    /// Host and port.
    pub host: String,
    /// Of the endpoint.
    pub path: String,
    /// Of the key document.
    pub jwks_path: String,
    /// What is asked.
    pub kind: Kind,
    /// By whom.
    pub clients: Vec<Credentials>,
    /// One after the other, and not at random.
    pub in_turn: bool,
    /// When.
    pub schedule: Schedule,
    /// For how long it goes on before that, at the rate it begins with.
    pub warm_up: Duration,
    /// Over all threads.
    pub connections: usize,
    /// That send.
    pub threads: usize,
    /// How long a request waits for a connection, and then for its answer.
    pub timeout: Duration,
    /// How many tokens to check.
    pub verify: u64,
    /// Whose processor time to look at.
    pub server_pid: Option<u32>,
    /// What it must keep.
    pub slo: Option<Slo>,
}

/// Runs it; `progress` is told of each second.
///
/// # Errors
/// A sentence: nobody can be connected to, or the tokens are not sound.
pub fn drive(plan: &Plan, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<Run, String> {
    let (events, told) = channel();
    let mut threads = Vec::new();
    for index in 0..plan.threads {
        let job = plan.job(index, events.clone())?;
        threads.push(std::thread::spawn(move || worker::run(job)));
    }
    drop(events);
    let mut seconds = Seconds::new(plan);
    let before = seconds.collect(&told, progress);
    let spent = plan.server_pid.and_then(machine::cpu_nanos).zip(before).map(|(after, before)| after - before);
    let mut sample = Sample::default();
    for thread in threads {
        sample.add(thread.join().map_err(|_| "a thread of the generator ended".to_owned())??);
    }
    let host = plan.host.as_str();
    let address = crate::target::resolve(host)?;
    let verified = sample.verify(|| verify::fetch_json(address, host, &plan.jwks_path))?;
    Ok(seconds.into_run(verified, spent))
}

impl Plan {
    fn job(&self, index: usize, events: std::sync::mpsc::Sender<Event>) -> Result<Job, String> {
        let warm_up = Schedule { to: self.schedule.from, duration: self.warm_up, ..self.schedule };
        let (from, until) = (self.warm_up, self.warm_up + self.schedule.duration);
        let measured = self.schedule.arrivals(index, self.threads).map(move |due| due + from);
        let expected = count(self.schedule.expected() / float(self.threads as u64));
        let verify = if self.kind == Kind::Get { 0 } else { self.verify.div_ceil(self.threads as u64) };
        Ok(Job {
            target: Target::new(&self.host, &self.path, self.kind, &self.clients_of(index))?,
            arrivals: Box::new(warm_up.arrivals(index, self.threads).chain(measured)),
            measured: (from, until),
            connections: self.connections.div_ceil(self.threads),
            timeout: self.timeout,
            sample: Sample::new(verify, expected),
            choice: if self.in_turn { Choice::InTurn(0) } else { Choice::AtRandom(Random::new(index as u64)) },
            events,
        })
    }

    /// Those that a thread asks for: all of them, or its share of those that are asked for in turn.
    fn clients_of(&self, index: usize) -> Vec<Credentials> {
        let (skipped, step) = if self.in_turn { (index, self.threads.max(1)) } else { (0, 1) };
        self.clients.iter().skip(skipped).step_by(step).cloned().collect()
    }
}

/// How far a run is.
pub struct Progress<'a> {
    /// The second that is over.
    pub second: u64,
    /// Of how many.
    pub of: u64,
    /// What happened in it.
    pub tally: &'a Tally,
}

/// The seconds as they come.
struct Seconds<'a> {
    plan: &'a Plan,
    /// Seconds that are one point.
    width: u64,
    /// Points by number, and how many seconds of threads are in each.
    points: BTreeMap<u64, Tally>,
    /// The second that not all threads have told of yet.
    open: BTreeMap<u64, (usize, Tally)>,
}

impl<'a> Seconds<'a> {
    fn new(plan: &'a Plan) -> Self {
        let width = plan.schedule.duration.as_secs().div_ceil(MOST_POINTS).max(1);
        Self { plan, width, points: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// Takes what the threads tell until they end; the server's processor time when the measurement began.
    fn collect(&mut self, told: &Receiver<Event>, progress: &mut dyn FnMut(&Progress<'_>)) -> Option<u64> {
        let mut before = None;
        for event in told {
            match event {
                Event::Begins => before = before.or_else(|| self.plan.server_pid.and_then(machine::cpu_nanos)),
                Event::Second(second, tally) => self.add(second, &tally, progress),
            }
        }
        before
    }

    fn add(&mut self, second: u64, tally: &Tally, progress: &mut dyn FnMut(&Progress<'_>)) {
        self.points.entry(second / self.width).or_insert_with(Tally::new).add(tally);
        let (threads, sum) = self.open.entry(second).or_insert_with(|| (0, Tally::new()));
        sum.add(tally);
        *threads += 1;
        if *threads == self.plan.threads {
            progress(&Progress { second, of: self.plan.schedule.duration.as_secs().max(1), tally: sum });
            self.open.remove(&second);
        }
    }

    fn into_run(self, verified: Option<Verified>, spent: Option<u64>) -> Run {
        let mut total = Tally::new();
        for tally in self.points.values() {
            total.add(tally);
        }
        let duration = self.plan.schedule.duration;
        let width = Duration::from_secs(self.width);
        let at = |point: u64| point * self.width;
        let seconds = self.points.iter().map(|(point, tally)| Second::of(at(*point), tally, width.min(duration)));
        let mut run = Run::of(self.plan, &total);
        run.seconds = seconds.collect();
        run.verified = verified;
        run.server = spent.map(|nanos| ServerTime::of(nanos, &total, duration));
        run
    }
}
