//! The decision: what one authenticated client gets for one request.

use std::time::Duration;

use super::audience::Audience;
use super::client::Client;
use super::scope::Scope;

/// How long tokens live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// For a client without one of its own.
    pub default: Duration,
    /// For any client.
    pub longest: Duration,
}

impl Lifetimes {
    /// How long the tokens of `client` live.
    #[must_use]
    pub fn of(&self, client: &Client) -> Duration {
        let own = client.lifetime_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        own.unwrap_or(self.default).min(self.longest)
    }
}

/// What a token will say of its client. The common case, everything by default, carries nothing of its own, so
/// that the claims made ready with the client can be used as they are.
#[derive(Debug)]
pub struct Grant<'a> {
    /// Whose token it is.
    pub client: &'a Client,
    /// The scope where it is not the client's default.
    pub scope: Option<Scope>,
    /// The audience where it is not the client's whole.
    pub audience: Option<Vec<&'a Audience>>,
}

impl Grant<'_> {
    /// True when the client gets what it gets without asking.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.scope.is_none() && self.audience.is_none()
    }

    /// The granted scope.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        self.scope.as_ref().unwrap_or_else(|| self.client.granted_by_default())
    }
}
