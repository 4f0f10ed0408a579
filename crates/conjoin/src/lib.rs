//! Train the parts apart, join them, train the whole, keep every interface in sight.
//!
//! The binary is [`Toolkit::run`] over the built-in kinds. A crate with node kinds of its own makes
//! its own binary:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     conjoin::Toolkit::new()
//!         // .with_node(NodeExtension::new::<GateConfig>("gate", "Multiplies by a trained gate."))
//!         .run(std::env::args_os())
//! }
//! ```

mod cli;
mod commands;
mod device;
mod diagnose;
mod drawing;
mod error;
mod lines;
mod outcomes;
mod output;
mod profile;
mod progress;
mod report;
mod run_log;
mod system;

pub use conjoin_data as data;
pub use conjoin_graph as graph;
pub use conjoin_insight as insight;
pub use conjoin_recipe as recipe;
pub use conjoin_tasks as tasks;
pub use conjoin_train as train;
pub use conjoin_world as world;

use clap::Parser;
use cli::{Cli, Command};
use conjoin_graph::NodeExtension;
use error::CliError;
use std::ffi::OsString;
use std::process::ExitCode;

/// The commands, with the built-in kinds and those of outside crates.
#[derive(Debug, Clone, Default)]
pub struct Toolkit {
    nodes: Vec<NodeExtension>,
}

impl Toolkit {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node kind. A built-in kind of the same name wins.
    #[must_use]
    pub fn with_node(mut self, node: NodeExtension) -> Self {
        self.nodes.push(node);
        self
    }

    /// Runs the command line; the first argument is the program's name.
    pub fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        let cli = match Cli::try_parse_from(arguments) {
            Ok(cli) => cli,
            Err(error) => {
                // Help and version are no errors; anything else is the user's input.
                let code = if error.use_stderr() { 2 } else { 0 };
                return match error.print() {
                    Ok(()) => ExitCode::from(code),
                    Err(_) => ExitCode::FAILURE,
                };
            }
        };
        match self.dispatch(cli.command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                error.print();
                error.exit_code()
            }
        }
    }

    fn dispatch(&self, command: Command) -> Result<(), CliError> {
        match command {
            Command::List(arguments) => commands::list::run(&self.nodes, &arguments),
            Command::Check(arguments) => commands::check::run(&self.nodes, &arguments),
            Command::Train(arguments) => commands::train::run(&self.nodes, &arguments),
            Command::Eval(arguments) => commands::eval::run(&self.nodes, &arguments),
            Command::Diagnose(arguments) => commands::diagnose::run(&self.nodes, &arguments),
            Command::Predict(arguments) => commands::predict::run(&self.nodes, &arguments),
            Command::Profile(arguments) => commands::profile::run(&self.nodes, &arguments),
            Command::Compare(arguments) => commands::compare::run(&self.nodes, &arguments),
            Command::Data { command } => commands::data::run(&self.nodes, &command),
            Command::Completion { shell } => commands::completion::run(shell),
        }
    }
}
