//! The keys by which clients authenticate: public ones, so nothing here is ever shown only once.

use super::{Admin, AdminError, ClientChange};
use crate::audit::{Event, Kind};
use crate::jwt::client_keys::check_names;
use crate::oauth::client_key::ClientKey;
use crate::oauth::{Client, ClientId};

impl Admin {
    /// Registers a client that authenticates by keys and has no secret.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_client_with_keys(&self, change: ClientChange, keys: Vec<ClientKey>) -> Result<Client, AdminError> {
        self.check_changeable().await?;
        let mut client = self.new_client(&change)?;
        check_names(&keys)?;
        client.keys = keys;
        client.revision = self.store.put_client(client.clone()).await?;
        self.note_client(Kind::ClientAdded, &client.id)?;
        self.note_keys(Kind::ClientKeyAdded, &client.id, &client.keys)?;
        Ok(client)
    }

    /// Gives a client more keys; the others go on.
    ///
    /// # Errors
    /// When there is no such client, a key of the same name is there, there are too many or the store fails.
    pub async fn add_keys(&self, id: &ClientId, keys: Vec<ClientKey>) -> Result<Client, AdminError> {
        let add = |client: &mut Client| {
            client.keys.extend(keys.iter().cloned());
            Ok(check_names(&client.keys)?)
        };
        let (client, ()) = self.update(id, add).await?;
        self.note_keys(Kind::ClientKeyAdded, id, &keys)?;
        Ok(client)
    }

    /// Takes the keys of this name away from a client.
    ///
    /// # Errors
    /// When there is no such client or key, or the store fails.
    pub async fn remove_client_key(&self, id: &ClientId, kid: &str) -> Result<Client, AdminError> {
        let remove = |client: &mut Client| {
            let (gone, left) = std::mem::take(&mut client.keys).into_iter().partition(|key| &*key.kid == kid);
            client.keys = left;
            Some(gone).filter(|gone: &Vec<ClientKey>| !gone.is_empty()).ok_or(AdminError::UnknownClientKey)
        };
        let (client, gone) = self.update(id, remove).await?;
        self.note_keys(Kind::ClientKeyRemoved, id, &gone)?;
        Ok(client)
    }

    pub(super) fn note_keys(&self, kind: Kind, id: &ClientId, keys: &[ClientKey]) -> Result<(), AdminError> {
        keys.iter().try_for_each(|key| {
            let (client, client_kid) = (Some(id.as_str()), Some(&*key.kid));
            self.note(&Event { client, client_kid, ..Event::new(kind, "ok") })
        })
    }
}
