//! `conjoin data`: makes data sets and vocabularies.

mod documents;
mod drive;
mod on_policy;
mod vocabulary;

use crate::cli::data::DataCommand;
use crate::error::CliError;
use conjoin_data::DataError;
use conjoin_graph::NodeExtension;

pub(crate) fn run(extensions: &[NodeExtension], command: &DataCommand) -> Result<(), CliError> {
    match command {
        DataCommand::Vocabulary(arguments) => vocabulary::run(arguments),
        DataCommand::LibreofficeHelp(arguments) => documents::libreoffice_help(arguments),
        DataCommand::DebianHandbook(arguments) => documents::debian_handbook(arguments),
        DataCommand::Drive(arguments) => match &arguments.driver {
            None => drive::run(arguments),
            Some(run) => on_policy::run(extensions, arguments, run),
        },
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
