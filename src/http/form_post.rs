//! A form that a client posts: what the token, introspection and revocation endpoints have in common.
//!
//! The order of checks is fixed: limits, syntax, client authentication, then whatever the endpoint is about (RFC
//! 6749 §5.2), so that an unauthenticated caller learns nothing.

use std::cell::{Cell, OnceCell, RefCell};
use std::thread::LocalKey;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Incoming;

use super::body::{self, BodyError};
use super::reply::{self, Reply};
use super::worker::{Peer, Worker};
use crate::audit::{self, Event, Kind, Room};
use crate::authenticator::{Denial, Occasion};
use crate::clock::UnixTime;
use crate::metrics::{Laps, Shed};
use crate::oauth::client_auth::{BasicText, ClientAuth};
use crate::oauth::{AuthFailure, ErrorCode, OAuthError};

/// What stands between a request and its answer.
pub enum Refusal {
    /// The protocol's own, or a part of ours that failed.
    Denied(Denial),
    /// The body never came, was too long or of the wrong kind.
    Body(BodyError),
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self::Denied(Denial::Refused(error))
    }
}

impl Refusal {
    const fn code(&self) -> ErrorCode {
        match self {
            Self::Denied(denial) => denial.public().code(),
            Self::Body(_) => ErrorCode::InvalidRequest,
        }
    }

    fn is_failed_authentication(&self) -> bool {
        matches!(self, Self::Denied(denial) if denial.is_failed_authentication())
    }
}

/// A request as it arrived, taken apart.
pub struct Arrival {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, until it is read.
    pub body: Option<Incoming>,
    /// Who sent it.
    pub peer: Peer,
    /// When its head was whole.
    pub started: Instant,
    /// What its stages take, where that is asked.
    pub laps: Laps,
}

impl Arrival {
    /// Reads its form.
    ///
    /// # Errors
    /// The first limit or rule of the body that is broken.
    pub async fn read(&mut self, worker: &Worker) -> Result<Bytes, Refusal> {
        let body = self.body.take().ok_or(Refusal::Body(BodyError::Broken))?;
        body::read_form(&self.headers, body, worker.body_limits()).await.map_err(Refusal::Body)
    }

    /// Its form, once it is read at `now`, with what belongs to it.
    #[must_use]
    pub fn posted<'a>(&'a self, form: &'a [u8], now: UnixTime) -> Posted<'a> {
        let mut authorization = self.headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let authorization = [authorization.next(), authorization.next()];
        let (peer, started, laps) = (self.peer, self.started, &self.laps);
        Posted { form, authorization, peer, now, started, read: Instant::now(), laps }
    }
}

/// A form that was read whole, and what belongs to it, whoever has read it. Never to be printed: a secret is in it.
#[derive(Clone, Copy)]
pub struct Posted<'a> {
    /// The form.
    pub form: &'a [u8],
    /// The first two values of `Authorization`; the second is one too many.
    pub authorization: [Option<&'a [u8]>; 2],
    /// Who sent it.
    pub peer: Peer,
    /// The wall-clock time that it came at; what it gets is judged and dated by that, unless it had to wait first.
    pub now: UnixTime,
    /// When its head was whole.
    pub started: Instant,
    /// When its last byte was read.
    pub read: Instant,
    /// What its stages take.
    pub laps: &'a Laps,
}

/// A posted form that is being answered.
pub struct FormPost<'a> {
    worker: &'a Worker,
    posted: &'a Posted<'a>,
    now: UnixTime,
    /// Who the caller says it is, for the audit log.
    claimed: RefCell<Option<Box<str>>>,
    has_asked: Cell<bool>,
}

