//! Used assertions: one list by their ends. Under the common hash tag, since "not used yet" counts only in the store
//! that would know.

use deadpool_redis::redis::{cmd, pipe};

use super::connection::Connections;
use super::error::Failure;
use super::revocations::whole;
use super::scripts::PUT_ASSERTION;
use super::session::{Chance, Session, text};
use crate::clock::UnixTime;
use crate::store::assertions::UsedAssertion;
use crate::store::{Pending, StoreError};

pub fn put<'a>(redis: &Connections, used: UsedAssertion) -> Pending<'a, ()> {
    let chance = Chance::new();
    redis.write(move |mut session| async move {
        let keys = [session.keys.assertions()];
        let arguments = [used.digest.to_vec(), text(&used.expires_at.seconds())];
        session.write(&PUT_ASSERTION, chance, &keys, &arguments).await?;
        Ok(())
    })
}

pub fn list<'a>(redis: &Connections, after: Option<UsedAssertion>, limit: usize) -> Pending<'a, Vec<UsedAssertion>> {
    redis.survey(move |mut session| async move {
        let mut found = Vec::new();
        if let Some(after) = after {
            let end = after.expires_at.seconds().to_string();
            let same = range(&mut session, (&end, &end), None).await?;
            found.extend(same.into_iter().filter(|used| *used > after));
        }
        if found.len() < limit {
            let start = after.map_or_else(|| "-inf".to_owned(), |after| format!("({}", after.expires_at.seconds()));
            found.extend(range(&mut session, (&start, "+inf"), Some(limit - found.len())).await?);
        }
        found.truncate(limit);
        session.read::<()>(pipe()).await?;
        Ok(found)
    })
}

/// Those that end within these bounds; where several end at once, the server has them in the order of their bytes.
async fn range(
    session: &mut Session,
    (start, end): (&str, &str),
    limit: Option<usize>,
) -> Result<Vec<UsedAssertion>, Failure> {
    let mut range = cmd("ZRANGEBYSCORE");
    range.arg(session.keys.assertions()).arg(start).arg(end).arg("WITHSCORES");
    if let Some(limit) = limit {
        range.arg("LIMIT").arg(0).arg(limit);
    }
    let rows: Vec<(Vec<u8>, f64)> = range.query_async(&mut session.link).await?;
    let damaged = || StoreError::Corrupt("the list of used assertions holds something else".to_owned());
    let read = |(digest, end): (Vec<u8>, f64)| {
        let digest = digest.try_into().map_err(|_| damaged())?;
        Ok(UsedAssertion { digest, expires_at: UnixTime::from_seconds(whole(end).ok_or_else(damaged)?) })
    };
    rows.into_iter().map(read).collect()
}

pub fn purge<'a>(redis: &Connections, before: UnixTime, limit: usize) -> Pending<'a, usize> {
    redis.survey(move |mut session| async move {
        let key = session.keys.assertions();
        let mut range = cmd("ZRANGEBYSCORE");
        range.arg(&key).arg("-inf").arg(format!("({}", before.seconds())).arg("LIMIT").arg(0).arg(limit);
        let gone: Vec<Vec<u8>> = range.query_async(&mut session.link).await?;
        if gone.is_empty() {
            return Ok(0);
        }
        // An end never changes, so what was to go a moment ago still is.
        Ok(cmd("ZREM").arg(&key).arg(gone).query_async(&mut session.link).await?)
    })
}

pub async fn count(session: &mut Session) -> Result<u64, Failure> {
    Ok(cmd("ZCARD").arg(session.keys.assertions()).query_async(&mut session.link).await?)
}
