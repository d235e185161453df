//! SQLite's errors in the words of the contract.

use rusqlite::ErrorCode;

use crate::store::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Busy
            }
            Some(ErrorCode::DiskFull) => Self::Full,
            // Our statements have no errors of their own: a table is missing, or a row holds what we never write.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) | None => {
                Self::Corrupt(error.to_string())
            }
            Some(_) => Self::Io(error.to_string()),
        }
    }
}

impl StoreError {
    /// True when the connection cannot be trusted any more: what it holds in memory may not be what is on the disk.
    pub(super) const fn spoils_connection(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Corrupt(_) | Self::Full)
    }
}
