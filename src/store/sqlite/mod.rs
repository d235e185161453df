//! The embedded store: one SQLite file, many processes.
//!
//! `schema` opens the file and brings it up to date, `open_file` keeps an eye on it, `writer` is the one thread that writes (whatever waits is
//! committed together), `reader` the threads that read beside it, `rows` the statements. No method blocks its
//! caller: work goes through bounded queues, and a full queue says so at once.
//!
//! Invariants: WAL with `synchronous=FULL`, so an acknowledged write survives a power cut; `BEGIN IMMEDIATE`, so a
//! write never fails half way for a lock; no memory map, so a truncated file is an error and not a signal; a file
//! that was replaced under us is noticed and never written to again. SQLite is the bundled one, newer than the
//! WAL-reset race (3.51.3).

mod assertions;
mod error;
mod notes;
mod open_file;
mod reader;
mod revocations;
mod rows;
mod schema;
mod secret_uses;
mod tokens;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Transaction;
use tokio::sync::oneshot;

use self::open_file::OpenFile;
use self::reader::Reader;
use self::writer::Writer;
use super::assertions::UsedAssertion;
use super::url::OpenMode;
use super::{
    Changes, Cursor, KeyRecords, Pending, Revocation, Revocations, SecretUse, SecretUses, Store, StoreError,
    StoreReport, TokenPosition, TokenRecord,
};
use crate::clock::{UnixDay, UnixTime};
use crate::oauth::{Client, ClientId, SecretHash};

/// The longest wait for an answer on the token path.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(2);
/// The longest wait for a commit.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// The longest wait for a look over the whole store.
const SURVEY_DEADLINE: Duration = Duration::from_hours(1);

/// An open SQLite store.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    /// Point reads; nothing long ever stands before them.
    lookups: Reader,
    /// Lists, checks and backups.
    surveys: Reader,
}

impl SqliteStore {
    /// Opens the file at `path` and brings its schema up to date.
    ///
    /// # Errors
    /// When the file is missing, damaged, foreign, of a newer version, or cannot be made.
    pub fn open(path: &Path, mode: OpenMode) -> Result<Self, StoreError> {
        schema::prepare(path, mode)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Writer::start(OpenFile::open(path)?)?,
            lookups: Reader::start("store-lookups", OpenFile::open(path)?)?,
            surveys: Reader::start("store-surveys", OpenFile::open(path)?)?,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a thread sends back.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Waits for a thread's answer, for no longer than `deadline`.
fn answer<'a, T: Send + 'a>(
    queued: Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>,
    deadline: Duration,
) -> Pending<'a, T> {
    Box::pin(async move {
        match tokio::time::timeout(deadline, queued?).await {
            Ok(Ok(result)) => result,
            // The thread is gone without an answer.
            Ok(Err(_)) => Err(StoreError::Io("the store's thread has ended".to_owned())),
            Err(_) => Err(StoreError::Deadline),
        }
    })
}

impl Store for SqliteStore {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    fn find_client<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Client>> {
        let id = id.to_owned();
        answer(self.lookups.queue(move |connection| rows::find_client(connection, &id)), LOOKUP_DEADLINE)
    }

    fn list_clients<'a>(&'a self, after: Option<&'a ClientId>, limit: usize) -> Pending<'a, Vec<Client>> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        answer(self.surveys.queue(move |connection| rows::list_clients(connection, &after, limit)), SURVEY_DEADLINE)
    }

