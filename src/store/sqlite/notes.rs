//! The statements of notes: what is said of the store itself, one row each.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use crate::store::StoreError;

pub fn find(connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT text FROM notes WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

pub fn put(
    transaction: &Transaction<'_>,
    name: &str,
    held: Option<&str>,
    text: Option<&str>,
) -> Result<(), StoreError> {
    if find(transaction, name)?.as_deref() != held {
        return Err(StoreError::Conflict);
    }
    match text {
        Some(text) => transaction
            .execute("INSERT INTO notes VALUES (?1, ?2) ON CONFLICT DO UPDATE SET text = ?2", (name, text))?,
        None => transaction.execute("DELETE FROM notes WHERE name = ?1", [name])?,
    };
    Ok(())
}