/// Reads the form of a request, and answers it by `call`. A refusal is written down as `refused`.
///
/// # Errors
/// The first limit or rule of the body that is broken, or as [`answer_posted`].
pub async fn answer<T>(
    worker: &Worker,
    arrival: &mut Arrival,
    refused: Kind,
    call: impl AsyncFnOnce(&FormPost<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let form = arrival.read(worker).await?;
    answer_posted(worker, &arrival.posted(&form, worker.app().clock.now()), refused, call).await
}

/// Answers a form by `call`. A refusal is written down as `refused`.
///
/// # Errors
/// An overload, or what `call` refuses.
pub async fn answer_posted<T>(
    worker: &Worker,
    posted: &Posted<'_>,
    refused: Kind,
    call: impl AsyncFnOnce(&FormPost<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let read = posted.read;
    posted.laps.restart(read);
    // Only now: a body that is still on its way must not keep those out that are whole.
    let _permit = worker.admit(read)?;
    // What cannot be written down is not done, where that is the policy.
    let room = worker.trail(posted.peer).room().await.map_err(|_| Refusal::from(worker.shed(Shed::AuditFull)));
    let now = if matches!(room, Ok(Room::WaitedFor)) { worker.app().clock.now() } else { posted.now };
    let post = FormPost { worker, posted, now, claimed: RefCell::default(), has_asked: Cell::default() };
    let answer = match room {
        Ok(_) => call(&post).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &answer {
        post.note_refusal(refused, refusal);
        if refusal.is_failed_authentication() {
            if !post.has_asked.get() {
                worker.shard().count_failure(AuthFailure::Malformed);
            }
            worker.pacing().wait(read).await;
        }
    }
    answer
}

impl FormPost<'_> {
    /// The form's bytes.
    #[must_use]
    pub const fn form(&self) -> &[u8] {
        self.posted.form
    }

    /// What its stages take.
    #[must_use]
    pub const fn laps(&self) -> &Laps {
        self.posted.laps
    }

    /// What the `Authorization` header says.
    ///
    /// # Errors
    /// As [`BasicText::decode`].
    pub fn basic(&self) -> Result<Option<BasicText>, OAuthError> {
        BasicText::decode(self.posted.authorization.into_iter().flatten())
    }

    /// What the endpoint is called with.
    pub fn occasion(&self, auth: &ClientAuth<'_>) -> Occasion<'_> {
        self.has_asked.set(true);
        if self.worker.trail(self.posted.peer).wants(Kind::TokenRefused) {
            *self.claimed.borrow_mut() = audit::claimed_id(auth.claimed_id()).map(Into::into);
        }
        let throttled =
            self.worker.limiter().ask(self.posted.peer.address.ip(), auth.claimed_id(), self.posted.started);
        let (now, trail) = (self.now, self.worker.trail(self.posted.peer));
        let (shard, queue, instants) = (self.worker.shard(), self.worker.queue(), self.worker.instants());
        let (buffers, laps, client_key) = (self.worker.buffers(), self.laps(), OnceCell::new());
        Occasion { now, throttled, shard, queue, instants, buffers, laps, trail, client_key }
    }

    /// Notes a failed authentication with the limiter, whatever the endpoint.
    ///
    /// # Errors
    /// The denial, handed on.
    pub fn settle<T>(&self, auth: &ClientAuth<'_>, answer: Result<T, Denial>) -> Result<T, Refusal> {
        if answer.as_ref().is_err_and(Denial::is_failed_authentication) {
            self.worker.limiter().note_failure(self.posted.peer.address.ip(), auth.claimed_id(), self.posted.started);
        }
        answer.map_err(Refusal::Denied)
    }

    /// Writes a refusal down, of whoever tried to authenticate: what is no request concerns nobody, and whoever is told
    /// to slow down has filled the log enough.
    fn note_refusal(&self, kind: Kind, refusal: &Refusal) {
        if !self.has_asked.get() || refusal.code() == ErrorCode::SlowDown {
            return;
        }
        let claimed = self.claimed.borrow();
        let event = Event { client: claimed.as_deref(), ..Event::new(kind, refusal.code().as_str()) };
        self.worker.trail(self.posted.peer).record(&event);
    }
}

/// Logs what is ours to mend, and makes the reply.
pub fn refuse(refusal: &Refusal, peer: Peer) -> (Reply, ErrorCode) {
    let (reply, code) = match refusal {
        Refusal::Body(error) => refuse_body(*error),
        Refusal::Denied(denial) => deny(denial),
    };
    // Nothing that the caller sent: what is meant for the id's field may be a secret.
    tracing::debug!(source = %peer.address.ip(), error = code.as_str(), "request refused");
    (reply, code)
}

/// How often a worker says the same of what is ours to mend: an outage concerns so many requests that a line for each
/// would bury the rest.
const SAID_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    /// When this worker said so last, a sentence each.
    static NEEDS_STORE: Cell<Option<Instant>> = const { Cell::new(None) };
    static NO_SIGNING_KEY: Cell<Option<Instant>> = const { Cell::new(None) };
    static CANNOT_SIGN: Cell<Option<Instant>> = const { Cell::new(None) };
    static OUTDATED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether it is time to say this again; whoever asks then says it.
fn is_due(said: &'static LocalKey<Cell<Option<Instant>>>) -> bool {
    let is_due = said.get().is_none_or(|said| said.elapsed() >= SAID_EVERY);
    if is_due {
        said.set(Some(Instant::now()));
    }
    is_due
}

/// Logs what is ours to mend.
fn say(denial: &Denial) {
    match denial {
        Denial::Store(cause) if is_due(&NEEDS_STORE) => {
            tracing::warn!(kind = cause.kind(), %cause, "requests need the store");
        }
        Denial::NoSigningKey if is_due(&NO_SIGNING_KEY) => {
            tracing::error!("no signing key is active, nothing can be signed");
        }
        Denial::CannotSign(cause) if is_due(&CANNOT_SIGN) => tracing::error!(%cause, "a token could not be signed"),
        Denial::Outdated if is_due(&OUTDATED) => {
            tracing::warn!("revocations are out of date while the store does not answer");
        }
        _ => {}
    }
}

fn deny(denial: &Denial) -> (Reply, ErrorCode) {
    say(denial);
    match denial {
        // Said to whoever gave the client its algorithm, and over in minutes.
        Denial::KeyWaits(wait) => (reply::unavailable_for(*wait), ErrorCode::TemporarilyUnavailable),
        Denial::Throttled(seconds) => (reply::throttled(*seconds), ErrorCode::SlowDown),
        _ => {
            let public = denial.public();
            (reply::refused(&public), public.code())
        }
    }
}

fn refuse_body(error: BodyError) -> (Reply, ErrorCode) {
    let (status, description) = match error {
        BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        BodyError::Late => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        BodyError::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "a content encoding is not supported"),
        BodyError::NotAForm => (StatusCode::BAD_REQUEST, "the body must be application/x-www-form-urlencoded"),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "the body could not be read"),
    };
    let reply = reply::refused_as(status, &OAuthError::invalid_request(description));
    let keeps_connection = matches!(error, BodyError::NotAForm | BodyError::Encoded);
    (if keeps_connection { reply } else { reply::closing(reply) }, ErrorCode::InvalidRequest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rehearsal::{PEER, Rehearsal, SECRET_LIFETIME, START};
    use crate::http::{token, worker};
    use crate::jwt::{Expected, PublicKey, verify};
    use crate::oauth::Algorithm;

    /// When the token is from that this form gets, which came at the start; or what it is refused for.
    async fn issued_at(service: &Rehearsal, form: &str) -> Result<UnixTime, ErrorCode> {
        let (form, laps, started) = (form.as_bytes(), &Laps::default(), Instant::now());
        let posted = Posted { form, authorization: [None; 2], peer: PEER, now: START, started, read: started, laps };
        let granted = token::grant(&service.worker, &posted).await.map_err(|refusal| refusal.code())?;
        let answer: serde_json::Value = serde_json::from_slice(granted.body()).unwrap();
        let keys = PublicKey::from_jwks(service.worker.app().keys.load().document()).unwrap();
        let (issuer, now) = (service.worker.app().issuer.as_str(), service.worker.app().clock.now());
        let expected = Expected { issuer, audience: None, now, leeway: Duration::ZERO };
        Ok(verify(answer["access_token"].as_str().unwrap(), &keys, &expected).unwrap().iat)
    }

    #[test]
    fn who_waited_for_room_in_the_audit_log_is_judged_and_dated_by_when_there_was_some() {
        worker::runtime().unwrap().block_on(async {
            let service = Rehearsal::start(Algorithm::EdDsa, "when_full = \"block\"\n").await;
            let ([stays, expires], app) = (&service.forms, service.worker.app());
            app.audit.end();
            app.clock.set(START.plus(Duration::from_secs(1)));
            for form in [stays, expires] {
                assert_eq!(issued_at(&service, form).await, Ok(START), "who found room is not held up by a clock");
            }
            let later = START.plus(SECRET_LIFETIME);
            let room = async {
                app.clock.set(later);
                app.audit.fill(false);
            };
            app.audit.fill(true);
            let (kept, lapsed, ()) =
                tokio::join!(biased; issued_at(&service, stays), issued_at(&service, expires), room);
            assert_eq!((kept, lapsed), (Ok(later), Err(ErrorCode::InvalidClient)));
        });
    }
}
