//! `jeton store check | backup`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
}

pub async fn run(global: &Global, args: StoreArgs) -> Result<(), CliError> {
    let store = global.open_store()?;
    if let StoreCommand::Backup { file } = args.command {
        // A target that cannot be written is no mistake of the configuration.
        store.backup(&file).await.map_err(|error| CliError::Failed(error.to_string()))?;
        let lines = [("backup", file.display().to_string())];
        return Ok(record(global.output, &lines, &serde_json::json!({"backup": file}))?);
    }
    let report = store.check().await?;
    let mut lines = vec![
        ("backend", report.backend.to_owned()),
        ("version", report.version.clone()),
        ("schema", report.schema.to_string()),
        ("clients", report.clients.to_string()),
        ("keys", report.keys.to_string()),
        ("revocations", report.revocations.to_string()),
        ("tokens", report.tokens.to_string()),
    ];
    lines.extend(report.problems.iter().map(|problem| ("problem", problem.clone())));
    record(global.output, &lines, &report)?;
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed("the store is damaged: restore it from a backup".to_owned()))
}
