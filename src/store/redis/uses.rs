//! The uses of secrets, the notes about the store, and whose turn a chore is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{cmd, pipe};

use super::connection::Connections;
use super::scripts::{PUT_NOTE, PUT_SECRET_USES, PUT_SINCE};
use super::session::{Chance, text};
use crate::clock::UnixDay;
use crate::oauth::ClientId;
use crate::store::{Pending, SecretUse, SecretUses, StoreError};

/// How many uses one script notes, since nobody else is served meanwhile.
const AT_ONCE: usize = 50;
/// How many clients are remembered as the ones that were used last.
const RECENT: usize = 100_000;

pub fn put<'a>(redis: &Connections, uses: Vec<SecretUse>) -> Pending<'a, ()> {
    let uses: Arc<[SecretUse]> = uses.into();
    redis.survey(move |mut session| {
        let uses = Arc::clone(&uses);
        async move {
            for some in uses.chunks(AT_ONCE) {
                let mut keys = vec![session.keys.epoch(), session.keys.recent()];
                let mut arguments = vec![session.epoch.as_bytes().to_vec(), text(&RECENT)];
                for used in some {
                    keys.extend([session.keys.client(used.client.as_str()), session.keys.uses(used.client.as_str())]);
                    arguments.extend([text(&used.client), text(&used.secret), text(&used.day.0)]);
                }
                PUT_SECRET_USES.run::<String>(&mut session.link, &keys, &arguments).await?;
            }
            Ok(())
        }
    })
}

pub fn list<'a>(redis: &Connections, id: &ClientId) -> Pending<'a, SecretUses> {
    let id = id.clone();
    redis.run(move |mut session| {
        let id = id.clone();
        async move {
            let mut pipeline = pipe();
            pipeline.hgetall(session.keys.uses(id.as_str())).get(session.keys.uses_since());
            let (days, since): (HashMap<String, u32>, Option<u32>) = session.read(pipeline).await?;
            let last = days.into_iter();
            let last =
                last.map(|(secret, day)| SecretUse { client: id.clone(), secret: secret.into(), day: UnixDay(day) });
            let damaged = || StoreError::Corrupt("the first day of the uses of secrets is gone".to_owned());
            Ok(SecretUses { since: UnixDay(since.ok_or_else(damaged)?), last: last.collect() })
        }
    })
}

pub fn put_since<'a>(redis: &Connections, day: UnixDay) -> Pending<'a, ()> {
    redis.run(move |mut session| async move {
        let keys = [session.keys.epoch(), session.keys.uses_since()];
        let arguments = [session.epoch.as_bytes().to_vec(), text(&day.0)];
        PUT_SINCE.run::<String>(&mut session.link, &keys, &arguments).await?;
        Ok(())
    })
}

/// The first to ask has the turn, until the period is over.
pub fn take_turn<'a>(redis: &Connections, chore: &str, period: Duration) -> Pending<'a, bool> {
    let chore: Arc<str> = chore.into();
    redis.run(move |mut session| {
        let chore = Arc::clone(&chore);
        async move {
            let mut set = cmd("SET");
            set.arg(session.keys.turn(&chore)).arg("taken").arg("NX").arg("PX").arg(text(&period.as_millis()));
            let taken: Option<String> = set.query_async(&mut session.link).await?;
            Ok(taken.is_some())
        }
    })
}

pub fn find_note<'a>(redis: &Connections, name: &str) -> Pending<'a, Option<String>> {
    let name: Arc<str> = name.into();
    redis.run(move |mut session| {
        let name = Arc::clone(&name);
        async move {
            let mut pipeline = pipe();
            pipeline.add_command(cmd("HGET").arg(session.keys.notes()).arg(&*name).clone());
            Ok(session.read::<(Option<String>,)>(pipeline).await?.0)
        }
    })
}

pub fn put_note<'a>(redis: &Connections, name: &str, held: Option<&str>, said: Option<&str>) -> Pending<'a, ()> {
    let optional = |part: Option<&str>| part.map_or_else(|| b"-".to_vec(), |part| format!("+{part}").into_bytes());
    let (arguments, chance) = ([text(name), optional(held), optional(said)], Chance::new());
    redis.write(move |mut session| {
        let arguments = arguments.clone();
        async move {
            let keys = [session.keys.notes()];
            session.write(&PUT_NOTE, chance, &keys, &arguments).await?;
            Ok(())
        }
    })
}
