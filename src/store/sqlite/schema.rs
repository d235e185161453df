//! Opening the file: what it must be, how it is made, and how it is brought up to date.
//!
//! A new store is made under another name and linked into place, so no process ever sees half of one. Each
//! migration is one transaction that also sets `user_version`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::store::url::OpenMode;
use crate::store::{BACKUP_NOTE, StoreError};

/// `jetn`: tells our files from those of other programs.
const APPLICATION_ID: i32 = 0x6A65_746E;
/// The WAL-reset race is fixed from here on.
const MIN_SQLITE: i32 = 3_051_003;
/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// One step per schema version; never changed once released.
const MIGRATIONS: [&str; SCHEMA as usize] = [
    "
    CREATE TABLE clients (id TEXT NOT NULL PRIMARY KEY, revision INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
    CREATE TABLE signing_keys (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
        revision INTEGER NOT NULL, master_key_check TEXT NOT NULL, document TEXT NOT NULL
    ) STRICT;
    CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT) STRICT;
",
    "
    CREATE TABLE revocations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, token BLOB NOT NULL UNIQUE, expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX revocations_by_end ON revocations (expires_at);
",
    // A secret that was there before has no use written down: only from this day on does that say anything.
    "
    CREATE TABLE secret_uses (
        client TEXT NOT NULL, secret TEXT NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (client, secret)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE secret_uses_since (
        only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1), day INTEGER NOT NULL
    ) STRICT;
    INSERT INTO secret_uses_since VALUES (1, unixepoch() / 86400);
",
    "
    CREATE TABLE tokens (
        digest BLOB NOT NULL PRIMARY KEY, id BLOB NOT NULL, client TEXT NOT NULL, scope TEXT NOT NULL,
        audience TEXT NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tokens_by_end ON tokens (expires_at);
",
    "
    CREATE TABLE notes (name TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE assertions (
        digest BLOB NOT NULL PRIMARY KEY, expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX assertions_by_end ON assertions (expires_at);
",
];

/// The schema version of this build.
pub const SCHEMA: u32 = 6;

/// The error of a file that is not what it should be.
pub fn unusable(path: &Path, what: &str) -> StoreError {
    StoreError::Unusable(format!("{} {what}", path.display()))
}

/// Makes sure that `path` is a store of ours in the schema of this build.
///
/// # Errors
/// When it is missing or anything else; a file that is there is never overwritten.
pub fn prepare(path: &Path, mode: OpenMode) -> Result<(), StoreError> {
    if rusqlite::version_number() < MIN_SQLITE {
        return Err(StoreError::Unusable(format!(
            "SQLite {} can lose writes: build with 3.51.3 or newer",
            rusqlite::version()
        )));
    }
    match fs::metadata(path) {
        Ok(metadata) => check_file(path, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => match mode {
            OpenMode::CreateIfMissing => create(path)?,
            OpenMode::MustExist => {
                return Err(unusable(path, "does not exist: 'jeton serve' or 'jeton client add' makes it"));
            }
        },
        Err(error) => return Err(unusable(path, &format!("cannot be opened: {error}"))),
    }
    migrate(path, &mut connect(path)?)
}

fn check_file(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    if !metadata.is_file() {
        return Err(unusable(path, "is not a file: name a file in store.url"));
    }
    if metadata.len() == 0 {
        return Err(unusable(path, "is empty: restore it from a backup, or remove it to begin anew"));
    }
    let mut magic = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.map_err(|error| unusable(path, &format!("cannot be read: {error}")))?;
    if magic != *MAGIC {
        return Err(unusable(path, "is not a jeton store (or it is encrypted or damaged): it was left as it is"));
    }
    Ok(())
}

/// Makes a whole store beside `path`, then gives it its name; whoever comes second takes the first one's.
fn create(path: &Path) -> Result<(), StoreError> {
    let log = beside(path, "-wal");
    if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
        // SQLite would replay it over the new store.
        return Err(unusable(
            path,
            "is missing, but its -wal file is there: restore both, or remove both to begin anew",
        ));
    }
    put_whole(path, fill).or_else(|error| match error {
        PutError::Exists => Ok(()),
        PutError::Io(error) => Err(unusable(path, &format!("cannot be made: {error}"))),
        PutError::Store(error) => Err(error),
    })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Why a file was not put in its place.
enum PutError {
    Exists,
    Io(io::Error),
    Store(StoreError),
}

/// Lets `write` make a file under another name and gives it its own once it is whole and on the disk, so that
/// neither a crash nor another process ever leaves or sees half of one.
fn put_whole(path: &Path, write: impl FnOnce(&Path) -> Result<(), StoreError>) -> Result<(), PutError> {
    let fresh = beside(path, &format!(".new-{}", std::process::id()));
    // A leftover of a crash is half a file at most.
    drop(fs::remove_file(&fresh));
    let mut private = OpenOptions::new();
    let file = private.write(true).create_new(true).mode(0o600).open(&fresh).map_err(PutError::Io)?;
    let put = write(&fresh).map_err(PutError::Store).and_then(|()| {
        file.sync_all().map_err(PutError::Io)?;
        fs::hard_link(&fresh, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => PutError::Exists,
            _ => PutError::Io(error),
        })
    });
    let removed = fs::remove_file(&fresh).map_err(PutError::Io);
    put.and(removed)?;
    sync_folder(path).map_err(PutError::Io)
}

fn fill(fresh: &Path) -> Result<(), StoreError> {
    let mut connection = Connection::open(fresh)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrate(fresh, &mut connection)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A connection with the settings that the contract rests on.
///
/// # Errors
/// When the file cannot be opened, or is not ours.
pub fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    let application_id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application_id != APPLICATION_ID {
        return Err(unusable(path, "is a database of another program: it was left as it is"));
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(unusable(path, "cannot be used in WAL mode: it must be writable and on a local disk"));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(connection)
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // Nothing to do takes no lock: a store that someone writes to, or that cannot be written, can still be read.
    if version == SCHEMA {
        return Ok(());
    }
    // Under the write lock, so that two processes do not migrate at once.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > SCHEMA {
        return Err(unusable(
            path,
            &format!("has schema {version}, this build knows up to {SCHEMA}: use a newer jeton"),
        ));
    }
    for (step, sql) in (1_u32..).zip(MIGRATIONS).skip_while(|(step, _)| *step <= version) {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", step)?;
    }
    Ok(transaction.commit()?)
}

/// Copies the store as of now to a file that must not exist yet.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn backup(connection: &mut Connection, to: &Path) -> Result<(), StoreError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(unusable(to, "exists already: name a file that does not"));
    }
    put_whole(to, |fresh| copy(connection, fresh)).map_err(|error| match error {
        PutError::Exists => unusable(to, "exists already: name a file that does not"),
        PutError::Io(error) => unusable(to, &format!("cannot be written: {error}")),
        PutError::Store(error) => error,
    })
}

fn copy(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let mut target = Connection::open(to)?;
    let backup = rusqlite::backup::Backup::new(connection, &mut target)?;
    backup.run_to_completion(1024, Duration::ZERO, None)?;
    drop(backup);
    // Whoever uses the copy has to know that it is one.
    target.execute(
        "INSERT INTO notes VALUES (?1, strftime('%Y-%m-%dT%H:%M:%SZ')) ON CONFLICT DO NOTHING",
        [BACKUP_NOTE],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_an_older_schema_keeps_its_rows_and_notes_uses_from_its_migration_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let old = Connection::open(&path).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        for (step, sql) in (1_u32..).zip(MIGRATIONS).take(2) {
            old.execute_batch(sql).unwrap();
            old.pragma_update(None, "user_version", step).unwrap();
        }
        old.execute("INSERT INTO clients VALUES ('c_1', 3, '{}')", []).unwrap();
        drop(old);
        let today = || crate::clock::Clock::System.now().day().0;
        let before = today();
        prepare(&path, OpenMode::MustExist).unwrap();
        let connection = connect(&path).unwrap();
        let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!(one("PRAGMA user_version"), SCHEMA);
        assert_eq!(one("SELECT revision FROM clients"), 3);
        assert!((before..=today()).contains(&one("SELECT day FROM secret_uses_since")));
        prepare(&path, OpenMode::MustExist).unwrap();
        assert_eq!(one("SELECT count(*) FROM secret_uses_since"), 1, "once");
    }
}
