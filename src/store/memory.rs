//! The store for tests and benches: everything in one locked map, gone with the process.
//!
//! It keeps the whole contract but durability.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::assertions::UsedAssertion;
use super::{
    Change, Changes, Cursor, KeyRecords, Pending, Revocation, Revocations, SecretUse, SecretUses, Store, StoreError,
    StoreReport, TokenPosition, TokenRecord,
};
use crate::clock::{UnixDay, UnixTime};
use crate::oauth::{Client, ClientId, ClientSecret, SecretHash, SecretId};

/// Version of the layout, for reports.
const SCHEMA: u32 = 1;

/// An empty store that forgets.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<ClientId, Client>,
    keys: Option<KeyRecords>,
    feed: Vec<Change>,
    revocations: BTreeMap<u64, Revocation>,
    last_revocation: u64,
    secret_uses: BTreeMap<(ClientId, SecretId), UnixDay>,
    tokens: BTreeMap<SecretHash, TokenRecord>,
    assertions: BTreeSet<UsedAssertion>,
    notes: BTreeMap<String, String>,
}

impl MemoryStore {
    /// A panic elsewhere cannot leave the state half written: every write is its last step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(result: Result<T, StoreError>) -> Pending<'a, T> {
    Box::pin(std::future::ready(result))
}

impl State {
    fn put_client(&mut self, mut client: Client) -> Result<u64, StoreError> {
        let over = client.revision;
        client.revision += 1;
        let revision = client.revision;
        self.copy_client(client, over).map(|()| revision)
    }

    fn copy_client(&mut self, client: Client, over: u64) -> Result<(), StoreError> {
        if self.clients.get(&client.id).map_or(0, |held| held.revision) != over {
            return Err(StoreError::Conflict);
        }
        self.feed.push(Change::Client(client.id.clone()));
        self.forget_uses(&client.id, &client.secrets);
        self.clients.insert(client.id.clone(), client);
        Ok(())
    }

    fn remove_client(&mut self, id: &ClientId, revision: u64) -> Result<(), StoreError> {
        if self.clients.get(id).is_none_or(|held| held.revision != revision) {
            return Err(StoreError::Conflict);
        }
        self.clients.remove(id);
        self.forget_uses(id, &[]);
        self.feed.push(Change::Client(id.clone()));
        Ok(())
    }

    fn put_keys(&mut self, mut records: KeyRecords) -> Result<u64, StoreError> {
        if self.keys.as_ref().map_or(0, |held| held.revision) != records.revision {
            return Err(StoreError::Conflict);
        }
        records.revision += 1;
        let revision = records.revision;
        self.keys = Some(records);
        self.feed.push(Change::Keys);
        Ok(revision)
    }

    fn put_revocation(&mut self, revocation: Revocation) {
        if self.revocations.values().all(|held| held.token != revocation.token) {
            self.last_revocation += 1;
            self.revocations.insert(self.last_revocation, revocation);
        }
    }

    fn revocations_since(&self, Cursor(after): Cursor, limit: usize) -> Revocations {
        let later = self.revocations.range(after.saturating_add(1)..).take(limit);
        let entries: Vec<_> = later.clone().map(|(_, held)| *held).collect();
        Revocations { cursor: Cursor(later.last().map_or(after, |(position, _)| *position)), entries }
    }

    fn purge_revocations(&mut self, before: UnixTime, limit: usize) -> usize {
        let expired = self.revocations.iter().filter(|(_, held)| held.expires_at < before).take(limit);
        let expired: Vec<u64> = expired.map(|(position, _)| *position).collect();
        for position in &expired {
            self.revocations.remove(position);
        }
        expired.len()
    }

    fn list_tokens(&self, after: Option<TokenPosition>, limit: usize) -> Vec<TokenRecord> {
        let mut later: Vec<_> = self.tokens.values().filter(|token| Some(token.position()) > after).collect();
        later.sort_unstable_by_key(|token| token.position());
        later.into_iter().take(limit).cloned().collect()
    }

    fn put_note(&mut self, name: &str, held: Option<&str>, text: Option<&str>) -> Result<(), StoreError> {
        if self.notes.get(name).map(String::as_str) != held {
            return Err(StoreError::Conflict);
        }
        match text {
            Some(text) => drop(self.notes.insert(name.to_owned(), text.to_owned())),
            None => drop(self.notes.remove(name)),
        }
        Ok(())
    }

    fn purge_tokens(&mut self, before: UnixTime, limit: usize) -> usize {
        let expired = self.tokens.values().filter(|token| token.expires_at < before).take(limit);
        let expired: Vec<SecretHash> = expired.map(|token| token.digest).collect();
        for digest in &expired {
            self.tokens.remove(digest);
        }
        expired.len()
    }

    fn put_assertion(&mut self, used: UsedAssertion) -> Result<(), StoreError> {
        if self.assertions.iter().any(|held| held.digest == used.digest) {
            return Err(StoreError::Conflict);
        }
        self.assertions.insert(used);
        Ok(())
    }

    fn list_assertions(&self, after: Option<UsedAssertion>, limit: usize) -> Vec<UsedAssertion> {
        self.assertions.iter().filter(|used| Some(**used) > after).take(limit).copied().collect()
    }

    fn purge_assertions(&mut self, before: UnixTime, limit: usize) -> usize {
        let expired: Vec<_> =
            self.assertions.iter().take_while(|used| used.expires_at < before).take(limit).copied().collect();
        for used in &expired {
            self.assertions.remove(used);
        }
        expired.len()
    }

    fn put_secret_uses(&mut self, uses: Vec<SecretUse>) {
        for SecretUse { client, secret, day } in uses {
            let held = self.clients.get(&client).map_or(&[][..], |held| &held.secrets);
            if held.iter().any(|held| held.id == secret) {
                let last = self.secret_uses.entry((client, secret)).or_default();
                *last = day.max(*last);
            }
        }
    }

