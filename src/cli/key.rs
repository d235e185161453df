//! `jeton key list | rotate | import | export | remove`.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::output::{Table, note, say};
use super::{CliError, Global};
use crate::clock::{Clock, UnixTime};
use crate::config::duration;
use crate::keys::set::export;
use crate::keys::{KeyRecord, KeyState, import};
use crate::oauth::Algorithm;
use crate::store::OpenMode;

#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Show every signing key and its state
    List,
    /// Publish new signing keys now; they sign once every verifier had time to fetch them
    ///
    /// Without --alg every algorithm that is in use gets a new key, but for those whose rotation is under way.
    /// How long the new key waits, and how long the old one stays published after that, is as the server that was started
    /// last has it: `keys.jwks_max_age`, `keys.clock_skew`, `token.max_lifetime`.
    Rotate {
        /// Sign with it at once: verifiers that hold an older key set refuse its tokens until they fetch it again
        #[arg(long)]
        now: bool,
        /// Only the key of this algorithm; its first one, when there is none
        #[arg(long, value_name = "ALGORITHM")]
        alg: Option<Algorithm>,
    },
    /// Publish a private key that was made elsewhere as the next one of its algorithm; it keeps its key id
    Import {
        /// PKCS#8 in PEM, as 'openssl genpkey' writes it, or a private JWK
        file: PathBuf,
        /// What it signs by
        #[arg(long, value_name = "ALGORITHM")]
        alg: Algorithm,
    },
    /// Print the public keys as a JWKS document
    Export,
    /// Take a key that is lost out of the JWKS at once; one that signs has to be replaced first
    Remove {
        /// Its key id, from 'jeton key list'
        // A thumbprint may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

pub async fn run(global: &Global, args: KeyArgs) -> Result<(), CliError> {
    let now = Clock::System.now();
    let keys = match args.command {
        KeyCommand::List => global.open_store()?.find_keys().await?.map(|records| records.keys).unwrap_or_default(),
        KeyCommand::Rotate { now, alg } => {
            let (admin, config) = global.admin(OpenMode::MustExist).await?;
            let lead = admin.lead(config.lead()).await?;
            let lead = if now { lead.at_once() } else { lead };
            let keys = match alg {
                Some(alg) => admin.rotate_ring(alg, lead).await?,
                None => admin.rotate_keys(lead).await?,
            };
            if now {
                let age = duration::encode(config.keys.jwks_max_age);
                note(&format!(
                    "Verifiers that hold the old key set refuse new tokens until they fetch it again: up to {age}."
                ));
            }
            keys
        }
        KeyCommand::Import { file, alg } => {
            let wrong = |error: &dyn fmt::Display| CliError::Failed(format!("{}: {error}", file.display()));
            let text = Zeroizing::new(std::fs::read_to_string(&file).map_err(|error| wrong(&error))?);
            let secret = import::read(alg, &text).map_err(|error| wrong(&error))?;
            let (admin, config) = global.admin(OpenMode::MustExist).await?;
            let lead = admin.lead(config.lead()).await?;
            admin.import_key(alg, &secret, lead).await?
        }
        KeyCommand::Export => {
            let records = global.open_store()?.find_keys().await?.map(|records| records.keys).unwrap_or_default();
            let document = export(&records, now).map_err(|error| CliError::Failed(error.to_string()))?;
            return Ok(say(&String::from_utf8_lossy(&document))?);
        }
        KeyCommand::Remove { kid } => {
            let (admin, config) = global.admin(OpenMode::MustExist).await?;
            let keys = admin.remove_key(&kid).await?;
            let age = duration::encode(config.keys.jwks_max_age);
            note(&format!(
                "Verifiers that hold the old key set trust this key until they fetch it again: up to {age}."
            ));
            keys
        }
    };
    print(global, &keys, now)
}

fn print(global: &Global, keys: &[KeyRecord], now: UnixTime) -> Result<(), CliError> {
    let head = &["kid", "alg", "state", "published", "active from", "retired", "removed"];
    let mut table = Table::new(global.output, head);
    let instant = |instant: Option<UnixTime>| instant.map_or_else(|| "-".to_owned(), |instant| instant.to_string());
    for key in keys {
        let state = KeyState::of(key, now);
        let columns = vec![
            key.kid.to_string(),
            key.alg.to_string(),
            state.to_string(),
            key.published_at.to_string(),
            key.activated_at.to_string(),
            instant(key.retired_at),
            instant(key.removed_at),
        ];
        let value = json!({
            "kid": key.kid, "alg": key.alg, "state": state, "published_at": key.published_at,
            "activated_at": key.activated_at, "retired_at": key.retired_at, "removed_at": key.removed_at,
        });
        table.row(columns, &value)?;
    }
    Ok(table.finish()?)
}
