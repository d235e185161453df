//! `jeton store check | backup | copy`. Leaves copying to `copy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::copy::{self, CopyArgs};
use super::output::record;
use super::{CliError, Global};

#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Look the whole store over
    Check,
    /// Write a consistent copy, also while servers run; keep the master key with it, but apart
    Backup {
        /// A file that does not exist yet
        file: PathBuf,
    },
    /// Copy all that a store holds to another one, then compare both
    ///
    /// A copy that was broken off is completed by the same command. The target has to be empty. Servers may go on: with
    /// --follow what changes is carried over until Ctrl-C, and the command without it ends the copy; docs/moving.md has
    /// the steps that lose no request. The master key is not copied: both stores need the same.
    Copy(CopyArgs),
}

pub async fn run(global: &Global, args: StoreArgs) -> Result<(), CliError> {
    match args.command {
        StoreCommand::Check => check(global).await,
        StoreCommand::Backup { file } => {
            // A target that cannot be written is no mistake of the configuration.
            global.open_store()?.backup(&file).await.map_err(|error| CliError::Failed(error.to_string()))?;
            let lines = [("backup", file.display().to_string())];
            Ok(record(global.output, &lines, &serde_json::json!({"backup": file}))?)
        }
        StoreCommand::Copy(args) => copy::run(global, args).await,
    }
}

async fn check(global: &Global) -> Result<(), CliError> {
    let report = global.open_store()?.check().await?;
    let mut lines = vec![
        ("backend", report.backend.to_owned()),
        ("version", report.version.clone()),
        ("schema", report.schema.to_string()),
        ("clients", report.clients.to_string()),
        ("keys", report.keys.to_string()),
        ("revocations", report.revocations.to_string()),
        ("tokens", report.tokens.to_string()),
        ("assertions", report.assertions.to_string()),
        ("durability", report.durability.clone()),
    ];
    lines.extend(report.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines.extend(report.problems.iter().map(|problem| ("problem", problem.clone())));
    record(global.output, &lines, &report)?;
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed("the store is damaged: restore it from a backup".to_owned()))
}
