//! Arguments of `diagnose`.

use super::RunArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// The data set of the recipe to score [default: the task's]
    #[arg(long)]
    pub data: Option<String>,
    /// Score at most so many batches, and measure modules on as many
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..))]
    pub batches: u64,
    /// Batches that each loss runs backward on
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub gradient_batches: u64,
    /// Compute only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Leave these parts out
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub skip: Vec<Part>,
    /// Replace and probe only these interfaces: inputs of nodes as node.port
    #[arg(long, value_name = "NODE.PORT", value_delimiter = ',')]
    pub interface: Vec<String>,
    /// Where the page is written [default: diagnose.html in the run's directory]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A part of the diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The truth in place of each interface
    Oracle,
    /// Zeros, another sample's value and noise in place of each interface
    Probe,
    /// Each loss's gradient at each module
    Gradients,
    /// Each module's own loss at the end of its stage and now
    Gates,
}

impl DiagnoseArgs {
    /// The parts that are wanted, in the order of the page.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let wanted = |part: &Part| self.only.is_empty() || self.only.contains(part);
        let parts = Part::value_variants().iter().copied();
        parts.filter(move |part| wanted(part) && !self.skip.contains(part))
    }

    /// The command that makes the same diagnosis.
    pub fn command(&self) -> String {
        let run = &self.run;
        let mut words = vec![format!("conjoin diagnose {}", run.run.display())];
        words.push(format!("--checkpoint {}", run.checkpoint));
        words.extend(run.set.iter().map(|set| format!("--set '{set}'")));
        words.extend(self.data.iter().map(|data| format!("--data {data}")));
        words.push(format!("--batches {}", self.batches));
        words.push(format!("--gradient-batches {}", self.gradient_batches));
        let names = |parts: &[Part]| {
            let values = parts.iter().filter_map(ValueEnum::to_possible_value);
            let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
            names.join(",")
        };
        if !self.only.is_empty() {
            words.push(format!("--only {}", names(&self.only)));
        }
        if !self.skip.is_empty() {
            words.push(format!("--skip {}", names(&self.skip)));
        }
        if !self.interface.is_empty() {
            words.push(format!("--interface {}", self.interface.join(",")));
        }
        words.join(" ")
    }
}
