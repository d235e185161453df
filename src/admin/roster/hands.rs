//! Does what was planned, many clients at a time.
//!
//! Invariants: what was acknowledged is told even if something else failed, since nobody else knows the secrets that were
//! made; nothing is written of steps of which one cannot be done.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Step;
use crate::admin::{Admin, AdminError, NewSecret, Ring, blank};
use crate::audit::Kind;
use crate::keys::MasterKeyCheck;
use crate::oauth::client_key::ClientKey;
use crate::oauth::{Client, ClientId};
use crate::store::{Store, StoreError};

/// How many clients are written at a time: what a store commits together.
pub const AT_ONCE: usize = 256;

/// What was done, and what was in the way of the rest.
#[derive(Debug, Default)]
pub struct Carried {
    /// Each step that was acknowledged, with the secret that was made for it.
    pub done: Vec<(Step, Option<NewSecret>)>,
    /// Why not all were.
    pub error: Option<AdminError>,
}

/// The first of these ids that a client has already, by its position.
///
/// # Errors
/// When the store fails.
pub async fn find_taken(store: &Arc<dyn Store>, ids: &[ClientId]) -> Result<Option<usize>, AdminError> {
    for (chunk, ids) in ids.chunks(AT_ONCE).enumerate() {
        let works = ids.iter().cloned().map(|id| {
            let store = Arc::clone(store);
            async move { store.find_client(id.as_str()).await }
        });
        for (position, found) in together(works).await.into_iter().enumerate() {
            if found.unwrap_or_else(broken_off)?.is_some() {
                return Ok(Some(chunk * AT_ONCE + position));
            }
        }
    }
    Ok(None)
}

impl Admin {
    /// The store that this works on.
    #[must_use]
    pub const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether digests that were made under the master key of this check value are of use here.
    #[must_use]
    pub fn is_under(&self, check: &MasterKeyCheck) -> bool {
        self.master.check() == *check
    }

    /// Does some steps, [`AT_ONCE`] at the most, together; the clients of all of them have a ring among `rings`. What was
    /// acknowledged is told even if something else failed: it may have made a secret.
    pub async fn carry_out(&self, steps: Vec<Step>, rings: &[Ring]) -> Carried {
        match self.prepare(steps, rings).await {
            Ok(prepared) => self.write(prepared).await,
            Err(error) => Carried { error: Some(error), ..Carried::default() },
        }
    }

    async fn prepare(
        &self,
        mut steps: Vec<Step>,
        rings: &[Ring],
    ) -> Result<Vec<(Step, Option<NewSecret>)>, AdminError> {
        self.check_changeable().await?;
        let has_ring = |step: &Step| {
            let alg = step.client().alg;
            matches!(step, Step::Remove(_)) || rings.iter().any(|ring| ring.algorithm() == alg)
        };
        if !steps.iter().all(has_ring) {
            return Err(AdminError::Refused("there are no keys of an algorithm that a client is to have"));
        }
        let secret = |step: &mut Step| match step {
            Step::Create(client) if client.keys.is_empty() && client.secrets.is_empty() => {
                self.push_secret(client, None).map(Some)
            }
            _ => Ok(None),
        };
        let secrets = steps.iter_mut().map(secret).collect::<Result<Vec<_>, _>>()?;
        Ok(steps.into_iter().zip(secrets).collect())
    }

    async fn write(&self, prepared: Vec<(Step, Option<NewSecret>)>) -> Carried {
        let works = prepared.iter().map(|(step, _)| {
            let (store, client, removes) =
                (Arc::clone(&self.store), step.client().clone(), matches!(step, Step::Remove(_)));
            async move {
                if removes {
                    return store.remove_client(&client.id, client.revision).await;
                }
                store.put_client(client).await.map(drop)
            }
        });
        let written = together(works).await;
        let mut carried = Carried::default();
        for ((step, secret), written) in prepared.into_iter().zip(written) {
            let outcome = match written.unwrap_or_else(broken_off) {
                Err(StoreError::Conflict) => Err(AdminError::Refused(
                    "a client was changed by somebody else meanwhile: look at the differences again",
                )),
                Err(error) => Err(error.into()),
                Ok(()) => {
                    let noted = self.note_step(&step);
                    carried.done.push((step, secret));
                    noted
                }
            };
            carried.error = carried.error.or(outcome.err());
        }
        carried
    }

    fn note_step(&self, step: &Step) -> Result<(), AdminError> {
        let client = step.client();
        let nobody = blank(client.id.clone(), client.created_at);
        let held = match step {
            Step::Remove(_) => return self.note_client(Kind::ClientRemoved, &client.id),
            Step::Create(_) => {
                self.note_client(Kind::ClientAdded, &client.id)?;
                &nobody
            }
            Step::Change { held, .. } => {
                let others = Client {
                    enabled: held.enabled,
                    keys: held.keys.clone(),
                    tokens_revoked_at: held.tokens_revoked_at,
                    ..client.clone()
                };
                if others != **held {
                    self.note_client(Kind::ClientChanged, &client.id)?;
                }
                held
            }
        };
        self.note_difference(held, client)
    }

    /// What has an event of its own.
    fn note_difference(&self, held: &Client, wanted: &Client) -> Result<(), AdminError> {
        let id = &wanted.id;
        if wanted.enabled != held.enabled {
            self.note_client(if wanted.enabled { Kind::ClientEnabled } else { Kind::ClientDisabled }, id)?;
        }
        if wanted.tokens_revoked_at != held.tokens_revoked_at {
            self.note_client(Kind::ClientTokensRevoked, id)?;
        }
        for secret in wanted.secrets.iter().filter(|secret| !held.secrets.contains(secret)) {
            self.note_secret(Kind::SecretAdded, id, secret.id.as_str())?;
        }
        let beyond = |these: &[ClientKey], those: &[ClientKey]| -> Vec<ClientKey> {
            these.iter().filter(|key| !those.contains(key)).cloned().collect()
        };
        self.note_keys(Kind::ClientKeyRemoved, id, &beyond(&held.keys, &wanted.keys))?;
        self.note_keys(Kind::ClientKeyAdded, id, &beyond(&wanted.keys, &held.keys))
    }
}

fn broken_off<T>() -> Result<T, StoreError> {
    Err(StoreError::Io("an operation was broken off".to_owned()))
}

/// Does them together; what each returns, in their order, and nothing of one that ended otherwise.
async fn together<T, F>(works: impl Iterator<Item = F>) -> Vec<Option<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut running = JoinSet::new();
    for (position, work) in works.enumerate() {
        running.spawn(async move { (position, work.await) });
    }
    let mut results: Vec<Option<T>> = (0..running.len()).map(|_| None).collect();
    while let Some(done) = running.join_next().await {
        if let Ok((position, result)) = done
            && let Some(place) = results.get_mut(position)
        {
            *place = Some(result);
        }
    }
    results
}
