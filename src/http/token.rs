//! `POST /oauth2/token`: read, call, reply (RFC 6749 §4.4).

use std::time::Instant;

use http::Request;
use hyper::body::Incoming;

use super::form_post::{self, FormPost, Refusal, refuse};
use super::reply::{self, Reply};
use super::worker::{Peer, Worker};
use crate::audit::Kind;
use crate::oauth::{TokenRequest, TokenResponse};

/// Answers a token request.
pub async fn token(worker: &Worker, request: Request<Incoming>, peer: Peer) -> Reply {
    let started = Instant::now();
    let begun = (peer, started, Kind::TokenRefused);
    let answer = form_post::answer(worker, request, begun, async |post| issue(worker, post).await).await;
    let (reply, code) = match answer {
        Ok((response, headers)) => (reply::issued(headers, response), None),
        Err(refusal) => {
            let (reply, code) = refuse(&refusal, peer);
            (reply, Some(code))
        }
    };
    worker.shard().count_token_request(code, started.elapsed());
    reply
}

async fn issue(worker: &Worker, post: &FormPost<'_>) -> Result<TokenResponse, Refusal> {
    let basic = post.basic()?;
    let request = TokenRequest::parse(post.form(), basic.as_ref())?;
    let occasion = post.occasion(request.auth())?;
    let answer = worker.app().tokens.issue(&request, worker.token_id(), occasion).await;
    post.settle(request.auth(), answer)
}
