//! What a client is told when it is refused: an error code of the RFCs and a constant sentence.
//!
//! Leaves statuses and headers to `http::reply`. Descriptions are constants, so nothing a request said can be
//! reflected; their alphabet is checked by a test (RFC 6749 §5.2).

use std::fmt;

/// The registered error codes that jeton answers with. The string is the JSON value, the metric label and the
/// log field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// RFC 6749 §5.2: malformed, repeated or missing parameters, or two ways of authenticating at once.
    InvalidRequest,
    /// RFC 6749 §5.2: client authentication failed, for whatever reason.
    InvalidClient,
    /// RFC 6749 §5.2: this client may not use the grant.
    UnauthorizedClient,
    /// RFC 6749 §5.2: any grant but client credentials.
    UnsupportedGrantType,
    /// RFC 6749 §5.2: malformed scope, or one that the client does not hold.
    InvalidScope,
    /// RFC 8707 §2: malformed resource, or one that the client may not ask for.
    InvalidTarget,
    /// RFC 8628 §3.5: too many failed attempts from one source; sent with 429 and `Retry-After`.
    SlowDown,
    /// RFC 6749 §4.1.2.1: a fault of ours.
    ServerError,
    /// RFC 6749 §4.1.2.1: overload, shutdown or a store that does not answer.
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// Every code, in the order of [`ErrorCode::index`].
    pub const ALL: [Self; 9] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::SlowDown,
        Self::ServerError,
        Self::TemporarilyUnavailable,
    ];

    /// The code as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::SlowDown => "slow_down",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// Position in [`ErrorCode::ALL`]; metrics keep one counter per position.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A refusal: a code and a constant sentence that says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OAuthError {
    code: ErrorCode,
    description: &'static str,
}

impl OAuthError {
    /// One and the same answer for an unknown, disabled or expired client, a wrong secret and no secret at all.
    pub const INVALID_CLIENT: Self = Self::new(ErrorCode::InvalidClient, "client authentication failed");
    /// Too many failed attempts from one source address.
    pub const SLOW_DOWN: Self =
        Self::new(ErrorCode::SlowDown, "too many failed attempts from this address, try again later");
    /// A fault of ours; its cause is in the log.
    pub const SERVER_ERROR: Self = Self::new(ErrorCode::ServerError, "internal error, its cause is in the server log");
    /// Overload, shutdown or a store that does not answer.
    pub const TEMPORARILY_UNAVAILABLE: Self =
        Self::new(ErrorCode::TemporarilyUnavailable, "temporarily unavailable, try again");

    /// A refusal with its sentence.
    #[must_use]
    pub const fn new(code: ErrorCode, description: &'static str) -> Self {
        Self { code, description }
    }

    /// A malformed request.
    #[must_use]
    pub const fn invalid_request(description: &'static str) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// The registered code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence for `error_description`, from the alphabet of RFC 6749 §5.2.
    #[must_use]
    pub const fn description(&self) -> &'static str {
        self.description
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.description)
    }
}

impl std::error::Error for OAuthError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_all() {
        for (position, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code.index(), position);
        }
    }
}
