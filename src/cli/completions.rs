//! `jeton completions SHELL`.

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, CliError};

#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "jeton", &mut script);
    Ok(io::Write::write_all(&mut io::stdout().lock(), &script)?)
}
