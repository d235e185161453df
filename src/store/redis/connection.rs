//! The thread on which everything about Redis happens, the connection that all requests share, and the pool beside it.
//!
//! A request is a task of this thread, so none depends on the worker that asked, and one whose asker left is ended
//! properly. Lookups and writes go over one shared connection, one behind the other, with no round trip for a
//! check-out; what takes long (lists, looks over the whole store) or must have a connection to itself (waiting for
//! replicas) goes over a pool of deadpool's.
//!
//! Invariants: no request takes longer than its deadline; whatever is repeated within it changes nothing when it was
//! done already; a connection is used only after [`Connections`] has seen that it leads to the store that it knows.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError, TimeoutType};
use deadpool_redis::redis::RedisError;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::backoff::Backoff;
use super::breaker::{Breaker, Live};
use super::check;
use super::error::{Failure, Next, gone};
use super::health::require_sound;
use super::keys::Keys;
use super::link::{CONNECT_TIMEOUT, Link, Maker};
use super::push::{self, Push};
use super::sentinel::Sentinels;
use super::session::Session;
use super::url::Node;
use crate::keys::RecordSeal;
use crate::store::{OpenMode, Pending, StoreError};

/// How many requests may be under way.
const PLACES: usize = 4096;
/// How many connections the pool has.
const POOLED: usize = 4;
/// The longest wait for a request over the pool.
const SURVEY_DEADLINE: Duration = Duration::from_secs(30);
/// How often a request is sent again over another connection.
const RECONNECTS: u32 = 3;
/// How often the configuration of the server is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often the sentinels are asked whether the master is still the one that we use.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The pause before a busy server is asked again.
const PAUSE: Duration = Duration::from_millis(15);

/// What is shared by requests and the supervisor.
pub struct Inner {
    pub maker: Maker,
    pub keys: Arc<Keys>,
    seal: Arc<RecordSeal>,
    mode: OpenMode,
    wait_replicas: u32,
    deadline: Duration,
    breaker: Breaker<Link>,
    pub push: Push,
    sentinels: Option<Sentinels>,
    pool: Pool<Maker>,
    /// Which store this is, once it was seen.
    epoch: OnceLock<Arc<str>>,
}

/// The way to Redis.
pub struct Connections {
    inner: Arc<Inner>,
    runtime: Handle,
    places: Arc<Semaphore>,
    /// Ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("url", &self.inner.maker.url).finish_non_exhaustive()
    }
}

