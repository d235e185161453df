//! The statements: what each method of the contract reads and writes.
//!
//! A client is one JSON document beside its id and revision; all signing keys are one document. Every write is
//! preceded by its compare, so a conflict has written nothing.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::assertions;
use super::revocations;
use super::schema::SCHEMA;
use super::secret_uses;
use super::tokens;
use crate::keys::{KeyRecord, MasterKeyCheck};
use crate::oauth::{Client, ClientId};
use crate::store::unknown::encode_over;
use crate::store::{Change, Changes, Cursor, KeyRecords, StoreError, StoreReport};

/// How many changes the feed remembers.
const FEED_LENGTH: i64 = 100_000;
/// How many of the oldest go with each write, so that trimming never piles up.
const TRIM_AT_ONCE: i64 = 4;
/// How many changes one answer holds.
const FEED_PAGE: i64 = 10_000;

pub fn find_client(connection: &mut Connection, id: &str) -> Result<Option<Client>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT revision, document FROM clients WHERE id = ?1")?;
    let row = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    row.map(|(revision, document): (i64, String)| read_client(id, revision, &document)).transpose()
}

fn read_client(id: &str, revision: i64, document: &str) -> Result<Client, StoreError> {
    let damaged = |what: &str| StoreError::Corrupt(format!("the record of client {id} {what}"));
    let mut client: Client = serde_json::from_str(document).map_err(|_| damaged("cannot be read"))?;
    if client.id.as_str() != id {
        return Err(damaged("is that of another client"));
    }
    client.revision = revision.unsigned_abs();
    Ok(client)
}

pub fn list_clients(connection: &mut Connection, after: &str, limit: usize) -> Result<Vec<Client>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id, revision, document FROM clients WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((after, limit))?;
    let mut clients = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        clients.push(read_client(&id, row.get(1)?, row.get_ref(2)?.as_str().unwrap_or_default())?);
    }
    Ok(clients)
}

pub fn put_client(transaction: &Transaction<'_>, client: &Client) -> Result<u64, StoreError> {
    let revision = client.revision + 1;
    write_client(transaction, client, client.revision, revision)?;
    Ok(revision)
}

pub fn copy_client(transaction: &Transaction<'_>, client: &Client, over: u64) -> Result<(), StoreError> {
    write_client(transaction, client, over, client.revision)
}

fn write_client(transaction: &Transaction<'_>, client: &Client, over: u64, revision: u64) -> Result<(), StoreError> {
    let id = client.id.as_str();
    let (revision_held, held) = find_held(transaction, id)?;
    compare(revision_held, over)?;
    let document = encode_over(client, held.as_deref()).map_err(|error| StoreError::Io(error.to_string()))?;
    transaction
        .prepare_cached(
            "INSERT INTO clients VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET revision = ?2, document = ?3",
        )?
        .execute((id, revision.cast_signed(), document))?;
    secret_uses::retain(transaction, client)?;
    note_change(transaction, Some(id))
}

pub fn remove_client(transaction: &Transaction<'_>, id: &ClientId, revision: u64) -> Result<(), StoreError> {
    let (held, _) = find_held(transaction, id.as_str())?;
    if held == 0 {
        return Err(StoreError::Conflict);
    }
    compare(held, revision)?;
    transaction.prepare_cached("DELETE FROM clients WHERE id = ?1")?.execute([id.as_str()])?;
    secret_uses::remove(transaction, id)?;
    note_change(transaction, Some(id.as_str()))
}

/// The stored revision of a client and its document; 0 when there is none.
fn find_held(transaction: &Transaction<'_>, id: &str) -> Result<(u64, Option<String>), StoreError> {
    let mut statement = transaction.prepare_cached("SELECT revision, document FROM clients WHERE id = ?1")?;
    let held = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(held.map_or((0, None), |(revision, document): (i64, String)| (revision.unsigned_abs(), Some(document))))
}

const fn compare(held: u64, made_from: u64) -> Result<(), StoreError> {
    if held == made_from { Ok(()) } else { Err(StoreError::Conflict) }
}

pub fn find_keys(connection: &mut Connection) -> Result<Option<KeyRecords>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT revision, master_key_check, document FROM signing_keys")?;
    let row = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    row.map(|(revision, check, document): (i64, String, String)| {
        let damaged = |_| StoreError::Corrupt("the record of the signing keys cannot be read".to_owned());
        let keys: Vec<KeyRecord> = serde_json::from_str(&document).map_err(damaged)?;
        let check: MasterKeyCheck = serde_json::from_value(check.into()).map_err(damaged)?;
        Ok(KeyRecords { check, keys, revision: revision.unsigned_abs() })
    })
    .transpose()
}

