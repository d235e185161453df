//! `jeton key list | rotate`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Table;
use super::{CliError, Global};
use crate::clock::{Clock, UnixTime};
use crate::keys::{KeyRecord, KeyState};
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
    /// Publish a new signing key now; it signs once every verifier had time to fetch it
    ///
    /// Run it with the configuration of the servers: `keys.jwks_max_age` and `keys.clock_skew` say how long the new key
    /// waits, `token.max_lifetime` how long the old one stays published after that.
    Rotate,
}

pub async fn run(global: &Global, args: KeyArgs) -> Result<(), CliError> {
    let now = Clock::System.now();
    let keys = match args.command {
        KeyCommand::List => global.open_store()?.find_keys().await?.map(|records| records.keys).unwrap_or_default(),
        KeyCommand::Rotate => {
            let (admin, config) = global.admin(OpenMode::MustExist).await?;
            admin.rotate_keys(config.lead()).await?
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
