//! Arguments: one definition gives the parser, the help and the shell completion.

pub mod data;
mod diagnose;

pub use diagnose::{DiagnoseArgs, Part};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::sync::LazyLock;

/// The version, and the terms of the data that the binary carries.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\n\nThis program carries the CMU Pronouncing Dictionary:\n\n{}",
        env!("CARGO_PKG_VERSION"),
        conjoin_data::CMUDICT_LICENCE.trim_end()
    )
});

/// Train the parts apart. Join them. Train the whole. Keep every interface in sight.
#[derive(Debug, Parser)]
#[command(name = "conjoin", version, long_version = LONG_VERSION.as_str(), max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 the input is wrong.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a recipe may use: node kinds, losses, data sources, and their options
    #[command(after_help = "Example:\n  conjoin list nodes recurrent")]
    List(ListArgs),
    /// Find every mistake in a recipe, and show what it would build
    #[command(after_help = "Example:\n  conjoin check recipes/g2p.toml --graph graph.svg")]
    Check(CheckArgs),
    /// Run the stages of a recipe
    #[command(
        after_help = "Examples:\n  conjoin train recipes/g2p.toml\n  conjoin train recipes/g2p.toml --set stages.joint.epochs=20 --out runs/long\n  conjoin train recipes/g2p.toml --out runs/long --resume"
    )]
    Train(TrainArgs),
    /// Score a run on a data set
    #[command(after_help = "Example:\n  conjoin eval runs/g2p --set task.beam=5 --json")]
    Eval(EvalArgs),
    /// Find which part of a run is to blame: oracles, shortcuts, gradients, modules then and now
    #[command(
        after_help = "Examples:\n  conjoin diagnose runs/g2p\n  conjoin diagnose runs/g2p --only probe --interface attention.memory --batches 100"
    )]
    Diagnose(DiagnoseArgs),
    /// Outputs for raw inputs: arguments, or lines of standard input
    #[command(
        after_help = "Examples:\n  conjoin predict runs/g2p conjoin tessellation\n  cut -f1 words.tsv | conjoin predict runs/g2p\n  conjoin predict runs/g2p --set task.beam=5 --n-best 5 --explain pictures conjoin\n  conjoin predict runs/g2p --json --alignments conjoin\n  conjoin predict runs/driving --listen 127.0.0.1:7000\n\nOne line out for one line in: the input, a tab, and the output, where a tab or an end of line within an\noutput is a space. What was cut or replaced is named on standard error; what cannot be read has an empty\noutput, and the exit code is 2.\n\nThe inputs of a driving run are moments of a drive, 0.1 s apart, each a JSON object with the features\nof the recording by name (\"observation.state\", \"observation.route\" and whatever the planner reads), flat\nor nested, in the frame of the vehicle. Besides it may hold\n  \"safety\": {\"detected\": [{\"position\": [x, y], \"velocity\": [vx, vy], \"size\": [length, width],\n             \"heading\": h}, ...]}   what the safety layer's own sensors see [default: \"truth.agents\";\n                                    no command where neither is there]\n  \"reset\": true                     a new drive begins\nEach is answered by {\"plan\": [[x, y, heading, speed], ...], \"fallback\": bool, \"control\":\n{\"acceleration\": a, \"steering\": s}, \"braked\": bool}, or by {\"error\": why}."
    )]
    Predict(PredictArgs),
    /// Train several arms of a recipe at the same budget and compare them, with intervals; or compare
    /// finished runs that were scored on the same items
    #[command(
        after_help = "Examples:\n  conjoin compare recipes/g2p.toml --arms joined,staged,scratch --seeds 3\n  conjoin compare runs/translate-fixed-context runs/translate-rnn --out runs/attention\n  conjoin compare recipes/driving.toml --arms joined,staged --seeds 1 --also unguarded:task.safety=false --baselines"
    )]
    Compare(CompareArgs),
    /// Measure where the time of a stage goes: FLOPs, seconds and memory, module by module
    #[command(
        after_help = "Examples:\n  conjoin profile recipes/g2p.toml\n  conjoin profile recipes/fashion.toml --inference --set data.train.loader.batch.size=1"
    )]
    Profile(ProfileArgs),
    /// Make data sets and vocabularies
    Data {
        #[command(subcommand)]
        command: data::DataCommand,
    },
    /// Write a completion script for a shell
    #[command(
        after_help = "Example:\n  conjoin completion bash > ~/.local/share/bash-completion/completions/conjoin"
    )]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list; everything when absent
    pub topic: Option<Topic>,
    /// Show the options of this kind alone
    pub kind: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Topic {
    Nodes,
    Losses,
    Optimisers,
    Data,
    Transforms,
    Tasks,
    Stages,
    Recipes,
}

