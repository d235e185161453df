//! The limits of HTTP: sizes, deadlines and floods, and that whoever behaves is served all the while.
//!
//! `sizes` and `deadlines` are of HTTP/1, `http2_floods` and `http2_syntax` speak HTTP/2 frame by frame, `load` is
//! about too many requests, `faults` about those that end badly.

mod deadlines;
mod faults;
mod http2_floods;
mod http2_syntax;
mod load;
mod sizes;

use crate::support::h2::{End, H2};
use crate::support::{Answer, Client, GRANT, Server, Wire, wait_for};

/// What must hold after an attack: old and new connections are served, and memory has not grown with it.
struct Bystander<'a> {
    server: &'a Server,
    client: &'a Client,
    old: Wire,
    memory: u64,
}

/// How much a server may grow by an attack, in KiB: buffers of its connections, and what the allocator keeps.
const GROWTH: u64 = 16 * 1024;

impl<'a> Bystander<'a> {
    fn new(server: &'a Server, client: &'a Client) -> Self {
        // What is made once is made before the memory is looked at.
        assert!(is_token(&H2::connect(&server.address).ask(client, GRANT)));
        let mut this = Self { server, client, old: server.wire(), memory: 0 };
        this.ask_on_old();
        this.memory = server.memory();
        this
    }

    fn ask_on_old(&mut self) {
        served("a connection of someone else", || {
            self.old.post("/oauth2/token", &[("Authorization", &self.client.basic())], GRANT);
            self.old.answer()
        });
    }

    fn check(&mut self, what: &str) {
        self.ask_on_old();
        served(what, || self.server.ask(self.client, GRANT));
        let answer = H2::connect(&self.server.address).ask(self.client, GRANT);
        assert!(is_token(&answer), "after {what}: {answer:?}");
        let memory = self.server.memory();
        assert!(memory < self.memory + GROWTH, "{what}: grew from {} to {memory} KiB", self.memory);
        assert!(!self.server.log_text().contains("panicked"), "{what}: {}", self.server.log_text());
    }
}

fn is_token(end: &End) -> bool {
    matches!(end, End::Answer(200, body) if body.contains("access_token"))
}

/// Asks until there is a token. A 503 is an honest answer while the machine is busy with the attack, nothing else is.
fn served(what: &str, mut ask: impl FnMut() -> Answer) {
    wait_for(what, || {
        let answer = ask();
        assert!(matches!(answer.status, 200 | 503), "{what}: {} {}", answer.head, answer.text());
        (answer.status == 200).then_some(())
    });
}
