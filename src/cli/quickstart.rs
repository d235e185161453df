//! `jeton quickstart`
use super::CliError;
#[derive(Debug, clap::Args)]
pub struct QuickstartArgs {}
pub async fn run(_: QuickstartArgs) -> Result<(), CliError> {
    Ok(())
}
