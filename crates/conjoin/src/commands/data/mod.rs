//! `conjoin data`: makes data sets and vocabularies.

mod documents;
mod drive;
mod vocabulary;

use crate::cli::data::DataCommand;
use crate::error::CliError;
use conjoin_data::DataError;

pub(crate) fn run(command: &DataCommand) -> Result<(), CliError> {
    match command {
        DataCommand::Vocabulary(arguments) => vocabulary::run(arguments),
        DataCommand::LibreofficeHelp(arguments) => documents::libreoffice_help(arguments),
        DataCommand::DebianHandbook(arguments) => documents::debian_handbook(arguments),
        DataCommand::Drive(arguments) => drive::run(arguments),
    }
}

/// What the data crate calls options are arguments here.
fn told(error: &DataError) -> CliError {
    match error {
        DataError::Config {
            key,
            found,
            expected,
        } => {
            let option = key.replace('_', "-");
            CliError::input(format!("--{option}: found {found}, expected {expected}"))
        }
        other => CliError::input(other.to_string()),
    }
}
