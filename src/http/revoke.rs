//! `POST /oauth2/revoke`: read, call, reply (RFC 7009 §2).

use std::time::Instant;

use http::Request;
use hyper::body::Incoming;

use super::form_post::{self, FormPost, Refusal, refuse};
use super::reply::{self, Reply};
use super::worker::{Peer, Worker};
use crate::audit::Kind;
use crate::oauth::TokenReference;

/// Answers a revocation request; 200 only once the store has acknowledged.
pub async fn revoke(worker: &Worker, request: Request<Incoming>, peer: Peer) -> Reply {
    let begun = (peer, Instant::now(), Kind::CallerRefused);
    let answer = form_post::answer(worker, request, begun, async |post| cut_off(worker, post).await).await;
    answer.map_or_else(|refusal| refuse(&refusal, peer).0, |((), _)| reply::revoked())
}

async fn cut_off(worker: &Worker, post: &FormPost<'_>) -> Result<(), Refusal> {
    let basic = post.basic()?;
    let request = TokenReference::parse(post.form(), basic.as_ref())?;
    let occasion = post.occasion(request.auth())?;
    let answer = worker.app().revoker.revoke(&request, occasion).await;
    post.settle(request.auth(), answer)
}
