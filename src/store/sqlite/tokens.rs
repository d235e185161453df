//! The statements of opaque tokens: one row each, found by the digest.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use crate::clock::UnixTime;
use crate::jwt::TokenId;
use crate::oauth::{ClientId, Scope, SecretHash};
use crate::store::{StoreError, TokenPosition, TokenRecord};

pub fn put(transaction: &Transaction<'_>, token: &TokenRecord) -> Result<(), StoreError> {
    let audience = serde_json::to_string(&token.audience).map_err(|error| StoreError::Io(error.to_string()))?;
    let mut statement = transaction
        .prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (digest) DO NOTHING")?;
    statement.execute((
        token.digest.bytes(),
        token.id.0,
        token.client.as_str(),
        token.scope.as_str(),
        audience,
        token.issued_at.seconds().cast_signed(),
        token.expires_at.seconds().cast_signed(),
    ))?;
    Ok(())
}

/// A row as it lies in the table, but for its digest.
type Row = ([u8; 16], String, String, String, i64, i64);

pub fn find(connection: &mut Connection, digest: &SecretHash) -> Result<Option<TokenRecord>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id, client, scope, audience, issued_at, expires_at FROM tokens WHERE digest = ?1")?;
    let row: Option<Row> = statement.query_row([digest.bytes()], |row| row.try_into()).optional()?;
    row.map(|row| read(*digest, row)).transpose()
}

fn read(
    digest: SecretHash,
    (id, client, scope, audience, issued_at, expires_at): Row,
) -> Result<TokenRecord, StoreError> {
    let damaged = || StoreError::Corrupt("the record of an opaque token cannot be read".to_owned());
    Ok(TokenRecord {
        digest,
        id: TokenId(id),
        client: ClientId::parse(&client).map_err(|_| damaged())?,
        scope: Scope::parse(&scope).map_err(|_| damaged())?,
        audience: serde_json::from_str(&audience).map_err(|_| damaged())?,
        issued_at: UnixTime::from_seconds(issued_at.unsigned_abs()),
        expires_at: UnixTime::from_seconds(expires_at.unsigned_abs()),
    })
}

pub fn list(
    connection: &mut Connection,
    after: Option<TokenPosition>,
    limit: usize,
) -> Result<Vec<TokenRecord>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT digest, id, client, scope, audience, issued_at, expires_at FROM tokens
         WHERE (expires_at, digest) > (?1, ?2) ORDER BY expires_at, digest LIMIT ?3",
    )?;
    let (end, digest) =
        after.map_or((-1, [0; 32]), |after| (after.expires_at.seconds().cast_signed(), *after.digest.bytes()));
    let mut rows = statement.query((end, digest, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let rest = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?);
        found.push(read(SecretHash::from_bytes(row.get(0)?), rest)?);
    }
    Ok(found)
}

pub fn count(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM tokens", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

pub fn purge(transaction: &Transaction<'_>, before: UnixTime, limit: usize) -> Result<usize, StoreError> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM tokens WHERE digest IN (SELECT digest FROM tokens WHERE expires_at < ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute((before.seconds().cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)))?)
}
