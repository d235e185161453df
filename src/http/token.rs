//! `POST /oauth2/token`: read, call, reply (RFC 6749 §4.4).

use std::time::Instant;

use super::form_post::{self, Arrival, FormPost, Posted, Refusal, refuse};
use super::reply::{self, Reply};
use super::worker::Worker;
use crate::audit::Kind;
use crate::metrics::{Laps, Stage};
use crate::oauth::{ErrorCode, TokenRequest, TokenResponse};

/// Answers a token request that hyper has taken apart.
pub async fn token(worker: &Worker, arrival: &mut Arrival) -> Reply {
    arrival.laps = worker.shard().laps(arrival.started);
    let answer = match arrival.read(worker).await {
        Ok(form) => grant(worker, &arrival.posted(&form, worker.app().clock.now())).await,
        Err(refusal) => Err(refusal),
    };
    let (reply, code) = match answer {
        Ok(response) => {
            let reply = reply::issued(std::mem::take(&mut arrival.headers), &response);
            worker.buffers().give_back(response.into_buffer());
            (reply, None)
        }
        Err(refusal) => {
            let (reply, code) = refuse(&refusal, arrival.peer);
            (reply, Some(code))
        }
    };
    note(worker, &arrival.laps, arrival.started, code);
    reply
}

/// What a posted form gets.
///
/// # Errors
/// What it is refused for.
pub async fn grant(worker: &Worker, posted: &Posted<'_>) -> Result<TokenResponse, Refusal> {
    form_post::answer_posted(worker, posted, Kind::TokenRefused, async |post| issue(worker, post).await).await
}

/// Counts a token request whose reply is ready: issued, or refused with a code.
pub fn note(worker: &Worker, laps: &Laps, started: Instant, refused: Option<ErrorCode>) {
    if refused.is_none() {
        laps.end(Stage::Reply);
        worker.shard().count_stages(laps);
    }
    worker.shard().count_token_request(refused, started.elapsed());
}

async fn issue(worker: &Worker, post: &FormPost<'_>) -> Result<TokenResponse, Refusal> {
    let basic = post.basic()?;
    let request = TokenRequest::parse(post.form(), basic.as_ref())?;
    post.laps().end(Stage::Parse);
    let occasion = post.occasion(request.auth());
    let answer = worker.app().tokens.issue(&request, rand::fill, &occasion).await;
    post.settle(request.auth(), answer)
}
