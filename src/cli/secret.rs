//! `jeton client secret …`: one more, which there are and whether anyone uses them, one less; and whether a text that
//! was found somewhere is one of ours.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::client::print_secret;
use super::output::{Output, Table, note, say};
use super::{CliError, Global};
use crate::admin::{self, SecretState, Verdict};
use crate::clock::Clock;
use crate::config::duration;
use crate::oauth::{ClientId, Secret};
use crate::store::OpenMode;

/// More than any secret has, so that one is never cut to the right length.
const MOST_BYTES: u64 = 4096;

#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Make one more secret and print it, once; the others stay valid
    Add {
        /// The client id
        id: ClientId,
        /// When it expires, such as 30d; never when not given
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        expires: Option<Duration>,
    },
    /// List the secrets of a client by name: when each was last used, and which are safe to remove
    List {
        /// The client id
        id: ClientId,
    },
    /// Take a secret away
    Remove {
        /// The client id
        id: ClientId,
        /// The secret's own id
        secret_id: String,
    },
    /// Tell whether a text has the form of a client secret; asks no store and does not print the text
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The text, or - for standard input, which is also read when nothing is named. An argument can be seen by
    /// everybody on the machine and stays in the shell's history
    #[arg(conflicts_with = "file")]
    text: Option<String>,
    /// A file that holds the text
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub async fn run(global: &Global, command: SecretCommand) -> Result<(), CliError> {
    match command {
        SecretCommand::Add { id, expires } => {
            let (admin, _) = global.admin(OpenMode::MustExist).await?;
            let (client, secret) = admin.add_secret(&id, expires).await?;
            print_secret(global, &client, &secret)
        }
        SecretCommand::List { id } => {
            let store = global.open_store()?;
            let client = admin::find_client(&*store, &id).await?;
            list(global, &admin::list_secrets(&*store, &client, Clock::System.now()).await?)
        }
        SecretCommand::Remove { id, secret_id } => {
            let (admin, _) = global.admin(OpenMode::MustExist).await?;
            let client = admin.remove_secret(&id, &secret_id).await?;
            list(global, &admin.list_secrets(&client).await?)
        }
        SecretCommand::Check(args) => check(global, args),
    }
}

fn list(global: &Global, secrets: &[SecretState]) -> Result<(), CliError> {
    let mut table = Table::new(global.output, &["secret id", "made", "expires", "last used", "state"]);
    for SecretState { secret, last_used, verdict } in secrets {
        let never = || "never".to_owned();
        let state = match verdict {
            Verdict::InUse => "keep",
            Verdict::Expired => "expired: safe to remove",
            Verdict::Unused => "unused for 30 days or more: safe to remove",
        };
        let last_used = last_used.map(|day| day.to_string());
        let value = json!({
            "secret_id": secret.id, "created_at": secret.created_at, "expires_at": secret.expires_at,
            "last_used": last_used, "safe_to_remove": verdict.is_safe_to_remove(),
        });
        let columns = vec![
            secret.id.to_string(),
            secret.created_at.to_string(),
            secret.expires_at.map_or_else(never, |end| end.to_string()),
            last_used.unwrap_or_else(never),
            state.to_owned(),
        ];
        table.row(columns, &value)?;
    }
    Ok(table.finish()?)
}

fn check(global: &Global, args: CheckArgs) -> Result<(), CliError> {
    let text = match (args.text, args.file) {
        (Some(text), _) if text != "-" => {
            note("A secret in an argument is seen by everybody on the machine: give it on standard input.");
            Zeroizing::new(text)
        }
        (_, Some(path)) => {
            let wrong = |error: io::Error| CliError::Failed(format!("{} cannot be read: {error}", path.display()));
            File::open(&path).and_then(read).map_err(wrong)?
        }
        _ => {
            let input = io::stdin().lock();
            if input.is_terminal() {
                note("Reading the text from standard input: end it with Ctrl-D on a line of its own.");
            }
            read(input).map_err(|error| CliError::Failed(format!("standard input cannot be read: {error}")))?
        }
    };
    Secret::check(text.trim()).map_err(|error| CliError::Failed(format!("not a secret of jeton: {error}")))?;
    if global.output == Output::Json {
        return Ok(super::output::json(&json!({"client_secret": true}))?);
    }
    Ok(say("a jeton client secret")?)
}

/// The beginning of a text. What is no UTF-8 is no secret either.
fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES.try_into().unwrap_or_default()));
    from.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}