    fn list_secret_uses(&self, id: &ClientId) -> SecretUses {
        let last = self.secret_uses.iter().filter(|((client, _), _)| client == id);
        let last =
            last.map(|((client, secret), day)| SecretUse { client: client.clone(), secret: secret.clone(), day: *day });
        SecretUses { since: UnixDay::default(), last: last.collect() }
    }

    /// Forgets the uses of all secrets of a client but those of `kept`.
    fn forget_uses(&mut self, id: &ClientId, kept: &[ClientSecret]) {
        self.secret_uses.retain(|(client, secret), _| client != id || kept.iter().any(|kept| kept.id == *secret));
    }

    fn changes_since(&self, cursor: Option<Cursor>) -> Changes {
        let end = self.feed.len();
        let from = cursor.map_or(end, |Cursor(from)| usize::try_from(from).unwrap_or(usize::MAX));
        let entries = self.feed.get(from..);
        Changes { cursor: Cursor(end as u64), gap: entries.is_none(), entries: entries.unwrap_or_default().to_vec() }
    }
}

impl Store for MemoryStore {
    fn backend(&self) -> &'static str {
        "memory"
    }

    fn find_client<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Client>> {
        ready(Ok(self.state().clients.get(id).cloned()))
    }

    fn list_clients<'a>(&'a self, after: Option<&'a ClientId>, limit: usize) -> Pending<'a, Vec<Client>> {
        let state = self.state();
        let later = state.clients.values().filter(|client| after.is_none_or(|after| client.id > *after));
        ready(Ok(later.take(limit).cloned().collect()))
    }

    fn put_client(&self, client: Client) -> Pending<'_, u64> {
        ready(self.state().put_client(client))
    }

    fn copy_client(&self, client: Client, over: u64) -> Pending<'_, ()> {
        ready(self.state().copy_client(client, over))
    }

    fn remove_client<'a>(&'a self, id: &'a ClientId, revision: u64) -> Pending<'a, ()> {
        ready(self.state().remove_client(id, revision))
    }

    fn find_keys(&self) -> Pending<'_, Option<KeyRecords>> {
        ready(Ok(self.state().keys.clone()))
    }

    fn put_keys(&self, records: KeyRecords) -> Pending<'_, u64> {
        ready(self.state().put_keys(records))
    }

    fn changes_since(&self, cursor: Option<Cursor>) -> Pending<'_, Changes> {
        ready(Ok(self.state().changes_since(cursor)))
    }

    fn put_revocation(&self, revocation: Revocation) -> Pending<'_, ()> {
        self.state().put_revocation(revocation);
        ready(Ok(()))
    }

    fn revocations_since(&self, cursor: Cursor, limit: usize) -> Pending<'_, Revocations> {
        ready(Ok(self.state().revocations_since(cursor, limit)))
    }

    fn purge_revocations(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        ready(Ok(self.state().purge_revocations(before, limit)))
    }

    fn put_token(&self, token: TokenRecord) -> Pending<'_, ()> {
        self.state().tokens.entry(token.digest).or_insert(token);
        ready(Ok(()))
    }

    fn find_token(&self, digest: SecretHash) -> Pending<'_, Option<TokenRecord>> {
        ready(Ok(self.state().tokens.get(&digest).cloned()))
    }

    fn list_tokens(&self, after: Option<TokenPosition>, limit: usize) -> Pending<'_, Vec<TokenRecord>> {
        ready(Ok(self.state().list_tokens(after, limit)))
    }

    fn purge_tokens(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        ready(Ok(self.state().purge_tokens(before, limit)))
    }

    fn put_assertion(&self, used: UsedAssertion) -> Pending<'_, ()> {
        ready(self.state().put_assertion(used))
    }

    fn list_assertions(&self, after: Option<UsedAssertion>, limit: usize) -> Pending<'_, Vec<UsedAssertion>> {
        ready(Ok(self.state().list_assertions(after, limit)))
    }

    fn purge_assertions(&self, before: UnixTime, limit: usize) -> Pending<'_, usize> {
        ready(Ok(self.state().purge_assertions(before, limit)))
    }

    fn put_secret_uses(&self, uses: Vec<SecretUse>) -> Pending<'_, ()> {
        self.state().put_secret_uses(uses);
        ready(Ok(()))
    }

    fn list_secret_uses<'a>(&'a self, id: &'a ClientId) -> Pending<'a, SecretUses> {
        ready(Ok(self.state().list_secret_uses(id)))
    }

    /// It knows every use since its beginning.
    fn put_secret_uses_since(&self, _day: UnixDay) -> Pending<'_, ()> {
        ready(Ok(()))
    }

    fn find_note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        ready(Ok(self.state().notes.get(name).cloned()))
    }

    fn put_note<'a>(&'a self, name: &'a str, held: Option<&'a str>, text: Option<&'a str>) -> Pending<'a, ()> {
        ready(self.state().put_note(name, held, text))
    }

    fn check(&self) -> Pending<'_, StoreReport> {
        let state = self.state();
        ready(Ok(StoreReport {
            backend: self.backend(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema: SCHEMA,
            clients: state.clients.len() as u64,
            keys: state.keys.as_ref().map_or(0, |records| records.keys.len()) as u64,
            revocations: state.revocations.len() as u64,
            tokens: state.tokens.len() as u64,
            assertions: state.assertions.len() as u64,
            durability: "nothing survives the process".to_owned(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }))
    }

    fn backup<'a>(&'a self, _path: &'a Path) -> Pending<'a, ()> {
        ready(Err(StoreError::Unusable("a memory store cannot be backed up".to_owned())))
    }
}
