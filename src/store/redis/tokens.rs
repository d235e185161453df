//! Opaque tokens: one value each, which goes by itself, and a list by their ends for each of several buckets.
//!
//! How long a value stays is counted from its writing by the token's own lifetime, so that no clock but the one that
//! made the token decides, and with a margin for those that are behind it.

use std::sync::Arc;

use deadpool_redis::redis::{cmd, pipe};

use super::connection::Connections;
use super::error::Failure;
use super::keys::{BUCKETS, Keys};
use super::records::{encode_token, parse_token};
use super::scripts::{PURGE_TOKENS, PUT_TOKEN};
use super::session::{Session, text};
use crate::clock::UnixTime;
use crate::oauth::SecretHash;
use crate::store::{Pending, StoreError, TokenPosition, TokenRecord};

/// How long a value stays beyond the end of its token, in seconds.
const MARGIN: u64 = 600;
/// How many of a bucket go at a time.
const PURGE_AT_ONCE: usize = 1000;

/// The entry of a token in its bucket's list: in the order of their bytes, they are in the order of positions.
fn member(TokenPosition { expires_at, digest }: TokenPosition) -> Vec<u8> {
    [&expires_at.seconds().to_be_bytes()[..], digest.bytes()].concat()
}

fn position(member: &[u8]) -> Result<TokenPosition, StoreError> {
    let parts = member.split_first_chunk::<8>().and_then(|(end, digest)| Some((*end, digest.try_into().ok()?)));
    let (end, digest) =
        parts.ok_or_else(|| StoreError::Corrupt("the list of opaque tokens holds something else".to_owned()))?;
    let expires_at = UnixTime::from_seconds(u64::from_be_bytes(end));
    Ok(TokenPosition { expires_at, digest: SecretHash::from_bytes(digest) })
}

pub fn put<'a>(redis: &Connections, token: TokenRecord) -> Pending<'a, ()> {
    let token = Arc::new(token);
    redis.write(move |mut session| {
        let token = Arc::clone(&token);
        async move {
            let bucket = Keys::bucket(&token.digest);
            let keys = [session.keys.token(&token.digest), session.keys.tokens(bucket)];
            let stays = token.expires_at.since(token.issued_at).as_secs().saturating_add(MARGIN);
            let arguments = [
                encode_token(&session.seal, &token)?.into_bytes(),
                text(&stays.saturating_mul(1000)),
                member(token.position()),
                session.keys.token_prefix(bucket),
            ];
            PUT_TOKEN.run::<u64>(&mut session.link, &keys, &arguments).await?;
            let [key, _] = keys;
            session.wait_for_replicas(key).await
        }
    })
}

pub fn find<'a>(redis: &Connections, digest: SecretHash) -> Pending<'a, Option<TokenRecord>> {
    redis.run(move |mut session| async move {
        let value: Option<Vec<u8>> = cmd("GET").arg(session.keys.token(&digest)).query_async(&mut session.link).await?;
        if value.is_none() {
            // Nothing is there: of this store, or of what is left of it?
            session.read::<()>(pipe()).await?;
        }
        Ok(value.map(|value| parse_token(&session.seal, digest, &value)).transpose()?)
    })
}

pub fn list<'a>(redis: &Connections, after: Option<TokenPosition>, limit: usize) -> Pending<'a, Vec<TokenRecord>> {
    redis.survey(move |mut session| async move {
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < limit {
            let wanted = limit - found.len();
            let positions = positions(&mut session, after, wanted).await?;
            after = positions.last().copied();
            for position in &positions {
                // Those that have gone by themselves are in the list for a while.
                let value: Option<Vec<u8>> =
                    cmd("GET").arg(session.keys.token(&position.digest)).query_async(&mut session.link).await?;
                found.extend(value.map(|value| parse_token(&session.seal, position.digest, &value)).transpose()?);
            }
            if positions.len() < wanted {
                break;
            }
        }
        session.read::<()>(pipe()).await?;
        Ok(found)
    })
}

/// The next ones of all buckets.
async fn positions(
    session: &mut Session,
    after: Option<TokenPosition>,
    limit: usize,
) -> Result<Vec<TokenPosition>, Failure> {
    let start = after.map_or_else(|| b"-".to_vec(), |after| [b"(", &member(after)[..]].concat());
    let mut positions = Vec::new();
    for bucket in 0..BUCKETS {
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(session.keys.tokens(bucket)).arg(&start).arg("+").arg("LIMIT").arg(0).arg(limit);
        let members: Vec<Vec<u8>> = range.query_async(&mut session.link).await?;
        for member in members {
            positions.push(position(&member)?);
        }
    }
    positions.sort_unstable();
    positions.truncate(limit);
    Ok(positions)
}

pub fn purge<'a>(redis: &Connections, before: UnixTime, limit: usize) -> Pending<'a, usize> {
    redis.survey(move |mut session| async move {
        let before = before.seconds().to_be_bytes().to_vec();
        let mut purged = 0;
        for bucket in 0..BUCKETS {
            while purged < limit {
                let at_once = (limit - purged).min(PURGE_AT_ONCE);
                let arguments = [before.clone(), text(&at_once), session.keys.token_prefix(bucket)];
                let keys = [session.keys.tokens(bucket)];
                let gone: usize = PURGE_TOKENS.run(&mut session.link, &keys, &arguments).await?;
                purged += gone;
                if gone < at_once {
                    break;
                }
            }
        }
        Ok(purged)
    })
}

pub async fn count(session: &mut Session) -> Result<u64, Failure> {
    let mut count = 0;
    for bucket in 0..BUCKETS {
        count += cmd("ZCARD").arg(session.keys.tokens(bucket)).query_async::<u64>(&mut session.link).await?;
    }
    Ok(count)
}
