//! Many clients at a time, as somebody declares them: what would have to be done, and doing it.
//!
//! Planning writes nothing; `hands` carries a plan out. What is declared wrongly is refused by it, whatever the store holds, so that a caller can find
//! all of that before anything is written. Leaves the form of a declaration to whoever reads it. Invariants: what is not
//! declared stays as it is where the difference could lock somebody out or let somebody in again (secrets, keys, whether
//! the client is enabled) and is the default elsewhere; tokens that were revoked are never good again; a write names the
//! revision that it was planned from.

mod hands;

use std::collections::HashMap;

use super::{AdminError, ClientChange, apply, blank};
use crate::clock::UnixTime;
use crate::jwt::client_keys::check_names;
use crate::oauth::client::MAX_SECRETS;
use crate::oauth::client_key::ClientKey;
use crate::oauth::{Algorithm, Client, ClientId, ClientSecret, Secrets};
use crate::store::Store;

pub use hands::{AT_ONCE, Carried, find_taken};

/// How many clients are read at a time.
const PAGE: usize = 1000;

/// A client as somebody declares it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its id; one is made where there is none.
    pub id: Option<ClientId>,
    /// What it may; what is `None` is the default. Its ring is not looked at.
    pub change: ClientChange,
    /// What its tokens are signed with.
    pub alg: Algorithm,
    /// Whether it may authenticate; as it is, when not said.
    pub enabled: Option<bool>,
    /// Its public keys; as they are, when not said.
    pub keys: Option<Vec<ClientKey>>,
    /// What is known of its secrets, for a client that is not there yet.
    pub secrets: Secrets,
    /// When it was registered, for a client that is not there yet.
    pub created_at: Option<UnixTime>,
    /// Its tokens issued up to this second are revoked.
    pub tokens_revoked_at: Option<UnixTime>,
}

/// One client that is to be written.
#[derive(Debug)]
pub enum Step {
    /// It is not there yet. Without keys and secrets it gets one.
    Create(Client),
    /// It is another one than declared.
    Change {
        /// As the store has it.
        held: Box<Client>,
        /// As declared.
        wanted: Box<Client>,
    },
    /// It is not declared.
    Remove(Client),
}

impl Step {
    /// The client, as it will be, or was.
    #[must_use]
    pub const fn client(&self) -> &Client {
        match self {
            Self::Create(client) | Self::Remove(client) => client,
            Self::Change { wanted, .. } => wanted,
        }
    }
}

/// What would have to be done.
#[derive(Debug)]
pub struct Plan {
    /// What is to be created, then what is to be changed, then what is to be removed.
    pub steps: Vec<Step>,
    /// Clients that are as declared.
    pub unchanged: usize,
    /// Clients that are not declared and stay.
    pub only_in_store: usize,
}

impl Declared {
    /// The client that this means, where the store has `held`.
    ///
    /// # Errors
    /// When it does not fit together, whatever the store has.
    pub fn client(&self, held: Option<&Client>, now: UnixTime) -> Result<Client, AdminError> {
        let id = held.map(|held| &held.id).or(self.id.as_ref()).cloned();
        let mut client = blank(id.unwrap_or_else(|| ClientId::from_random(rand::random())), now);
        apply(&self.change, &mut client)?;
        let (keys, secrets) = (self.keys.clone(), self.secrets.clone());
        check_names(keys.as_deref().unwrap_or_default())?;
        check_secrets(&secrets)?;
        client.alg = self.alg;
        client.enabled = self.enabled.or(held.map(|held| held.enabled)).unwrap_or(true);
        client.tokens_revoked_at = held.and_then(|held| held.tokens_revoked_at).max(self.tokens_revoked_at);
        let Some(held) = held else {
            let created_at = self.created_at.unwrap_or(now);
            return Ok(Client { keys: keys.unwrap_or_default(), secrets, created_at, ..client });
        };
        let keys = keys.map_or_else(|| held.keys.clone(), |keys| merged(&held.keys, keys));
        let (secrets, created_at, revision) = (held.secrets.clone(), held.created_at, held.revision);
        Ok(Client { secrets, keys, created_at, revision, ..client })
    }
}

/// The keys that are wanted: those that are held already in their places and since when they are there, then the others.
fn merged(held: &[ClientKey], mut wanted: Vec<ClientKey>) -> Vec<ClientKey> {
    let mut keys = Vec::new();
    for held in held {
        let is_same = |key: &ClientKey| (&key.kid, key.alg) == (&held.kid, held.alg);
        if let Some(position) = wanted.iter().position(is_same) {
            keys.push(ClientKey { created_at: held.created_at, ..wanted.remove(position) });
        }
    }
    keys.append(&mut wanted);
    keys
}

fn check_secrets(secrets: &[ClientSecret]) -> Result<(), AdminError> {
    if secrets.len() > MAX_SECRETS {
        return Err(AdminError::TooManySecrets);
    }
    let mut ids: Vec<&str> = secrets.iter().map(|secret| secret.id.as_str()).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(AdminError::Refused("two secrets have the same id"));
    }
    Ok(())
}

