//! The signing keys, one value; their private parts are encrypted under the master key before they come here.

use std::sync::Arc;

use super::connection::Connections;
use super::records::{encode_keys, parse_keys};
use super::scripts::PUT_KEYS;
use super::session::{Chance, text};
use crate::store::{KeyRecords, Pending};

pub fn find<'a>(redis: &Connections) -> Pending<'a, Option<KeyRecords>> {
    redis.run(|mut session| async move {
        let value = session.get(session.keys.keys()).await?;
        Ok(value.map(|value| parse_keys(&session.seal, &value)).transpose()?)
    })
}

pub fn put<'a>(redis: &Connections, records: KeyRecords) -> Pending<'a, u64> {
    let (records, chance) = (Arc::new(records), Chance::new());
    redis.write(move |mut session| {
        let records = Arc::clone(&records);
        async move {
            let (key, revision) = (session.keys.keys(), records.revision + 1);
            let held = session.get(key.clone()).await?;
            let value = encode_keys(&session.seal, &records, revision, held.as_deref())?;
            let arguments = [text(&records.revision), value.into_bytes(), text(&revision)];
            session.write(&PUT_KEYS, chance, &[key], &arguments).await?;
            Ok(revision)
        }
    })
}
