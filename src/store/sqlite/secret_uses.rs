//! The statements of the uses of secrets: one narrow row each, apart from the client's record, so that a mark is no
//! change of the client.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use crate::clock::UnixDay;
use crate::oauth::{Client, ClientId, SecretId};
use crate::store::{SecretUse, SecretUses, StoreError};

pub fn put(transaction: &Transaction<'_>, uses: &[SecretUse]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO secret_uses (client, secret, day) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET day = ?3 WHERE day < ?3",
    )?;
    for used in uses {
        // The client may have changed since.
        if held_secrets(transaction, &used.client)?.contains(&used.secret) {
            statement.execute((used.client.as_str(), used.secret.as_str(), used.day.0))?;
        }
    }
    Ok(())
}

pub fn put_since(transaction: &Transaction<'_>, day: UnixDay) -> Result<(), StoreError> {
    transaction.execute("UPDATE secret_uses_since SET day = ?1 WHERE day > ?1", [day.0])?;
    Ok(())
}

/// Of a record that cannot be read none: that is for whoever needs the client to say.
fn held_secrets(transaction: &Transaction<'_>, id: &ClientId) -> Result<Vec<SecretId>, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT document FROM clients WHERE id = ?1")?;
    let document: Option<String> = statement.query_row([id.as_str()], |row| row.get(0)).optional()?;
    let client = document.and_then(|document| serde_json::from_str::<Client>(&document).ok());
    Ok(client.into_iter().flat_map(|client| client.secrets).map(|secret| secret.id).collect())
}

pub fn list(connection: &mut Connection, id: &ClientId) -> Result<SecretUses, StoreError> {
    let transaction = connection.transaction()?;
    let since = transaction.query_row("SELECT day FROM secret_uses_since", [], |row| row.get(0))?;
    let last = held(&transaction, id)?;
    Ok(SecretUses { since: UnixDay(since), last })
}

fn held(transaction: &Transaction<'_>, id: &ClientId) -> Result<Vec<SecretUse>, StoreError> {
    let mut statement = transaction.prepare_cached("SELECT secret, day FROM secret_uses WHERE client = ?1")?;
    let uses = statement.query_map([id.as_str()], |row| {
        let (secret, day): (String, u32) = (row.get(0)?, row.get(1)?);
        Ok(SecretUse { client: id.clone(), secret: secret.into(), day: UnixDay(day) })
    })?;
    Ok(uses.collect::<Result<_, _>>()?)
}

/// Forgets the secrets that the client no longer has.
pub fn retain(transaction: &Transaction<'_>, client: &Client) -> Result<(), StoreError> {
    for used in held(transaction, &client.id)? {
        if client.secrets.iter().all(|secret| secret.id != used.secret) {
            transaction
                .prepare_cached("DELETE FROM secret_uses WHERE client = ?1 AND secret = ?2")?
                .execute((client.id.as_str(), used.secret.as_str()))?;
        }
    }
    Ok(())
}

/// Forgets a client that was removed.
pub fn remove(transaction: &Transaction<'_>, id: &ClientId) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM secret_uses WHERE client = ?1")?.execute([id.as_str()])?;
    Ok(())
}