impl Connections {
    /// Starts the thread, which begins to connect. Nothing is waited for.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(maker: Maker, mode: OpenMode, (seal, wait_replicas): (RecordSeal, u32)) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::Io(error.to_string());
        maker.prepare();
        let (keys, seal) = (Arc::new(Keys::new(&maker.url.prefix)), Arc::new(seal));
        let deadline = maker.response_timeout;
        let surveyor = Maker { response_timeout: SURVEY_DEADLINE, ..maker.clone() };
        let pool = Pool::builder(surveyor).max_size(POOLED).runtime(deadpool::Runtime::Tokio1);
        let pool = pool
            .wait_timeout(Some(SURVEY_DEADLINE))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(deadline))
            .build()
            .map_err(|error| StoreError::Io(error.to_string()))?;
        let inner = Arc::new(Inner {
            sentinels: Sentinels::of(&maker.url),
            maker,
            keys,
            seal,
            mode,
            wait_replicas,
            deadline,
            breaker: Breaker::default(),
            push: Push::default(),
            pool,
            epoch: OnceLock::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        handle.spawn(Arc::clone(&inner).supervise());
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // An error says that the other end is gone, which is the sign.
            drop(runtime.block_on(stopped));
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("store-redis".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { inner, runtime: handle, places: Arc::new(Semaphore::new(PLACES)), _stop: stop })
    }

    /// Runs a request over the shared connection. `request` may be called again, and must not mind.
    pub fn run<'a, T, F, R>(&self, request: F) -> Pending<'a, T>
    where
        T: Send + 'static,
        F: Fn(Session) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, Failure>> + Send,
    {
        self.spawn(Lane::Shared, request)
    }

    /// Runs a request that writes; waiting for replicas would hold everybody up, so it has a connection to itself then.
    pub fn write<'a, T, F, R>(&self, request: F) -> Pending<'a, T>
    where
        T: Send + 'static,
        F: Fn(Session) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, Failure>> + Send,
    {
        self.spawn(if self.inner.wait_replicas == 0 { Lane::Shared } else { Lane::Waiting }, request)
    }

    /// Runs a request over a connection that it has to itself, and that may take longer.
    pub fn survey<'a, T, F, R>(&self, request: F) -> Pending<'a, T>
    where
        T: Send + 'static,
        F: Fn(Session) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, Failure>> + Send,
    {
        self.spawn(Lane::Own, request)
    }

    /// Waits until another server, or this one, wrote something.
    pub fn called<'a>(&self) -> Pending<'a, ()> {
        let inner = Arc::clone(&self.inner);
        if inner.push.is_first() {
            self.runtime.spawn(push::listen(Arc::clone(&inner)));
        }
        Box::pin(async move {
            inner.push.called().await;
            Ok(())
        })
    }

    /// Whether [`Connections::called`] can be expected to tell.
    pub fn tells_changes(&self) -> bool {
        self.inner.push.is_live()
    }

    fn spawn<'a, T, F, R>(&self, lane: Lane, request: F) -> Pending<'a, T>
    where
        T: Send + 'static,
        F: Fn(Session) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, Failure>> + Send,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Box::pin(std::future::ready(Err(StoreError::Overloaded)));
        };
        let inner = Arc::clone(&self.inner);
        let task = self.runtime.spawn(async move {
            let _place = place;
            inner.serve(lane, request).await
        });
        Box::pin(async move { task.await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()))) })
    }
}

/// Over which connection a request goes.
#[derive(Clone, Copy)]
enum Lane {
    /// The one that all share.
    Shared,
    /// One from the pool, and the replicas have as much time again.
    Waiting,
    /// One from the pool, with time to spare.
    Own,
}

