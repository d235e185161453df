//! The statements of revocations: one narrow row each, in the order in which they were acknowledged.

use rusqlite::{Connection, Transaction};

use crate::clock::UnixTime;
use crate::jwt::TokenId;
use crate::store::{Cursor, Revocation, Revocations, StoreError};

pub fn put(transaction: &Transaction<'_>, revocation: Revocation) -> Result<(), StoreError> {
    let mut statement = transaction
        .prepare_cached("INSERT INTO revocations (token, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    statement.execute((revocation.token.0, revocation.expires_at.seconds().cast_signed()))?;
    Ok(())
}

pub fn since(connection: &mut Connection, Cursor(after): Cursor, limit: usize) -> Result<Revocations, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT seq, token, expires_at FROM revocations WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query((after.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut found = Revocations { cursor: Cursor(after), entries: Vec::new() };
    while let Some(row) = rows.next()? {
        let (position, token, expires_at): (i64, [u8; 16], i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        found.cursor = Cursor(position.unsigned_abs());
        let expires_at = UnixTime::from_seconds(expires_at.unsigned_abs());
        found.entries.push(Revocation { token: TokenId(token), expires_at });
    }
    Ok(found)
}

pub fn purge(transaction: &Transaction<'_>, before: UnixTime, limit: usize) -> Result<usize, StoreError> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE expires_at < ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute((before.seconds().cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)))?)
}

pub fn count(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM revocations", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}
