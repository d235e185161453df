//! A backup of a store that has no file of its own: all of it, copied to a fresh SQLite store.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Progress, Terms, Transfer, TransferError};
use crate::clock::UnixTime;
use crate::store::{BACKUP_NOTE, OpenMode, Store, StoreError, StoreUrl};

/// Writes a backup to `to`, which must not exist yet; it gets its name once it is whole and on the disk. Each record is
/// as it was when it was read; what changes meanwhile is read once more.
///
/// # Errors
/// When a file is there, it cannot be written, or the store fails.
pub async fn backup(source: &dyn Store, to: &Path, (random, now): ([u128; 2], UnixTime)) -> Result<(), StoreError> {
    let wrong = |what: &str| StoreError::Unusable(format!("{} {what}", to.display()));
    if fs::symlink_metadata(to).is_ok() {
        return Err(wrong("exists already: name a file that does not"));
    }
    let fresh = beside(to);
    // A leftover of a crash is half a file at most.
    remove(&fresh);
    let filled = fill(source, &fresh, (random, now)).await;
    let put = match filled {
        Ok(()) => put_in_place(&fresh, to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => wrong("exists already: name a file that does not"),
            _ => wrong(&format!("cannot be written: {error}")),
        }),
        Err(error) => Err(error),
    };
    remove(&fresh);
    put
}

async fn fill(source: &dyn Store, fresh: &Path, (random, now): ([u128; 2], UnixTime)) -> Result<(), StoreError> {
    let target = StoreUrl::Sqlite(fresh.to_owned()).open(OpenMode::CreateIfMissing)?;
    let all = UnixTime::from_seconds(0);
    let terms = Terms { from: source.backend(), replaces: false, random, useful_from: all, replayable_from: all };
    let progress = Progress::default();
    let mut transfer = Transfer::begin((source, &*target), terms, &progress).await.map_err(cause)?;
    transfer.copy().await.map_err(cause)?;
    transfer.finish(None).await.map_err(cause)?;
    // Whoever uses the copy has to know that it is one.
    match target.put_note(BACKUP_NOTE, None, Some(&now.to_string())).await {
        // A backup of a backup that was never used.
        Err(StoreError::Conflict) => Ok(()),
        written => written,
    }
}

fn cause(error: TransferError) -> StoreError {
    match error {
        TransferError::Source(error) | TransferError::Target(error) => error,
        error => StoreError::Unusable(error.to_string()),
    }
}

fn beside(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}

/// The store is closed: its log is part of the file by now.
fn put_in_place(fresh: &Path, to: &Path) -> io::Result<()> {
    File::open(fresh)?.sync_all()?;
    fs::hard_link(fresh, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn remove(fresh: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = fresh.as_os_str().to_owned();
        name.push(suffix);
        drop(fs::remove_file(name));
    }
}
