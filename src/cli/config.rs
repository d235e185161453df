//! `jeton config check | show`.

use clap::{Args, Subcommand};
use serde_json::json as value;

use super::output::{Output, Table, json, say};
use super::{CliError, Global, log, serve};
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
    let config = Config::from_raw(&raw)?;
    if matches!(args.command, ConfigCommand::Check) {
        // What only the server looks at is part of the answer: whoever checks is about to start it.
        log::filter(&config.log)?;
        serve::issuer(&config, config.listen)?;
        let told = match global.output {
            Output::Json => json(&value!({"sound": true})),
            _ => say("the configuration is sound"),
        };
        return Ok(told?);
    }
    let mut table = Table::new(global.output, &["key", "value", "origin", "when to change it"]);
    for setting in &SETTINGS {
        let (shown, origin) = (raw.shown(setting.key), raw.origin(setting.key).to_string());
        let text = shown.as_deref().unwrap_or_default().to_owned();
        let columns = vec![setting.key.to_owned(), text, origin.clone(), setting.why.to_owned()];
        table.row(columns, &value!({"key": setting.key, "value": shown, "origin": origin, "why": setting.why}))?;
    }
    Ok(table.finish()?)
}
