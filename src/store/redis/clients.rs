//! Clients: one value each, and the list of their ids.

use std::sync::Arc;

use deadpool_redis::redis::{cmd, pipe};

use super::connection::Connections;
use super::error::Failure;
use super::records::{encode_client, parse_client};
use super::scripts::{PUT_CLIENT, REMOVE_CLIENT};
use super::session::{Chance, Session, text};
use crate::oauth::{Client, ClientId};
use crate::store::{Pending, StoreError};

pub fn find<'a>(redis: &Connections, id: &str) -> Pending<'a, Option<Client>> {
    let id: Arc<str> = id.into();
    redis.run(move |mut session| {
        let id = Arc::clone(&id);
        async move {
            let value = session.get(session.keys.client(&id)).await?;
            Ok(value.map(|value| parse_client(&session.seal, &id, &value)).transpose()?)
        }
    })
}

pub fn list<'a>(redis: &Connections, after: Option<&ClientId>, limit: usize) -> Pending<'a, Vec<Client>> {
    let after: Option<Arc<str>> = after.map(|after| after.as_str().into());
    redis.survey(move |mut session| {
        let after = after.clone();
        async move { page(&mut session, after.as_deref(), limit).await }
    })
}

/// One that was removed between the two readings is left out; a page of nothing but such is none.
async fn page(session: &mut Session, after: Option<&str>, limit: usize) -> Result<Vec<Client>, Failure> {
    let mut start = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
    loop {
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(session.keys.clients()).arg(&start).arg("+").arg("LIMIT").arg(0).arg(limit);
        let ids: Vec<String> = range.query_async(&mut session.link).await?;
        let mut values = pipe();
        for id in &ids {
            values.get(session.keys.client(id));
        }
        let values: Vec<Option<Vec<u8>>> = session.read(values).await?;
        let found = ids.iter().zip(values).filter_map(|(id, value)| Some(parse_client(&session.seal, id, &value?)));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        match ids.last() {
            Some(last) if found.is_empty() => start = format!("({last}"),
            _ => return Ok(found),
        }
    }
}

/// The clients at these places of the list of the last uses.
pub fn list_recent<'a>(redis: &Connections, skip: usize, limit: usize) -> Pending<'a, Vec<Client>> {
    redis.survey(move |mut session| async move {
        let Some(last) = (skip + limit).checked_sub(1).filter(|_| limit > 0) else { return Ok(Vec::new()) };
        let mut range = cmd("ZRANGE");
        range.arg(session.keys.recent()).arg(skip).arg(last).arg("REV");
        let ids: Vec<String> = range.query_async(&mut session.link).await?;
        let mut values = pipe();
        for id in &ids {
            values.get(session.keys.client(id));
        }
        let values: Vec<Option<Vec<u8>>> = session.read(values).await?;
        // Of one that cannot be read, whoever asks for it is told.
        let found = ids.iter().zip(values).filter_map(|(id, value)| parse_client(&session.seal, id, &value?).ok());
        Ok(found.collect())
    })
}

/// Writes a client with this revision in place of revision `over`.
pub fn put<'a>(redis: &Connections, client: Client, over: u64, revision: u64) -> Pending<'a, u64> {
    let (client, chance) = (Arc::new(client), Chance::new());
    redis.write(move |mut session| {
        let client = Arc::clone(&client);
        async move {
            let id = client.id.as_str();
            let (key, keys) = (session.keys.client(id), &session.keys);
            let keys = [key.clone(), keys.clients(), keys.uses(id)];
            // Of one that must not be there nothing is kept.
            let held = if over == 0 { None } else { session.get(key).await? };
            let value = encode_client(&session.seal, &client, revision, held.as_deref())?;
            let mut arguments = vec![text(&over), value.into_bytes(), text(id), text(&revision)];
            arguments.extend(client.secrets.iter().map(|secret| text(&secret.id)));
            session.write(&PUT_CLIENT, chance, &keys, &arguments).await?;
            Ok(revision)
        }
    })
}

pub fn remove<'a>(redis: &Connections, id: &ClientId, revision: u64) -> Pending<'a, ()> {
    let (id, chance) = (id.clone(), Chance::new());
    if revision == 0 {
        return Box::pin(std::future::ready(Err(StoreError::Conflict)));
    }
    redis.write(move |mut session| {
        let id = id.clone();
        async move {
            let (id, keys) = (id.as_str(), &session.keys);
            let keys = [keys.client(id), keys.clients(), keys.uses(id), keys.recent()];
            session.write(&REMOVE_CLIENT, chance, &keys, &[text(&revision), text(id)]).await?;
            Ok(())
        }
    })
}
