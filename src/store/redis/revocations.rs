//! Revocations: by their position, which is that of their entry in the feed, and by the end of their token.

use deadpool_redis::redis::cmd;

use super::connection::Connections;
use super::error::Failure;
use super::feed::TAGS;
use super::scripts::{PURGE_REVOCATIONS, PUT_REVOCATION};
use super::session::{Chance, Session, text};
use crate::clock::UnixTime;
use crate::jwt::TokenId;
use crate::store::{Cursor, Pending, Revocation, Revocations, StoreError};

pub fn put<'a>(redis: &Connections, revocation: Revocation) -> Pending<'a, ()> {
    let chance = Chance::new();
    redis.write(move |mut session| async move {
        let keys = [session.keys.revoked(), session.keys.revocations()];
        let arguments = [revocation.token.0.to_vec(), text(&revocation.expires_at.seconds())];
        session.write(&PUT_REVOCATION, chance, &keys, &arguments).await?;
        Ok(())
    })
}

pub fn since<'a>(redis: &Connections, cursor: Cursor, limit: usize) -> Pending<'a, Revocations> {
    redis.survey(move |mut session| async move {
        let mut found = Revocations { cursor, entries: Vec::new() };
        loop {
            let wanted = limit - found.entries.len();
            // Those that were purged between its two readings are missing, so the next page may still have some.
            if page(&mut session, &mut found, wanted).await? < wanted || found.entries.len() >= limit {
                return Ok(found);
            }
        }
    })
}

/// Adds a page, and returns how many it had at first.
async fn page(session: &mut Session, found: &mut Revocations, limit: usize) -> Result<usize, Failure> {
    let mut range = cmd("ZRANGEBYSCORE");
    range.arg(session.keys.revocations()).arg(format!("({}", found.cursor.0 / u64::from(TAGS))).arg("+inf");
    range.arg("WITHSCORES").arg("LIMIT").arg(0).arg(limit);
    let later: Vec<(Vec<u8>, f64)> = range.query_async(&mut session.link).await?;
    let mut scores = deadpool_redis::redis::pipe();
    if !later.is_empty() {
        scores.cmd("ZMSCORE").arg(session.keys.revoked());
        for (token, _) in &later {
            scores.arg(token);
        }
    }
    let ends: Vec<Vec<Option<f64>>> = session.read(scores).await?;
    for ((token, position), end) in later.iter().zip(ends.into_iter().flatten()) {
        found.cursor = Cursor(whole(*position).ok_or_else(damaged)?.saturating_mul(TAGS.into()));
        let Some(end) = end else { continue };
        let token = TokenId(token.as_slice().try_into().map_err(|_| damaged())?);
        let expires_at = UnixTime::from_seconds(whole(end).ok_or_else(damaged)?);
        found.entries.push(Revocation { token, expires_at });
    }
    Ok(later.len())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "scores are whole numbers that a double holds exactly"
)]
pub fn whole(score: f64) -> Option<u64> {
    (score.is_finite() && score >= 0.0).then_some(score as u64)
}

fn damaged() -> StoreError {
    StoreError::Corrupt("the list of revocations holds something else".to_owned())
}

pub fn purge<'a>(redis: &Connections, before: UnixTime, limit: usize) -> Pending<'a, usize> {
    redis.survey(move |mut session| async move {
        let keys = [session.keys.revoked(), session.keys.revocations()];
        PURGE_REVOCATIONS.run(&mut session.link, &keys, &[text(&before.seconds()), text(&limit)]).await
    })
}
