//! A client in memory: what a token request needs of it, side by side.
//!
//! With many clients, what a request costs is waiting for memory: every pointer that is followed is a wait, and every
//! text that lies by itself one more. So a client is one allocation. It begins with the client's own fields, and ends with
//! all that is written into the answer to its usual request: the constant claims, then what follows the token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use triomphe::ThinArc;

use super::table::Keyed;
use super::uses::DayMarks;
use crate::jwt::ClaimPrefix;
use crate::jwt::client_keys::VerifyingKeys;
use crate::oauth::{Audience, Client, Closing, IssuerUrl, Lifetimes};

/// Bytes of the text behind the fields of a usual client: to know how long it is one has to wait for it.
const USUAL_TEXT: usize = 384;

/// What tokens say where their client has nothing of its own.
#[derive(Clone, Debug)]
pub struct TokenDefaults {
    /// `iss`.
    pub issuer: IssuerUrl,
    /// `aud`.
    pub audience: Audience,
    /// From `iat` to `exp`.
    pub lifetimes: Lifetimes,
}

impl TokenDefaults {
    /// The claims of a token with the client's default scope, for its whole audience.
    #[must_use]
    pub fn claims(&self, client: &Client) -> ClaimPrefix<'static> {
        let (scope, audience) = (client.granted_by_default(), client.audience_or(&self.audience));
        ClaimPrefix::encode(&self.issuer, &client.id, audience.iter(), scope)
    }

    /// Some, for tests.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        let (issuer, audience) = (IssuerUrl::parse("https://a.example"), Audience::parse("https://a.example"));
        let lifetimes = Lifetimes { default: Duration::from_hours(1), longest: Duration::from_hours(24) };
        Self { issuer: issuer.unwrap(), audience: audience.unwrap(), lifetimes }
    }
}

/// A client and what is made ready of it for its tokens.
#[derive(Clone, Debug)]
pub struct CachedClient(Shared);

/// A client that is only looked at, for as long as it is sure to be there.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a>(&'a Shared);

/// What all who have a client share: its fields, then its text.
pub(super) type Shared = ThinArc<Fields, u8>;

#[derive(Debug)]
pub(super) struct Fields {
    client: Client,
    marks: DayMarks,
    keys: VerifyingKeys,
    lifetime: Duration,
    /// Where the claims end, and what follows the token begins.
    claims_end: usize,
    used: AtomicBool,
}

impl Keyed for Shared {
    fn key(&self) -> &str {
        self.header.header.client.id.as_str()
    }
}

impl CachedClient {
    /// Makes a client ready.
    #[must_use]
    pub fn new(client: Client, defaults: &TokenDefaults) -> Self {
        let lifetime = defaults.lifetimes.of(&client);
        let mut text = defaults.claims(&client).encoded().to_vec();
        let claims_end = text.len();
        Closing::Of(lifetime.as_secs(), client.granted_by_default().as_str()).push(&mut text);
        let (marks, keys) = (DayMarks::of(&client), VerifyingKeys::of(&client.keys));
        let fields = Fields { client, marks, keys, lifetime, claims_end, used: AtomicBool::new(false) };
        Self(ThinArc::from_header_and_slice(fields, &text))
    }

    /// Keeps what is looked at.
    #[must_use]
    pub fn of(known: Known<'_>) -> Self {
        Self(known.0.clone())
    }

    /// The client as stored.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.known().client()
    }

    /// A look at it.
    #[must_use]
    pub const fn known(&self) -> Known<'_> {
        Known(&self.0)
    }

    /// What the clients in memory are found by.
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl<'a> Known<'a> {
    pub(super) const fn new(shared: &'a Shared) -> Self {
        Self(shared)
    }

    /// The client as stored.
    #[must_use]
    pub fn client(self) -> &'a Client {
        &self.fields().client
    }

    /// When its secrets were last used.
    #[must_use]
    pub fn marks(self) -> &'a DayMarks {
        &self.fields().marks
    }

    /// What its assertions are verified with.
    #[must_use]
    pub fn keys(self) -> &'a VerifyingKeys {
        &self.fields().keys
    }

    /// How long its tokens live.
    #[must_use]
    pub fn lifetime(self) -> Duration {
        self.fields().lifetime
    }

    /// The constant claims of a token with its default scope and whole audience.
    #[must_use]
    pub fn claims(self) -> ClaimPrefix<'a> {
        ClaimPrefix::lent(self.0.slice.get(..self.fields().claims_end).unwrap_or_default())
    }

    /// What follows such a token in the answer.
    #[must_use]
    pub fn closing(self) -> Closing<'a> {
        Closing::Ready(self.0.slice.get(self.fields().claims_end..).unwrap_or_default())
    }

    /// True for the same one, not an equal one.
    #[must_use]
    pub fn is(self, other: Known<'_>) -> bool {
        std::ptr::eq(self.fields(), other.fields())
    }

    /// Asks for as much of it as a usual client has before it is needed. With many clients it lies in no cache, and it is
    /// one place; so it can be on its way while something else is computed.
    pub fn prefetch(self) {
        prefetch::read(self.fields(), USUAL_TEXT);
    }

    /// Notes that somebody was served by it. Read first: a line that is already marked stays shared between the workers' caches.
    pub fn note_use(self) {
        if !self.fields().used.load(Ordering::Relaxed) {
            self.fields().used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody was served by it since this was asked last.
    #[must_use]
    pub fn take_use(self) -> bool {
        self.fields().used.swap(false, Ordering::Relaxed)
    }

    fn fields(self) -> &'a Fields {
        &self.0.header.header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::TokenResponse;

    fn client(more: &str) -> Client {
        let text = format!(
            r#"{{"id":"c_1","name":"n","enabled":true,"may_request_tokens":true,"scope":"a b","created_at":5{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_ready_is_what_would_be_written_for_the_request() {
        let defaults = TokenDefaults::example();
        for (more, lifetime, scope) in [
            ("", 3600, "a b"),
            (r#","lifetime_seconds":60,"default_scope":"a""#, 60, "a"),
            (r#","lifetime_seconds":1000000,"default_scope":"""#, 86400, ""),
        ] {
            let client = client(more);
            let cached = CachedClient::new(client.clone(), &defaults);
            assert_eq!((cached.client(), cached.known().lifetime().as_secs()), (&client, lifetime));
            assert_eq!(cached.known().claims(), defaults.claims(&client));
            let [ready, written] = [cached.known().closing(), Closing::Of(lifetime, scope)].map(|closing| {
                let mut response = TokenResponse::begin(Vec::new(), 0, &closing);
                response.finish(closing);
                response.body().to_vec()
            });
            assert_eq!(ready, written);
        }
    }

    #[test]
    fn a_use_is_noted_until_it_is_taken_and_copies_are_the_same_one() {
        let defaults = TokenDefaults::example();
        let (cached, equal) = (CachedClient::new(client(""), &defaults), CachedClient::new(client(""), &defaults));
        let (known, copy, equal) = (cached.known(), cached.clone(), equal.known());
        assert!(known.is(copy.known()) && known.is(CachedClient::of(known).known()) && !known.is(equal));
        assert!(!known.take_use());
        copy.known().note_use();
        assert!(known.take_use() && !known.take_use() && !equal.take_use());
    }
}
