//! `conjoin completion`: scripts from the same definition that parses arguments.

use crate::cli::Cli;
use crate::error::CliError;
use crate::output;
use clap::CommandFactory;

pub(crate) fn run(shell: clap_complete::Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "conjoin", &mut script);
    output::write(&script)
}