impl Inner {
    async fn serve<T, F, R>(&self, lane: Lane, request: F) -> Result<T, StoreError>
    where
        F: Fn(Session) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        self.breaker.has_started().await;
        let begun = Instant::now();
        let deadline = begun
            + match lane {
                Lane::Shared => self.deadline,
                Lane::Waiting => self.deadline * 2,
                Lane::Own => SURVEY_DEADLINE,
            };
        for attempt in 0.. {
            let live = self.breaker.acquire(Instant::now().max(begun + self.deadline)).await?;
            let Failure { error, next } = match timeout_at(deadline, self.once(lane, &live, &request)).await {
                Ok(Ok(value)) => {
                    self.breaker.answered();
                    return Ok(value);
                }
                Ok(Err(failure)) => failure,
                Err(_) => {
                    self.breaker.was_late(&live);
                    return Err(StoreError::Deadline);
                }
            };
            match next {
                Next::GiveUp => self.breaker.answered(),
                Next::Wait => sleep(PAUSE).await,
                Next::Doubt | Next::Reconnect => self.breaker.broke(&live),
            }
            let may_help = matches!(next, Next::Wait) || (matches!(next, Next::Reconnect) && attempt < RECONNECTS);
            if !may_help || Instant::now() >= deadline {
                return Err(error);
            }
        }
        Err(StoreError::Deadline)
    }

    async fn once<T, F, R>(&self, lane: Lane, live: &Live<Link>, request: &F) -> Result<T, Failure>
    where
        F: Fn(Session) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let session = |link| Session {
            link,
            keys: Arc::clone(&self.keys),
            seal: Arc::clone(&self.seal),
            epoch: Arc::clone(&live.epoch),
            replicas: (self.wait_replicas, self.deadline),
        };
        match lane {
            Lane::Shared => request(session(live.link.clone())).await,
            Lane::Own | Lane::Waiting => {
                let pooled = self.pool.get().await.map_err(of_pool)?;
                let outcome = request(session(pooled.link.clone())).await;
                if matches!(&outcome, Err(Failure { next: Next::Reconnect | Next::Doubt, .. })) {
                    // It may answer well and lead to a server that is no longer the master: it does not go back.
                    drop(Object::take(pooled));
                } else if matches!(lane, Lane::Waiting) && outcome.is_ok() {
                    self.confirm_master(pooled.master.as_ref()).await?;
                }
                outcome
            }
        }
    }

    /// Replicas have the write, but of whom? Those of a master whose place is being taken are about to forget it.
    async fn confirm_master(&self, master: Option<&Node>) -> Result<(), Failure> {
        let Some((sentinels, master)) = self.sentinels.as_ref().zip(master) else { return Ok(()) };
        if sentinels.confirm(master, &self.maker).await {
            return Ok(());
        }
        Err(StoreError::Unconfirmed("the sentinels do not say that this master stays".to_owned()).into())
    }

    /// Connects, and again whenever the connection breaks.
    async fn supervise(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let outcome = timeout(CONNECT_TIMEOUT, self.establish()).await.unwrap_or(Err(StoreError::Deadline));
            let is_good = outcome.is_ok();
            match outcome {
                Ok((link, epoch)) => {
                    self.breaker.set_up(link.clone(), epoch);
                    self.watch(link).await;
                }
                Err(error) => self.breaker.set_down(error),
            }
            backoff.wait(is_good).await;
        }
    }

    /// Until the connection breaks, or its server is no longer one to be trusted.
    async fn watch(&self, mut link: Link) {
        let (pause, mut looked) = (if self.sentinels.is_some() { ASK_EVERY } else { LOOK_EVERY }, Instant::now());
        while timeout(pause, self.breaker.until_broken()).await.is_err() {
            if self.is_replaced().await {
                tracing::info!("the sentinels name another master");
                return self.breaker.break_any();
            }
            if looked.elapsed() < LOOK_EVERY {
                continue;
            }
            looked = Instant::now();
            if let Ok(Err(Failure { error: error @ StoreError::Unusable(_), .. })) =
                timeout(CONNECT_TIMEOUT, require_sound(&mut link, self.maker.may_evict)).await
            {
                tracing::error!(%error, "the store must not be used as it is");
                return self.breaker.set_down(error);
            }
        }
    }

    /// Whether the sentinels name another master than the one that we use. When none answers, it stays.
    async fn is_replaced(&self) -> bool {
        let Some(sentinels) = &self.sentinels else { return false };
        let found = sentinels.find_master(&self.maker).await.ok();
        found.is_some() && found != self.maker.master.known()
    }

    /// Something says that the shared connection may not lead to the master: it is made anew.
    pub fn doubt(&self) {
        self.breaker.break_any();
    }

    /// A connection, and proof that it leads to the store that we know.
    async fn establish(&self) -> Result<(Link, Arc<str>), StoreError> {
        if let Some(sentinels) = &self.sentinels {
            let master = sentinels.find_master(&self.maker).await.map_err(|error| self.named(error))?;
            self.maker.master.set(master);
        }
        let mut link = self.maker.connect().await.map_err(|error| self.named(Failure::from(error).error))?;
        let (known, mode) = ((&*self.keys, self.maker.may_evict), self.epoch.get().is_none().then_some(self.mode));
        let held = check::identify(&mut link, known, mode).await;
        let held = held.map_err(|failure| self.named(failure.error))?;
        let known = self.epoch.get_or_init(|| held.as_str().into());
        if **known == *held { Ok((link, Arc::clone(known))) } else { Err(gone()) }
    }
}

impl Inner {
    /// With the URL, so that it is clear which of several stores is meant.
    fn named(&self, error: StoreError) -> StoreError {
        let url = &self.maker.url;
        match error {
            StoreError::Unreachable(cause) => StoreError::Unreachable(format!("{url}: {cause}")),
            StoreError::Denied(cause) => StoreError::Denied(format!("{url}: {cause}")),
            error => error,
        }
    }
}

fn of_pool(error: PoolError<RedisError>) -> Failure {
    match error {
        PoolError::Backend(error) => error.into(),
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Overloaded.into(),
        PoolError::Timeout(_) => StoreError::Deadline.into(),
        other => StoreError::Io(other.to_string()).into(),
    }
}
