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

#[cfg(test)]
mod tests {
    use crate::http::rehearsal::{Rehearsal, ask};
    use crate::http::worker;
    use crate::oauth::Algorithm;

    /// By either way: this makes a request unusual and nothing else of it.
    const WAYS: [&str; 2] = ["", "Connection: Keep-Alive, x\r\n"];

    /// What two tokens that could not be signed leave behind, and two that could on the same connections.
    async fn rehearse(algorithm: Algorithm) {
        let service = Rehearsal::start(algorithm, "").await;
        let mut wires = WAYS.map(|way| (service.connect(), way));
        for (are_broken, status) in [(true, "500 Internal Server Error"), (false, "200 OK")] {
            service.break_keys(are_broken);
            for (stream, way) in &mut wires {
                let (head, body) = ask(stream, &service.forms[0], way).await;
                assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{algorithm}: {head}");
                assert!(!head.contains("connection: close") && !head.contains("retry-after"), "{head}");
                let error = are_broken.then(|| "server_error".into());
                assert_eq!((body.get("error"), body.get("access_token").is_some()), (error.as_ref(), !are_broken));
            }
        }
        for (series, count) in [
            ("jeton_token_requests_total{outcome=\"server_error\"}".to_owned(), 2),
            ("jeton_token_requests_total{outcome=\"issued\"}".to_owned(), 2),
            ("jeton_http_requests_total{endpoint=\"token\",status=\"500\"}".to_owned(), 2),
            ("jeton_http_requests_total{endpoint=\"token\",status=\"200\"}".to_owned(), 2),
            ("jeton_token_request_duration_seconds_count".to_owned(), 4),
            (format!("jeton_signatures_total{{alg=\"{algorithm}\"}}"), 2),
            ("jeton_sign_batch_size_sum".to_owned(), if algorithm.is_slow() { 0 } else { 2 }),
            ("jeton_sign_queue_length".to_owned(), 0),
            ("jeton_requests_in_flight".to_owned(), 0),
        ] {
            assert_eq!(service.counted(&series), count, "{algorithm}: {series}");
        }
        let events = service.events();
        let said = |field: &str| events.iter().map(|event| event[field].as_str().unwrap_or("-")).collect::<Vec<_>>();
        assert_eq!(said("event"), ["token.refused", "token.refused", "token.issued", "token.issued"]);
        assert_eq!(said("outcome"), ["server_error", "server_error", "ok", "ok"]);
        assert_eq!(said("client"), [service.client.as_str(); 4], "{algorithm}");
        assert!(said("jti")[..2] == ["-"; 2] && said("jti")[2] != said("jti")[3]);
    }

    #[test]
    fn k12_what_cannot_be_signed_is_no_token_to_anybody_and_the_connection_goes_on() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            worker::runtime().unwrap().block_on(rehearse(algorithm));
        }
    }
}
