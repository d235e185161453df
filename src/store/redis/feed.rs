//! The change feed: a stream whose entries' ids are a position and a random tag.
//!
//! A cursor is both. Reading begins with the entry that the cursor names, so one command tells whether the feed still
//! reaches back to it, and whether it is the same history: a server that lost the last writes in a failover has other
//! entries at the same positions, with other tags.

use deadpool_redis::redis::streams::{StreamId, StreamRangeReply};
use deadpool_redis::redis::{Value, cmd, from_redis_value, pipe};

use super::connection::Connections;
use super::error::Failure;
use super::revocations;
use super::session::Session;
use crate::clock::UnixTime;
use crate::jwt::TokenId;
use crate::oauth::ClientId;
use crate::store::{Change, Changes, Cursor, News, Pending, Revocation, Revocations, StoreError};

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
        let later = match cursor {
            Some(cursor) => later(&mut session, cursor).await?.map(|later| (cursor, later)),
            None => None,
        };
        match later {
            Some((cursor, later)) => Ok(changes(cursor, &later)?),
            None => end(&mut session, cursor.is_some()).await,
        }
    })
}

/// What changed and what was revoked, by one command: the feed names both. The list of revocations is read only where
/// the feed does not reach.
pub fn news_since(
    redis: &Connections,
    cursor: Option<Cursor>,
    (revocations, limit): (Cursor, usize),
) -> Pending<'_, News> {
    Box::pin(async move {
        let Some(from) = cursor else { return from_the_start(redis, false, limit).await };
        let later = redis.run(move |mut session| async move { later(&mut session, from).await }).await?;
        let Some(later) = later else { return from_the_start(redis, true, limit).await };
        let entries = later.iter().filter_map(|entry| revocation(entry).transpose()).collect::<Result<Vec<_>, _>>()?;
        let changes = changes(from, &later)?;
        let cursor = if entries.is_empty() { revocations } else { changes.cursor };
        Ok(News { changes, revocations: Revocations { cursor, entries } })
    })
}

async fn from_the_start(redis: &Connections, gap: bool, limit: usize) -> Result<News, StoreError> {
    // The end first: what is revoked meanwhile is found twice rather than never.
    let changes = redis.run(move |mut session| async move { end(&mut session, gap).await }).await?;
    let revocations = revocations::since(redis, Cursor::default(), limit).await?;
    Ok(News { changes, revocations })
}

/// The entries behind a cursor, if the feed still reaches back to it.
async fn later(session: &mut Session, cursor: Cursor) -> Result<Option<Vec<StreamId>>, Failure> {
    let mut range = cmd("XRANGE");
    range.arg(session.keys.feed()).arg(id_of(cursor)).arg("+").arg("COUNT").arg(PAGE + 1);
    let mut found: StreamRangeReply = range.query_async(&mut session.link).await?;
    let is_known = found.ids.first().is_some_and(|first| first.id == id_of(cursor)) && found.ids.len() <= PAGE;
    Ok(is_known.then(|| found.ids.split_off(1)))
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

fn changes(cursor: Cursor, later: &[StreamId]) -> Result<Changes, StoreError> {
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

/// What an entry says of a token.
fn revocation(entry: &StreamId) -> Result<Option<Revocation>, StoreError> {
    let Some(token) = entry.map.get("r") else { return Ok(None) };
    let token = from_redis_value::<Vec<u8>>(token.clone()).ok().and_then(|token| token.try_into().ok());
    let end = entry.map.get("e").and_then(|end| from_redis_value(end.clone()).ok());
    let (token, end) = token.zip(end).ok_or_else(damaged)?;
    Ok(Some(Revocation { token: TokenId(token), expires_at: UnixTime::from_seconds(end) }))
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
