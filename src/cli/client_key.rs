//! `jeton client key …`: the public keys by which a client signs its assertions.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::output::Table;
use super::{CliError, Global};
use crate::admin;
use crate::clock::{Clock, UnixTime};
use crate::config::duration;
use crate::jwt::client_keys::{self, MAX_JWKS_BYTES};
use crate::oauth::client_key::ClientKey;
use crate::oauth::{Client, ClientId};
use crate::store::OpenMode;

#[derive(Debug, Subcommand)]
pub enum ClientKeyCommand {
    /// Let a client authenticate by one more public key; its others, and its secrets, stay valid
    Add {
        /// The client id
        id: ClientId,
        /// A file with a JWKS, or one JWK: Ed25519, P-256, or RSA of 2048 bits or more that says alg RS256 or PS256
        file: PathBuf,
        /// When it expires, such as 90d; never when not given
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        expires: Option<Duration>,
    },
    /// List the public keys of a client
    List {
        /// The client id
        id: ClientId,
    },
    /// Take a public key away: what it signed is refused from now on
    Remove {
        /// The client id
        id: ClientId,
        /// The key's own id
        // A thumbprint may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

pub async fn run(global: &Global, command: ClientKeyCommand) -> Result<(), CliError> {
    let client = match command {
        ClientKeyCommand::Add { id, file, expires } => {
            let mut keys = read(&file)?;
            let expires_at = expires.map(|lifetime| Clock::System.now().plus(lifetime));
            for key in &mut keys {
                key.expires_at = expires_at;
            }
            let (admin, _) = global.admin(OpenMode::MustExist).await?;
            admin.add_keys(&id, keys).await?
        }
        ClientKeyCommand::List { id } => admin::find_client(&*global.open_store()?, &id).await?,
        ClientKeyCommand::Remove { id, kid } => {
            let (admin, _) = global.admin(OpenMode::MustExist).await?;
            admin.remove_client_key(&id, &kid).await?
        }
    };
    list(global, &client, Clock::System.now())
}

/// The keys of a file. It is wiped, since it may hold by mistake what it should not.
pub fn read(path: &Path) -> Result<Vec<ClientKey>, CliError> {
    let wrong = |error: &dyn std::fmt::Display| CliError::Failed(format!("{}: {error}", path.display()));
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_JWKS_BYTES + 1));
    // One byte more than may be read says that it is too long.
    let most = u64::try_from(MAX_JWKS_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut text)).map_err(|error| wrong(&error))?;
    client_keys::read(&text, Clock::System.now()).map_err(|error| wrong(&error))
}

fn list(global: &Global, client: &Client, now: UnixTime) -> Result<(), CliError> {
    let mut table = Table::new(global.output, &["kid", "alg", "made", "expires", "state"]);
    for key in &client.keys {
        let state = if key.is_live(now) { "live" } else { "expired" };
        let columns = vec![
            key.kid.to_string(),
            key.alg.to_string(),
            key.created_at.to_string(),
            key.expires_at.map_or_else(|| "never".to_owned(), |end| end.to_string()),
            state.to_owned(),
        ];
        table.row(columns, &public(key))?;
    }
    Ok(table.finish()?)
}

/// A key as commands show it: all of it.
pub fn public(key: &ClientKey) -> Value {
    json!({
        "kid": key.kid, "alg": key.alg, "jwk": key.jwk, "created_at": key.created_at, "expires_at": key.expires_at,
    })
}
