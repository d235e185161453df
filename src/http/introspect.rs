//! `POST /oauth2/introspect`: read, call, reply (RFC 7662 §2, RFC 9701 §4).

use http::HeaderMap;
use http::header::ACCEPT;

use super::form_post::{self, Arrival, FormPost, Refusal, refuse};
use super::reply::{self, Reply};
use super::worker::Worker;
use crate::audit::Kind;
use crate::authenticator::Denial;
use crate::introspection;
use crate::oauth::{Algorithm, OAuthError, TokenReference};

/// The media type of an answer that can be kept as evidence.
const SIGNED: &str = "application/token-introspection+jwt";

/// Answers an introspection request.
pub async fn introspect(worker: &Worker, arrival: &mut Arrival) -> Reply {
    let signs = wants_signature(&arrival.headers);
    let look = async |post: &FormPost<'_>| look(worker, post, signs).await;
    let answer = form_post::answer(worker, arrival, Kind::CallerRefused, look).await;
    answer.unwrap_or_else(|refusal| refuse(&refusal, arrival.peer).0)
}

async fn look(worker: &Worker, post: &FormPost<'_>, signs: bool) -> Result<Reply, Refusal> {
    let basic = post.basic()?;
    let request = TokenReference::parse(post.form(), basic.as_ref())?;
    let (app, occasion) = (worker.app(), post.occasion(request.auth()));
    let answer = app.inspector.introspect(&request, &occasion).await;
    let (caller, answer) = post.settle(request.auth(), answer)?;
    if signs {
        let keys = app.keys.load();
        // By the one algorithm that every store has a key of, and that the metadata names.
        let key = keys.active(Algorithm::EdDsa, occasion.now).ok_or(Refusal::Denied(Denial::NoSigningKey))?;
        let parties = (app.issuer.as_str(), caller.client().id.as_str());
        let signed = introspection::sign(&answer, parties, occasion.now, key);
        let signed = signed.map_err(|error| Refusal::Denied(Denial::CannotSign(error)))?;
        worker.shard().count_signatures(Algorithm::EdDsa, 1);
        return Ok(reply::introspected(SIGNED, signed));
    }
    let plain = serde_json::to_vec(&answer).map_err(|_| OAuthError::SERVER_ERROR)?;
    Ok(reply::introspected("application/json", plain))
}

/// Only when it is named: `*/*` gets plain JSON.
fn wants_signature(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next().unwrap_or_default());
    types.any(|kind| kind.trim().eq_ignore_ascii_case(SIGNED))
}
