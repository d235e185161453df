//! Clients that prove who they are by what they sign: `private_key_jwt` (RFC 7521, RFC 7523) over a real socket.

mod endpoints;
mod forms;
mod keys;
mod replays;

use crate::support::signer::{KIND, SOON, Signer, encode, form, now, present};
use crate::support::{API, Answer, GENEROUS, GRANT, Home, Server};
use jeton::oauth::Algorithm;
use serde_json::{Value, json};

const ALGORITHMS: [Algorithm; 4] = Algorithm::ALL;

/// A server and a client that signs by EdDSA.
fn scene() -> (Server, Signer) {
    let home = Home::new();
    let signer = Signer::register(&home, Algorithm::EdDsa);
    (home.serve(GENEROUS), signer)
}

/// An answer without what differs from one to the next.
fn whole(answer: &Answer) -> String {
    let head: Vec<&str> = answer.head.lines().filter(|line| !line.starts_with("date:")).collect();
    format!("{}\n{}", head.join("\n"), answer.text())
}

/// The one answer to whoever is not let in, whatever the reason.
fn expect_refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"), "{what}: {}", answer.text());
    assert!(answer.header("www-authenticate").is_some(), "T-089 {what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "T-022 {what}");
}
