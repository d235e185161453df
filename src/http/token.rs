//! `POST /oauth2/token`: read, call, reply.
//!
//! The order of checks is fixed: limits, syntax, client authentication, then grant, scope and target (RFC 6749
//! §5.2), so that an unauthenticated caller learns nothing of what a client may do.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;

use super::body::{self, BodyError};
use super::reply::{self, Reply};
use super::worker::{Peer, Worker};
use crate::issuer::{IssueError, Occasion};
use crate::limiter::Verdict;
use crate::oauth::client_auth::BasicText;
use crate::oauth::{ErrorCode, OAuthError, TokenRequest, TokenResponse};

/// How long a failed authentication takes at the least, from its last byte on: longer than the store needs, so that
/// neither what was found there nor how far the checks went shows in the time of the answer.
const FAILURE_TAKES: Duration = Duration::from_millis(2);

/// What stands between a request and its token.
enum Refusal {
    /// The protocol's own.
    Issue(IssueError),
    /// The body never came, was too long or of the wrong kind.
    Body(BodyError),
    /// Too many failures; seconds to wait.
    Throttled(u32),
}

impl Refusal {
    fn is_failed_authentication(&self) -> bool {
        matches!(self, Self::Issue(error) if error.is_failed_authentication())
    }
}

/// Answers a token request.
pub async fn token(worker: &Worker, request: Request<Incoming>, peer: Peer) -> Reply {
    let started = Instant::now();
    let Some(_permit) = worker.admit(started) else {
        return finish(worker, (peer, started), Err(Refusal::Issue(OAuthError::TEMPORARILY_UNAVAILABLE.into())), None);
    };
    let (parts, incoming) = request.into_parts();
    let headers = parts.headers;
    let answer = match body::read_form(&headers, incoming, worker.body_limits()).await {
        Ok(form) => {
            let read = Instant::now();
            let answer = issue(worker, &headers, &form, (peer, started)).await;
            if answer.as_ref().is_err_and(Refusal::is_failed_authentication) {
                tokio::time::sleep_until((read + FAILURE_TAKES).into()).await;
            }
            answer
        }
        Err(error) => Err(Refusal::Body(error)),
    };
    finish(worker, (peer, started), answer, Some(headers))
}

async fn issue(
    worker: &Worker,
    headers: &HeaderMap,
    form: &Bytes,
    (peer, started): (Peer, Instant),
) -> Result<TokenResponse, Refusal> {
    let authorization = headers.get_all(AUTHORIZATION).iter().map(http::HeaderValue::as_bytes);
    let basic = BasicText::decode(authorization).map_err(IssueError::Refused);
    let basic = basic.map_err(Refusal::Issue)?;
    let request = TokenRequest::parse(form, basic.as_ref()).map_err(|error| Refusal::Issue(error.into()))?;
    let claimed = request.auth().readings().next().map(|presented| &*presented.id).unwrap_or_default();
    let source = peer.address.ip();
    let verdict = worker.limiter().ask(source, claimed, started);
    if let Verdict::Throttled(seconds) = verdict {
        return Err(Refusal::Throttled(seconds));
    }
    let app = worker.app();
    let occasion = Occasion {
        now: app.clock.now(),
        token_id: worker.token_id(),
        may_ask_store: verdict == Verdict::Free,
        shard: worker.shard(),
    };
    let answer = app.tokens.issue(&request, occasion).await;
    if answer.as_ref().is_err_and(IssueError::is_failed_authentication) {
        worker.limiter().note_failure(source, claimed, started);
    }
    answer.map_err(Refusal::Issue)
}

/// Counts, logs what is ours to mend, and makes the reply.
fn finish(
    worker: &Worker,
    (peer, started): (Peer, Instant),
    answer: Result<TokenResponse, Refusal>,
    recycled: Option<HeaderMap>,
) -> Reply {
    let (reply, code) = match answer {
        Ok(response) => (reply::issued(recycled.unwrap_or_default(), response), None),
        Err(refusal) => {
            let (reply, code) = refuse(&refusal);
            // Nothing that the caller sent: what is meant for the id's field may be a secret.
            tracing::debug!(source = %peer.address.ip(), error = code.as_str(), "token refused");
            (reply, Some(code))
        }
    };
    worker.shard().count_token_request(code, started.elapsed());
    reply
}

fn refuse(refusal: &Refusal) -> (Reply, ErrorCode) {
    match refusal {
        Refusal::Throttled(seconds) => (reply::throttled(*seconds), ErrorCode::SlowDown),
        Refusal::Body(error) => refuse_body(*error),
        Refusal::Issue(error) => {
            match error {
                IssueError::Store(cause) => {
                    tracing::warn!(kind = cause.kind(), %cause, "a token request needed the store");
                }
                IssueError::NoSigningKey => tracing::error!("no signing key is active, no token can be issued"),
                IssueError::Refused(_) => {}
            }
            let public = error.public();
            if public.code() == ErrorCode::SlowDown {
                return (reply::throttled(1), ErrorCode::SlowDown);
            }
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
