//! The statements of used assertions: one row each, found by the digest.

use rusqlite::{Connection, Transaction};

use crate::clock::UnixTime;
use crate::store::StoreError;
use crate::store::assertions::UsedAssertion;

/// A conflict for one that is there: then nothing was written.
pub fn put(transaction: &Transaction<'_>, used: UsedAssertion) -> Result<(), StoreError> {
    let mut statement =
        transaction.prepare_cached("INSERT INTO assertions VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING")?;
    match statement.execute((used.digest, used.expires_at.seconds().cast_signed()))? {
        0 => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

pub fn list(
    connection: &mut Connection,
    after: Option<UsedAssertion>,
    limit: usize,
) -> Result<Vec<UsedAssertion>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT digest, expires_at FROM assertions
         WHERE (expires_at, digest) > (?1, ?2) ORDER BY expires_at, digest LIMIT ?3",
    )?;
    let (end, digest) = after.map_or((-1, [0; 32]), |after| (after.expires_at.seconds().cast_signed(), after.digest));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((end, digest, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let read = |(digest, end): ([u8; 32], i64)| UsedAssertion {
        digest,
        expires_at: UnixTime::from_seconds(end.unsigned_abs()),
    };
    rows.map(|row| Ok(read(row?))).collect()
}

pub fn count(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM assertions", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

pub fn purge(transaction: &Transaction<'_>, before: UnixTime, limit: usize) -> Result<usize, StoreError> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM assertions WHERE digest IN (SELECT digest FROM assertions WHERE expires_at < ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute((before.seconds().cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)))?)
}
