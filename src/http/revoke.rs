//! `POST /oauth2/revoke`: read, call, reply (RFC 7009 §2).

use super::form_post::{self, Arrival, FormPost, Refusal, refuse};
use super::reply::{self, Reply};
use super::worker::Worker;
use crate::audit::Kind;
use crate::oauth::TokenReference;

/// Answers a revocation request; 200 only once the store has acknowledged.
pub async fn revoke(worker: &Worker, arrival: &mut Arrival) -> Reply {
    let call = async |post: &FormPost<'_>| cut_off(worker, post).await;
    let answer = form_post::answer(worker, arrival, Kind::CallerRefused, call).await;
    answer.map_or_else(|refusal| refuse(&refusal, arrival.peer).0, |()| reply::revoked())
}

async fn cut_off(worker: &Worker, post: &FormPost<'_>) -> Result<(), Refusal> {
    let basic = post.basic()?;
    let request = TokenReference::parse(post.form(), basic.as_ref())?;
    let occasion = post.occasion(request.auth());
    let answer = worker.app().revoker.revoke(&request, &occasion).await;
    post.settle(request.auth(), answer)
}
