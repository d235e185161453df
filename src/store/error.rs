//! Why a store does not do as asked, in words for the operator. Leaves what a request is told of it to `http`.

use std::fmt;

/// Why a store did not do as asked; for the operator, never for a client.
#[derive(Clone, Debug)]
pub enum StoreError {
    /// Another write came first.
    Conflict,
    /// Locked by another process, or busy with itself, for longer than the deadline.
    Busy,
    /// No room left, on the disk or in memory.
    Full,
    /// Too many operations wait already.
    Overloaded,
    /// No answer within the deadline.
    Deadline,
    /// The disk or the operating system failed.
    Io(String),
    /// No server answers, or none that may be written to.
    Unreachable(String),
    /// The server does not let us in, or not do this.
    Denied(String),
    /// Done, but fewer servers have it than an acknowledgement promises.
    Unconfirmed(String),
    /// The data is damaged.
    Corrupt(String),
    /// The file is not a store of this version, or it changed under us.
    Unusable(String),
}

impl StoreError {
    /// Every label of [`StoreError::kind`].
    pub const KINDS: [&'static str; 11] = [
        "conflict",
        "busy",
        "full",
        "overloaded",
        "deadline",
        "io",
        "unreachable",
        "denied",
        "unconfirmed",
        "corrupt",
        "unusable",
    ];

    /// The metric label and log field.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Overloaded => "overloaded",
            Self::Deadline => "deadline",
            Self::Io(_) => "io",
            Self::Unreachable(_) => "unreachable",
            Self::Denied(_) => "denied",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Corrupt(_) => "corrupt",
            Self::Unusable(_) => "unusable",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("it was changed by someone else in the meantime: look again and repeat"),
            Self::Busy => f.write_str("the store is locked by another process, or busy"),
            Self::Full => f.write_str("the store is full"),
            Self::Overloaded => f.write_str("too many operations wait for the store"),
            Self::Deadline => f.write_str("the store did not answer in time"),
            Self::Io(cause) => write!(f, "the store failed: {cause}"),
            Self::Unreachable(cause) => write!(f, "the store cannot be reached: {cause}"),
            Self::Denied(cause) => write!(f, "the store lets us not in, or not do this: {cause}"),
            Self::Unconfirmed(cause) => write!(f, "the write was done, but is not safe yet: {cause}"),
            Self::Corrupt(cause) => write!(f, "the store is damaged: {cause}; restore it from a backup"),
            Self::Unusable(cause) => f.write_str(cause),
        }
    }
}

impl std::error::Error for StoreError {}
