//! `POST /oauth2/token`: read, call, reply (RFC 6749 §4.4).

use super::form_post::{self, Arrival, FormPost, Refusal, refuse};
use super::reply::{self, Reply};
use super::worker::Worker;
use crate::audit::Kind;
use crate::metrics::Stage;
use crate::oauth::{TokenRequest, TokenResponse};

/// Answers a token request.
pub async fn token(worker: &Worker, arrival: &mut Arrival) -> Reply {
    arrival.laps = worker.shard().laps(arrival.started);
    let answer = form_post::answer(worker, arrival, Kind::TokenRefused, async |post| issue(worker, post).await).await;
    let (reply, code) = match answer {
        Ok(response) => {
            let reply = reply::issued(std::mem::take(&mut arrival.headers), response);
            arrival.laps.end(Stage::Reply);
            worker.shard().count_stages(&arrival.laps);
            (reply, None)
        }
        Err(refusal) => {
            let (reply, code) = refuse(&refusal, arrival.peer);
            (reply, Some(code))
        }
    };
    worker.shard().count_token_request(code, arrival.started.elapsed());
    reply
}

async fn issue(worker: &Worker, post: &FormPost<'_>) -> Result<TokenResponse, Refusal> {
    let basic = post.basic()?;
    let request = TokenRequest::parse(post.form(), basic.as_ref())?;
    post.laps().end(Stage::Parse);
    let occasion = post.occasion(request.auth());
    let answer = worker.app().tokens.issue(&request, rand::fill, &occasion).await;
    post.settle(request.auth(), answer)
}