/// Arguments of every command that reads a recipe.
#[derive(Debug, Args)]
pub struct RecipeArgs {
    /// The recipe, a TOML file
    pub recipe: PathBuf,
    /// Replace a value of the recipe; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Check the stages of this arm instead of the default one
    #[arg(long)]
    pub arm: Option<String>,
    /// Draw the graph into this SVG file
    #[arg(long, value_name = "FILE")]
    pub graph: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Run directory [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on from the last checkpoint of the run directory
    #[arg(long)]
    pub resume: bool,
    /// Run the stages of this arm instead of the default one
    #[arg(long, conflicts_with = "stage")]
    pub arm: Option<String>,
    /// Run only these stages
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub stage: Vec<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print the final scores as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// Where to compute: cpu, or a device this build was made for (cuda, wgpu), with an index as
    /// in cuda:1
    #[arg(long, default_value = "cpu")]
    pub device: String,
}

/// Which weights of a run are used.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The run directory that `train` wrote
    pub run: PathBuf,
    /// The checkpoint: best, last, or a step
    #[arg(long, default_value = "best")]
    pub checkpoint: String,
    /// Replace a value of the run's recipe, such as task.beam=5
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// The data set of the recipe to score [default: the task's]
    #[arg(long)]
    pub data: Option<String>,
    /// Score at most this many batches
    #[arg(long)]
    pub batches: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PredictArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Words, texts, image files, or moments of a drive as JSON; lines of standard input when absent
    pub inputs: Vec<String>,
    /// Answer lines over TCP instead, a line for a line, until it is interrupted; every connection is a
    /// stream of its own. Whoever reaches the address may ask; port 0 takes a free one, which is named on
    /// standard error
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["inputs", "explain"])]
    pub listen: Option<String>,
    /// Print outputs alone, without the inputs before them: where an input may hold tabs, which separate
    /// columns. An input without an output gives an empty line
    #[arg(long, conflicts_with = "json")]
    pub output_only: bool,
    /// The so many best outputs of each input, in further columns
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub n_best: Option<u16>,
    /// Draw where the system looked into this directory, an SVG file an input
    #[arg(long, value_name = "DIR")]
    pub explain: Option<PathBuf>,
    /// A longer input, in bytes, is refused; its line stays without an output [default: 10000, of a
    /// moment of a drive 4000000]
    #[arg(long, value_name = "BYTES")]
    pub longest: Option<usize>,
    /// Print one JSON object a line, with probabilities
    #[arg(long)]
    pub json: bool,
    /// In the JSON also where the system looked: "source", the symbols of the input, and in each hypothesis
    /// "alignment", a row of weights an output symbol (the end's last, where it was reached), a column a
    /// symbol of the source
    #[arg(long, requires = "json")]
    pub alignments: bool,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A recipe, a TOML file; or run directories, two and more of them, or one with --also or --baselines
    #[arg(required = true, value_name = "RECIPE|RUN")]
    pub inputs: Vec<PathBuf>,
    /// Replace a value of the recipe; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Arms of the recipe, the baseline first [default: all]
    #[arg(long, value_delimiter = ',')]
    pub arms: Vec<String>,
    /// Number of seeds; the first is the recipe's [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: Option<u64>,
    /// Score all weights once more with a value of the recipe replaced, as a row of its own; values of
    /// one name are replaced together
    #[arg(long, value_name = "NAME:KEY=VALUE")]
    pub also: Vec<String>,
    /// Add rows of the task's baselines: for driving the expert, an IDM lane-follower and constant
    /// velocity, without the safety layer
    #[arg(long)]
    pub baselines: bool,
    /// Directory for the runs and the report [default: runs/NAME-compare; for runs no report]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on: runs that are finished are not repeated
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// Take the stages of this arm instead of the default one
    #[arg(long)]
    pub arm: Option<String>,
    /// The stage [default: the arm's last]
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// Run forward passes alone, as in evaluation
    #[arg(long)]
    pub inference: bool,
    /// Steps to measure
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub steps: u64,
    /// Steps before them that do not count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub warm_up: u64,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
