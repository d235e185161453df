//! `jeton config check | show`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Table;
use super::{CliError, Global};
use crate::config::{Config, SETTINGS};

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is sound
    Check,
    /// Print every setting, its value and where the value comes from
    Show,
}

pub fn run(global: &Global, args: &ConfigArgs) -> Result<(), CliError> {
    let raw = global.raw_config()?;
    Config::from_raw(&raw)?;
    if matches!(args.command, ConfigCommand::Check) {
        anstream::println!("the configuration is sound");
        return Ok(());
    }
    let mut table = Table::new(global.output, &["key", "value", "origin", "when to change it"]);
    for setting in &SETTINGS {
        let (value, origin) = (raw.text(setting.key).unwrap_or_default(), raw.origin(setting.key).to_string());
        let columns = vec![setting.key.to_owned(), value.to_owned(), origin.clone(), setting.why.to_owned()];
        table.row(columns, &json!({"key": setting.key, "value": value, "origin": origin}))?;
    }
    Ok(table.finish()?)
}
