//! The change feed: a stream whose entries' ids are a position and a random tag.
//!
//! A cursor is both. Reading begins with the entry that the cursor names, so one command tells whether the feed still
//! reaches back to it, and whether it is the same history: a server that lost the last writes in a failover has other
//! entries at the same positions, with other tags.

use deadpool_redis::redis::streams::{StreamId, StreamRangeReply};
use deadpool_redis::redis::{Value, cmd, from_redis_value, pipe};

use super::connection::Connections;
use super::error::Failure;
use super::session::Session;
use crate::oauth::ClientId;
use crate::store::{Change, Changes, Cursor, Pending, StoreError};

/// How many tags there are.
pub const TAGS: u32 = 1 << 24;
/// How many entries one answer holds.
const PAGE: usize = 10_000;

/// The id of the entry at a cursor.
fn id_of(Cursor(cursor): Cursor) -> String {
    format!("{}-{}", cursor / u64::from(TAGS), cursor % u64::from(TAGS))
}

/// The cursor at an entry.
fn cursor_at(id: &str) -> Result<Cursor, StoreError> {
    let (position, tag) = id.split_once('-').ok_or_else(damaged)?;
    let (position, tag): (u64, u64) = position.parse().ok().zip(tag.parse().ok()).ok_or_else(damaged)?;
    position.checked_mul(TAGS.into()).map(|first| Cursor(first + tag)).ok_or_else(damaged)
}

fn damaged() -> StoreError {
    StoreError::Corrupt("the change feed holds something else".to_owned())
}

pub fn changes_since<'a>(redis: &Connections, cursor: Option<Cursor>) -> Pending<'a, Changes> {
    redis.run(move |mut session| async move {
        let Some(cursor) = cursor else { return end(&mut session, false).await };
        let mut range = cmd("XRANGE");
        range.arg(session.keys.feed()).arg(id_of(cursor)).arg("+").arg("COUNT").arg(PAGE + 1);
        let found: StreamRangeReply = range.query_async(&mut session.link).await?;
        match found.ids.split_first() {
            Some((first, later)) if first.id == id_of(cursor) && later.len() < PAGE => Ok(news(cursor, later)?),
            _ => end(&mut session, true).await,
        }
    })
}

/// Nothing but the end.
async fn end(session: &mut Session, gap: bool) -> Result<Changes, Failure> {
    let mut last = pipe();
    last.cmd("XREVRANGE").arg(session.keys.feed()).arg("+").arg("-").arg("COUNT").arg(1);
    let (last,): (StreamRangeReply,) = session.read(last).await?;
    // The first entry is as old as the store.
    let last = last.ids.first().ok_or_else(Failure::gone)?;
    Ok(Changes { cursor: cursor_at(&last.id)?, entries: Vec::new(), gap })
}

fn news(cursor: Cursor, later: &[StreamId]) -> Result<Changes, StoreError> {
    let cursor = later.last().map_or(Ok(cursor), |last| cursor_at(&last.id))?;
    let entries = later.iter().filter_map(|entry| change(entry).transpose()).collect::<Result<_, _>>()?;
    Ok(Changes { cursor, entries, gap: false })
}

/// What an entry says; nothing for those of other kinds, such as a newer version may write.
fn change(entry: &StreamId) -> Result<Option<Change>, StoreError> {
    if entry.map.contains_key("k") {
        return Ok(Some(Change::Keys));
    }
    let id = |value: &Value| from_redis_value::<String>(value.clone()).ok().and_then(|id| ClientId::parse(&id).ok());
    entry.map.get("c").map(|value| id(value).map(Change::Client).ok_or_else(damaged)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_id_of_its_entry() {
        for (id, cursor) in [("1-1", (1 << 24) + 1), ("7-16777215", (7 << 24) + 16_777_215), ("0-0", 0)] {
            assert_eq!((cursor_at(id).unwrap(), id_of(Cursor(cursor))), (Cursor(cursor), id.to_owned()));
        }
        for id in ["", "1", "-", "1-x", "99999999999999999-1"] {
            assert!(matches!(cursor_at(id), Err(StoreError::Corrupt(_))), "{id}");
        }
    }
}