pub fn put_keys(transaction: &Transaction<'_>, records: &KeyRecords) -> Result<u64, StoreError> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let held: Option<(i64, String)> =
        transaction.query_row("SELECT revision, document FROM signing_keys", [], read).optional()?;
    compare(held.as_ref().map_or(0, |(revision, _)| revision.unsigned_abs()), records.revision)?;
    let encode = |error: serde_json::Error| StoreError::Io(error.to_string());
    let document = encode_over(&records.keys, held.as_ref().map(|(_, document)| &**document)).map_err(encode)?;
    let check = serde_json::to_value(&records.check).map_err(encode)?;
    let revision = records.revision + 1;
    transaction.execute(
        "INSERT INTO signing_keys VALUES (1, ?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET revision = ?1, master_key_check = ?2, document = ?3",
        (revision.cast_signed(), check.as_str(), document),
    )?;
    note_change(transaction, None)?;
    Ok(revision)
}

/// `client` is `None` for a change of the signing keys.
fn note_change(transaction: &Transaction<'_>, client: Option<&str>) -> Result<(), StoreError> {
    transaction.prepare_cached("INSERT INTO changes (client) VALUES (?1)")?.execute([client])?;
    let oldest_kept = transaction.last_insert_rowid() - FEED_LENGTH;
    transaction
        .prepare_cached(
            "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
        )?
        .execute((oldest_kept, TRIM_AT_ONCE))?;
    Ok(())
}

pub fn changes_since(connection: &mut Connection, cursor: Option<Cursor>) -> Result<Changes, StoreError> {
    let transaction = connection.transaction()?;
    let (first, last): (i64, i64) = transaction
        .prepare_cached(
            "SELECT coalesce((SELECT min(seq) FROM changes), 1), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let end = Cursor(last.unsigned_abs());
    let Some(Cursor(from)) = cursor else { return Ok(Changes { cursor: end, entries: Vec::new(), gap: false }) };
    let from = from.cast_signed();
    if from == last {
        return Ok(Changes { cursor: end, entries: Vec::new(), gap: false });
    }
    // A cursor beyond the end comes from a store that was since replaced by an older one.
    if from > last || from + 1 < first || last - from > FEED_PAGE {
        return Ok(Changes { cursor: end, entries: Vec::new(), gap: true });
    }
    let mut statement =
        transaction.prepare_cached("SELECT client FROM changes WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
    let mut rows = statement.query((from, last))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let client: Option<String> = row.get(0)?;
        entries.push(match client {
            None => Change::Keys,
            Some(id) => Change::Client(
                ClientId::parse(&id).map_err(|_| StoreError::Corrupt("the change feed names no client".to_owned()))?,
            ),
        });
    }
    Ok(Changes { cursor: end, entries, gap: false })
}

pub fn check(connection: &mut Connection) -> Result<StoreReport, StoreError> {
    let mut problems = Vec::new();
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    for line in statement.query_map([], |row| row.get::<_, String>(0))? {
        let line = line?;
        if line != "ok" {
            problems.push(line);
        }
    }
    drop(statement);
    let clients = check_clients(connection, &mut problems)?;
    let keys = match find_keys(connection) {
        Ok(records) => records.map_or(0, |records| records.keys.len()),
        Err(error) => {
            problems.push(error.to_string());
            0
        }
    };
    let version = format!("SQLite {}", rusqlite::version());
    let (revocations, tokens) = (revocations::count(connection)?, tokens::count(connection)?);
    let (keys, assertions) = (keys as u64, assertions::count(connection)?);
    Ok(StoreReport {
        backend: "sqlite",
        version,
        schema: SCHEMA,
        clients,
        keys,
        revocations,
        tokens,
        assertions,
        durability: "an acknowledged write survives a crash and a power cut (synchronous=FULL)".to_owned(),
        problems,
        warnings: Vec::new(),
    })
}

fn check_clients(connection: &Connection, problems: &mut Vec<String>) -> Result<u64, StoreError> {
    let mut statement = connection.prepare("SELECT id, revision, document FROM clients")?;
    let mut rows = statement.query([])?;
    let mut clients = 0;
    while let Some(row) = rows.next()? {
        clients += 1;
        let id: String = row.get(0)?;
        if let Err(error) = read_client(&id, row.get(1)?, row.get_ref(2)?.as_str().unwrap_or_default())
            && problems.len() < 20
        {
            problems.push(error.to_string());
        }
    }
    Ok(clients)
}
