//! Why a command did not do as asked; for whoever gave it.

use std::fmt;

use crate::jwt::client_keys::JwksError;
use crate::keys::KeyError;
use crate::oauth::client::MAX_SECRETS;
use crate::store::StoreError;
use crate::store::transfer::Objection;

/// Why a command did not do as asked.
#[derive(Debug)]
pub enum AdminError {
    /// No client has this id.
    UnknownClient,
    /// The client has no such secret.
    UnknownSecret,
    /// The client holds the most secrets that it may.
    TooManySecrets,
    /// The client has no key of this name.
    UnknownClientKey,
    /// The keys cannot be registered.
    Jwks(JwksError),
    /// Something asked for does not fit together; the sentence says what.
    Refused(&'static str),
    /// The keys do not allow it.
    Key(KeyError),
    /// The master key is another one than the store's.
    WrongMasterKey,
    /// The store is not to be used, or not to be changed, while it is moved.
    Moving(Objection),
    /// The store failed.
    Store(StoreError),
    /// It was done, but could not be written down.
    Journal(std::io::Error),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownClient => f.write_str("no client has this id: 'jeton client list' shows all"),
            Self::UnknownSecret => {
                f.write_str("the client has no such secret: 'jeton client secret list ID' shows all")
            }
            Self::UnknownClientKey => f.write_str("the client has no such key: 'jeton client key list ID' shows all"),
            Self::Jwks(error) => error.fmt(f),
            Self::TooManySecrets => write!(f, "a client has at most {MAX_SECRETS} secrets: remove one first"),
            Self::Refused(sentence) => f.write_str(sentence),
            Self::Key(error) => error.fmt(f),
            Self::WrongMasterKey => {
                f.write_str("the master key is not the one that this store was made with: name the right file")
            }
            Self::Moving(objection) => objection.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Journal(error) => write!(f, "it was done, but the audit log could not be written: {error}"),
        }
    }
}

impl std::error::Error for AdminError {}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<JwksError> for AdminError {
    fn from(error: JwksError) -> Self {
        Self::Jwks(error)
    }
}

impl From<KeyError> for AdminError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}