    fn put_client(&self, client: Client) -> Pending<'_, u64> {
        answer(self.writer.queue(move |transaction| rows::put_client(transaction, &client)), WRITE_DEADLINE)
    }

    fn copy_client(&self, client: Client, over: u64) -> Pending<'_, ()> {
        answer(self.writer.queue(move |transaction| rows::copy_client(transaction, &client, over)), WRITE_DEADLINE)
    }

    fn remove_client<'a>(&'a self, id: &'a ClientId, revision: u64) -> Pending<'a, ()> {
        let id = id.clone();
        answer(self.writer.queue(move |transaction| rows::remove_client(transaction, &id, revision)), WRITE_DEADLINE)
    }

    fn find_keys(&self) -> Pending<'_, Option<KeyRecords>> {
        answer(self.lookups.queue(rows::find_keys), LOOKUP_DEADLINE)
    }

    fn put_keys(&self, records: KeyRecords) -> Pending<'_, u64> {
        answer(self.writer.queue(move |transaction| rows::put_keys(transaction, &records)), WRITE_DEADLINE)
    }

    fn changes_since(&self, cursor: Option<Cursor>) -> Pending<'_, Changes> {
        answer(self.lookups.queue(move |connection| rows::changes_since(connection, cursor)), LOOKUP_DEADLINE)
    }

    fn put_revocation(&self, revocation: Revocation) -> Pending<'_, ()> {
        answer(self.writer.queue(move |transaction| revocations::put(transaction, revocation)), WRITE_DEADLINE)
    }

    fn revocations_since(&self, cursor: Cursor, limit: usize) -> Pending<'_, Revocations> {
        answer(self.lookups.queue(move |connection| revocations::since(connection, cursor, limit)), LOOKUP_DEADLINE)
    }

    fn purge_revocations(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        answer(self.writer.queue(move |transaction| revocations::purge(transaction, before, limit)), WRITE_DEADLINE)
    }

    fn put_token(&self, token: TokenRecord) -> Pending<'_, ()> {
        answer(self.writer.queue(move |transaction| tokens::put(transaction, &token)), WRITE_DEADLINE)
    }

    fn find_token(&self, digest: SecretHash) -> Pending<'_, Option<TokenRecord>> {
        answer(self.lookups.queue(move |connection| tokens::find(connection, &digest)), LOOKUP_DEADLINE)
    }

    fn list_tokens(&self, after: Option<TokenPosition>, limit: usize) -> Pending<'_, Vec<TokenRecord>> {
        answer(self.surveys.queue(move |connection| tokens::list(connection, after, limit)), SURVEY_DEADLINE)
    }

    fn purge_tokens(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        answer(self.writer.queue(move |transaction| tokens::purge(transaction, before, limit)), WRITE_DEADLINE)
    }

    fn put_assertion(&self, used: UsedAssertion) -> Pending<'_, ()> {
        answer(self.writer.queue(move |transaction| assertions::put(transaction, used)), WRITE_DEADLINE)
    }

    fn list_assertions(&self, after: Option<UsedAssertion>, limit: usize) -> Pending<'_, Vec<UsedAssertion>> {
        answer(self.surveys.queue(move |connection| assertions::list(connection, after, limit)), SURVEY_DEADLINE)
    }

    fn purge_assertions(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        answer(self.writer.queue(move |transaction| assertions::purge(transaction, before, limit)), WRITE_DEADLINE)
    }

    fn put_secret_uses(&self, uses: Vec<SecretUse>) -> Pending<'_, ()> {
        answer(self.writer.queue(move |transaction| secret_uses::put(transaction, &uses)), WRITE_DEADLINE)
    }

    fn list_secret_uses<'a>(&'a self, id: &'a ClientId) -> Pending<'a, SecretUses> {
        let id = id.clone();
        answer(self.lookups.queue(move |connection| secret_uses::list(connection, &id)), LOOKUP_DEADLINE)
    }

    fn put_secret_uses_since(&self, day: UnixDay) -> Pending<'_, ()> {
        answer(self.writer.queue(move |transaction| secret_uses::put_since(transaction, day)), WRITE_DEADLINE)
    }

    fn find_note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        let name = name.to_owned();
        answer(self.lookups.queue(move |connection| notes::find(connection, &name)), LOOKUP_DEADLINE)
    }

    fn put_note<'a>(&'a self, name: &'a str, held: Option<&'a str>, text: Option<&'a str>) -> Pending<'a, ()> {
        let (name, held, text) = (name.to_owned(), held.map(str::to_owned), text.map(str::to_owned));
        let note =
            move |transaction: &Transaction<'_>| notes::put(transaction, &name, held.as_deref(), text.as_deref());
        answer(self.writer.queue(note), WRITE_DEADLINE)
    }

    fn check(&self) -> Pending<'_, StoreReport> {
        answer(self.surveys.queue(rows::check), SURVEY_DEADLINE)
    }

    fn backup<'a>(&'a self, path: &'a Path) -> Pending<'a, ()> {
        let path = path.to_owned();
        answer(self.surveys.queue(move |connection| schema::backup(connection, &path)), SURVEY_DEADLINE)
    }
}
