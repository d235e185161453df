//! The file behind a connection: the one that its path named at first, for as long as it is used.
//!
//! A database and its write-ahead log are found by name, so a file that was moved, removed or replaced under us
//! would take writes that nobody ever sees. Whoever works on an [`OpenFile`] asks for its connection each time;
//! the names are looked at again before every write, and once a second between reads.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::schema::{connect, unusable};
use crate::store::StoreError;

/// Which file a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// A connection and the files of its log, which live as long as any connection does.
#[derive(Debug)]
struct Link {
    connection: Connection,
    log: [Option<FileId>; 2],
}

/// A database file in use.
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    side_paths: [PathBuf; 2],
    database: FileId,
    link: Option<Link>,
    checked_at: Instant,
}

impl OpenFile {
    /// # Errors
    /// When the path names no store of ours.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = FileId::of(path).ok_or_else(|| moved(path))?;
        let side_paths = ["-wal", "-shm"].map(|suffix| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        });
        let mut file = Self { path: path.to_owned(), side_paths, database, link: None, checked_at: Instant::now() };
        file.connection(Duration::ZERO)?;
        Ok(file)
    }

    /// The connection, opened anew when the last one was dropped. The names are looked at when that was longer ago
    /// than `recheck`.
    ///
    /// # Errors
    /// While a path names another file than at first, or none: what we would write would be lost.
    pub fn connection(&mut self, recheck: Duration) -> Result<&mut Connection, StoreError> {
        if self.link.is_none() || self.checked_at.elapsed() >= recheck {
            self.check()?;
            self.checked_at = Instant::now();
        }
        let link = match &mut self.link {
            Some(link) => link,
            none => {
                let connection = connect(&self.path)?;
                none.insert(Link { connection, log: self.side_paths.each_ref().map(|path| FileId::of(path)) })
            }
        };
        Ok(&mut link.connection)
    }

    /// Drops the connection: what it holds in memory may not be what is on the disk.
    pub fn distrust(&mut self) {
        self.link = None;
    }

    fn check(&self) -> Result<(), StoreError> {
        let mut names = vec![(&self.path, Some(self.database))];
        names.extend(self.link.iter().flat_map(|link| self.side_paths.iter().zip(link.log)));
        let Some((path, found)) = names
            .into_iter()
            .map(|(path, held)| (path, FileId::of(path), held))
            .find(|(_, now, held)| now != held)
            .map(|(path, now, _)| (path, now))
        else {
            return Ok(());
        };
        if let (Some(link), true) = (&self.link, found.is_some()) {
            // Others use the new file by now: at its end, this connection must not write its own log over theirs.
            link.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        Err(moved(path))
    }
}

fn moved(path: &Path) -> StoreError {
    unusable(path, "was moved, removed or replaced while in use: restart jeton once the right file is in place")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema::prepare;
    use crate::store::url::OpenMode;

    #[test]
    fn s09_each_of_the_three_files_is_missed() {
        for suffix in ["", "-wal", "-shm"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            prepare(&path, OpenMode::CreateIfMissing).unwrap();
            let mut file = OpenFile::open(&path).unwrap();
            assert!(file.connection(Duration::ZERO).is_ok());
            let name = folder.path().join(format!("a.db{suffix}"));
            let away = folder.path().join("away");
            fs::rename(&name, &away).unwrap();
            let error = file.connection(Duration::ZERO).unwrap_err();
            assert!(matches!(error, StoreError::Unusable(_)), "{suffix} gone: {error}");
            fs::copy(&away, &name).unwrap();
            assert!(file.connection(Duration::ZERO).is_err(), "{suffix} replaced by a copy");
            fs::rename(&away, &name).unwrap();
            assert!(file.connection(Duration::ZERO).is_ok(), "{suffix} is back");
        }
    }
}
