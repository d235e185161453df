//! Why an authentication failed: for the operator's figures only, since the client is never told.

/// The reasons, from the one that says least to the one that says most; the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthFailure {
    /// Nothing was presented, or nothing that a client of ours could have.
    Malformed,
    /// No client has this id.
    UnknownClient,
    /// The client has no such secret.
    WrongSecret,
    /// The secret was the client's, until it expired.
    ExpiredSecret,
    /// The assertion is not for us, not for now or not for so long.
    RefusedAssertion,
    /// No key of the client signed the assertion.
    WrongKey,
    /// The key was the client's, until it expired.
    ExpiredKey,
    /// The assertion was used before.
    ReplayedAssertion,
    /// The client is there, but may not come in.
    DisabledClient,
    /// Both readings of Basic authenticate somebody.
    Ambiguous,
    /// The source used up its failures, so nobody looked.
    Throttled,
}

impl AuthFailure {
    /// Every reason, in the order of its counters.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::UnknownClient,
        Self::WrongSecret,
        Self::ExpiredSecret,
        Self::RefusedAssertion,
        Self::WrongKey,
        Self::ExpiredKey,
        Self::ReplayedAssertion,
        Self::DisabledClient,
        Self::Ambiguous,
        Self::Throttled,
    ];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownClient => "unknown_client",
            Self::WrongSecret => "wrong_secret",
            Self::ExpiredSecret => "expired_secret",
            Self::RefusedAssertion => "refused_assertion",
            Self::WrongKey => "wrong_key",
            Self::ExpiredKey => "expired_key",
            Self::ReplayedAssertion => "replayed_assertion",
            Self::DisabledClient => "disabled_client",
            Self::Ambiguous => "ambiguous",
            Self::Throttled => "throttled",
        }
    }
}
