//! Which store a server has, and the look over all of it.

use deadpool_redis::redis::{AsyncCommands as _, Value, cmd, pipe};

use super::assertions;
use super::connection::Connections;
use super::error::{Failure, Next};
use super::health::{self, require_sound};
use super::keys::Keys;
use super::link::Link;
use super::records::{VERSION, parse_client, parse_keys};
use super::scripts::BEGIN;
use super::session::Session;
use super::tokens;
use crate::clock::Clock;
use crate::store::{OpenMode, StoreError, StoreReport};

/// How many clients are looked at in one step, during which nobody else is served.
const PAGE: usize = 100;
/// How many problems are told.
const PROBLEMS: usize = 20;

/// The epoch of the store that is there. With a mode, for the first time: a store that is missing is made, or missed.
pub async fn identify(
    link: &mut Link,
    (keys, may_evict): (&Keys, bool),
    mode: Option<OpenMode>,
) -> Result<String, Failure> {
    if let Link::Server(_) = link {
        require_master(link).await?;
    }
    require_sound(link, may_evict).await?;
    let held: Option<String> = match mode {
        Some(OpenMode::CreateIfMissing) => {
            let names = [keys.epoch(), keys.feed(), keys.uses_since(), keys.clients(), keys.keys(), keys.revoked()];
            let fresh = format!("{VERSION} {:032x}", rand::random::<u128>());
            let today = Clock::System.now().day().0.to_string();
            Some(BEGIN.run(link, &names, &[fresh, today]).await?)
        }
        _ => link.get(keys.epoch()).await?,
    };
    let Some(held) = held else {
        let sentence = "there is no store of jeton in this Redis: 'jeton serve' and 'jeton client add' make one";
        return Err(if mode.is_none() { Failure::gone() } else { StoreError::Unusable(sentence.to_owned()).into() });
    };
    let version = held.split(' ').next().and_then(|version| version.parse::<u32>().ok());
    match version {
        Some(VERSION) => Ok(held),
        Some(newer) if newer > VERSION => Err(StoreError::Unusable(format!(
            "the store in Redis has layout {newer}, this build knows up to {VERSION}: use a newer jeton"
        ))
        .into()),
        _ => Err(StoreError::Corrupt("the epoch of the store cannot be read".to_owned()).into()),
    }
}

/// A replica may be behind, and takes no writes.
pub async fn require_master(link: &mut Link) -> Result<(), Failure> {
    let role: Vec<Value> = cmd("ROLE").query_async(link).await?;
    let is_master = matches!(role.first(), Some(Value::BulkString(role)) if role == b"master");
    let error = || StoreError::Unreachable("this server is a replica, not the master".to_owned());
    if is_master { Ok(()) } else { Err(Failure { error: error(), next: Next::Reconnect }) }
}

/// Looks everything over, page by page, so that nobody else waits.
pub async fn report(redis: &Connections) -> Result<StoreReport, StoreError> {
    let mut report = redis.survey(|mut session| async move { counts(&mut session).await }).await?;
    let mut after = String::new();
    loop {
        let start = after.clone();
        let (last, problems) = redis
            .survey(move |mut session| {
                let start = start.clone();
                async move { page(&mut session, &start).await }
            })
            .await?;
        report.problems.extend(problems);
        report.problems.truncate(PROBLEMS);
        let Some(last) = last else { return Ok(report) };
        after = last;
    }
}

async fn counts(session: &mut Session) -> Result<StoreReport, Failure> {
    let mut pipeline = pipe();
    pipeline.zcard(session.keys.clients()).zcard(session.keys.revoked()).get(session.keys.keys());
    let (clients, revocations, keys): (u64, u64, Option<Vec<u8>>) = session.read(pipeline).await?;
    let mut problems = Vec::new();
    let keys = keys.map(|keys| parse_keys(&session.seal, &keys)).transpose().unwrap_or_else(|error| {
        problems.push(error.to_string());
        None
    });
    let promise = health::promise(&mut session.link, session.replicas.0).await?;
    Ok(StoreReport {
        backend: "redis",
        version: promise.version,
        durability: promise.durability,
        warnings: promise.warnings,
        schema: VERSION,
        clients,
        keys: keys.map_or(0, |keys| keys.keys.len() as u64),
        revocations,
        tokens: tokens::count(session).await?,
        assertions: assertions::count(session).await?,
        problems,
    })
}

/// The id after which the next page begins, if there is one, and what is wrong in this one.
async fn page(session: &mut Session, after: &str) -> Result<(Option<String>, Vec<String>), Failure> {
    let mut range = cmd("ZRANGEBYLEX");
    range.arg(session.keys.clients()).arg(format!("({after}")).arg("+").arg("LIMIT").arg(0).arg(PAGE);
    let ids: Vec<String> = range.query_async(&mut session.link).await?;
    let problems = if all_well(session, &ids).await? { Vec::new() } else { problems(session, &ids).await? };
    let is_full = ids.len() == PAGE;
    Ok((ids.into_iter().next_back().filter(|_| is_full), problems))
}

/// Whether all these clients can be read, by one round trip: every server that starts asks for all there are.
async fn all_well(session: &mut Session, ids: &[String]) -> Result<bool, Failure> {
    let mut values = pipe();
    for id in ids {
        values.get(session.keys.client(id));
    }
    let values: Vec<Option<Vec<u8>>> = match session.read(values).await {
        Err(Failure { error: StoreError::Corrupt(_), .. }) => return Ok(false),
        values => values?,
    };
    let is_well = |(id, value): (&String, &Option<Vec<u8>>)| {
        value.as_ref().is_some_and(|value| parse_client(&session.seal, id, value).is_ok())
    };
    Ok(ids.iter().zip(&values).all(is_well))
}

/// What is wrong with which. One at a time: a key of another type must not hide what is wrong with the others.
async fn problems(session: &mut Session, ids: &[String]) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    for id in ids {
        match session.get(session.keys.client(id)).await {
            Ok(Some(value)) => {
                problems.extend(parse_client(&session.seal, id, &value).err().map(|error| error.to_string()));
            }
            // One that is removed leaves the list in the same step.
            Ok(None) => problems.extend(is_listed(session, id).await?.then(|| missing(&session.keys, id))),
            Err(Failure { error: error @ StoreError::Corrupt(_), .. }) => {
                problems.push(format!("client {id}: {error}"));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(problems)
}

async fn is_listed(session: &mut Session, id: &str) -> Result<bool, Failure> {
    let score: Option<f64> = cmd("ZSCORE").arg(session.keys.clients()).arg(id).query_async(&mut session.link).await?;
    Ok(score.is_some())
}

fn missing(keys: &Keys, id: &str) -> String {
    let list = keys.clients();
    let list = String::from_utf8_lossy(&list);
    format!(
        "client {id} is listed but gone, evicted or removed by hand: restore it, or give it up by 'ZREM {list} {id}'"
    )
}