/// What would have to be done so that the store's clients are the declared ones, each of which has an id. What is not
/// declared is removed only when it is to be pruned.
///
/// # Errors
/// When something does not fit together, or the store fails.
pub async fn plan(store: &dyn Store, declared: &[Declared], prune: bool, now: UnixTime) -> Result<Plan, AdminError> {
    let named = declared.iter().filter_map(|declared| Some((declared.id.as_ref()?, declared)));
    let mut missing: HashMap<&ClientId, &Declared> = named.collect();
    let (mut changes, mut removals, mut only_in_store, mut unchanged) = (Vec::new(), Vec::new(), 0, 0);
    let mut after = None;
    loop {
        let page = store.list_clients(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for held in page {
            match missing.remove(&held.id).map(|declared| declared.client(Some(&held), now)).transpose()? {
                None if prune => removals.push(Step::Remove(held)),
                None => only_in_store += 1,
                Some(wanted) if wanted == held => unchanged += 1,
                Some(wanted) => changes.push(Step::Change { held: Box::new(held), wanted: Box::new(wanted) }),
            }
        }
    }
    let new = declared.iter().filter(|declared| declared.id.as_ref().is_none_or(|id| missing.contains_key(id)));
    let created = new.map(|declared| declared.client(None, now).map(Step::Create));
    let mut steps = created.collect::<Result<Vec<_>, _>>()?;
    steps.append(&mut changes);
    steps.append(&mut removals);
    Ok(Plan { steps, unchanged, only_in_store })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::admin::Admin;
    use crate::keys::{Lead, MasterKey};
    use crate::oauth::Scope;
    use crate::store::memory::MemoryStore;

    const NOW: UnixTime = UnixTime::from_seconds(1_000);

    fn declared(name: &str) -> Declared {
        Declared {
            id: Some(ClientId::from_random([7; 16])),
            change: ClientChange { name: Some(name.to_owned()), ..ClientChange::default() },
            alg: Algorithm::default(),
            enabled: None,
            keys: None,
            secrets: Secrets::new(),
            created_at: None,
            tokens_revoked_at: None,
        }
    }

    fn admin() -> Admin {
        Admin::new(Arc::new(MemoryStore::default()), MasterKey::from_random([1; 32]), NOW)
    }

    #[test]
    fn what_is_not_declared_is_the_default_unless_it_could_lock_out_or_let_in() {
        let mut held = declared("a").client(None, NOW).unwrap();
        held.scope = Scope::parse("read").unwrap();
        (held.enabled, held.tokens_revoked_at, held.revision) = (false, Some(UnixTime::from_seconds(900)), 3);
        let older = Declared { tokens_revoked_at: Some(UnixTime::from_seconds(1)), ..declared("b") };
        let wanted = older.client(Some(&held), UnixTime::from_seconds(2_000)).unwrap();
        assert_eq!((&*wanted.name, wanted.scope.as_str()), ("b", ""));
        assert_eq!((wanted.enabled, wanted.tokens_revoked_at), (false, held.tokens_revoked_at));
        assert_eq!((wanted.created_at, wanted.revision), (held.created_at, 3));
    }

    #[tokio::test]
    async fn a_plan_that_was_carried_out_has_nothing_left_and_one_of_before_changes_nothing() {
        let admin = admin();
        let lead = Lead { before_use: Duration::ZERO, after_use: Duration::ZERO };
        let rings = [admin.begin_ring(Algorithm::default(), lead).await.unwrap()];
        let store = Arc::clone(admin.store());
        let planned = plan(&*store, &[declared("a")], false, NOW).await.unwrap();
        let again = plan(&*store, &[declared("b")], false, NOW).await.unwrap();
        let carried = admin.carry_out(planned.steps, &rings).await;
        assert!(carried.error.is_none() && carried.done[0].1.is_some(), "with a secret");
        let left = plan(&*store, &[declared("a")], false, NOW).await.unwrap();
        assert_eq!((left.steps.len(), left.unchanged, left.only_in_store), (0, 1, 0));
        for (prune, steps, stay) in [(false, 0, 1), (true, 1, 0)] {
            let planned = plan(&*store, &[], prune, NOW).await.unwrap();
            assert_eq!((planned.steps.len(), planned.only_in_store), (steps, stay));
        }
        let late = admin.carry_out(again.steps, &rings).await;
        assert!(late.done.is_empty() && late.error.unwrap().to_string().contains("by somebody else"));
        let changed = plan(&*store, &[declared("c")], false, NOW).await.unwrap();
        assert!(admin.carry_out(changed.steps, &[]).await.error.unwrap().to_string().contains("no keys"));
        assert_eq!(find_taken(&store, &[ClientId::from_random([8; 16])]).await.unwrap(), None);
        assert_eq!(find_taken(&store, &[8, 7].map(|bits| ClientId::from_random([bits; 16]))).await.unwrap(), Some(1));
    }
}
