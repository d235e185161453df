//! Redis's errors in the words of the contract, and what to do about each.

use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;

/// What may still help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the answer stands.
    GiveUp,
    /// The same again in a moment: the server is busy with itself.
    Wait,
    /// Another connection, perhaps to another server.
    Reconnect,
    /// Nothing, and what was read says that the store is no longer the one that we know.
    Doubt,
}

/// Why a command did not succeed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is told when nothing helps.
    pub error: StoreError,
    /// What may help.
    pub next: Next,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, next: Next::GiveUp }
    }
}

impl Failure {
    /// The store that we knew is no longer there.
    pub fn gone() -> Self {
        Self { error: gone(), next: Next::Doubt }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let (next, error) = match error.kind() {
            ErrorKind::Server(kind) => of_server(kind, &error),
            ErrorKind::AuthenticationFailed => (Next::Reconnect, denied(&error)),
            ErrorKind::UnexpectedReturnType => {
                (Next::GiveUp, StoreError::Corrupt("a key of the store holds something else".to_owned()))
            }
            ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => {
                (Next::Reconnect, StoreError::Unusable(format!("Redis cannot be used: {error}")))
            }
            ErrorKind::Extension => of_code(&error),
            // Nothing was read, or what cannot be an answer, so neither would be what is read next.
            _ => (Next::Reconnect, unreachable(&error)),
        };
        Self { error, next }
    }
}

fn of_server(kind: ServerErrorKind, error: &RedisError) -> (Next, StoreError) {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask => (Next::Wait, StoreError::Busy),
        ServerErrorKind::ReadOnly => (Next::Reconnect, unreachable(error)),
        ServerErrorKind::NoPerm => (Next::GiveUp, denied(error)),
        _ => of_code(error),
    }
}

/// By the code of the first error, or by the text, since older servers put the code behind a script's name.
fn of_code(error: &RedisError) -> (Next, StoreError) {
    let text = error.to_string();
    let first = error.clone().into_server_errors().and_then(|errors| errors.first().cloned());
    let code = first.as_ref().map(|(_, error)| error.code());
    let says = |name: &str| code == Some(name) || text.contains(&format!("{name} "));
    if says("WRONGTYPE") {
        return (Next::GiveUp, StoreError::Corrupt("a key of the store has another type".to_owned()));
    }
    if says("JETONDAMAGED") {
        return (Next::GiveUp, StoreError::Corrupt("a record cannot be read".to_owned()));
    }
    if says("JETONGONE") {
        return (Next::Doubt, gone());
    }
    match code {
        _ if says("READONLY") => (Next::Reconnect, unreachable(error)),
        _ if says("OOM") => (Next::GiveUp, StoreError::Full),
        _ if says("NOAUTH") || says("WRONGPASS") => (Next::Reconnect, denied(error)),
        _ if says("NOPERM") => (Next::GiveUp, denied(error)),
        Some("BUSY" | "UNKILLABLE" | "NOTREADY" | "LOADING" | "MASTERDOWN") => (Next::Wait, StoreError::Busy),
        _ => (Next::GiveUp, StoreError::Io(text)),
    }
}

fn unreachable(error: &RedisError) -> StoreError {
    if error.is_timeout() { StoreError::Deadline } else { StoreError::Unreachable(error.to_string()) }
}

fn denied(error: &RedisError) -> StoreError {
    StoreError::Denied(error.to_string())
}

/// What is told when the store that we knew is no longer there.
pub fn gone() -> StoreError {
    StoreError::Unusable(
        "the store in Redis was emptied, or replaced by another one: restore it, or restart jeton to go on with what is there"
            .to_owned(),
    )
}
