//! Training: one loop for every system.
//!
//! A [`Plan`] is a checked recipe. The loop runs its stages, emits [`Event`]s and writes
//! checkpoints; it knows objectives, ports and nodes, never tasks.

pub mod checkpoint;
pub mod data;
pub mod diagnose;
mod error;
mod evaluate;
pub mod event;
pub mod gate_table;
pub mod gradient_table;
mod inputs;
mod interfaces;
pub mod listeners;
pub mod losses;
pub mod objective;
pub mod optimiser;
mod parameters;
mod pass;
pub mod plan;
pub mod run;
pub mod schedule;
pub mod scorer;
mod seeds;
pub mod stage;
pub mod trainer;

pub use data::DataSets;
pub use error::TrainError;
pub use event::{Event, Listener};
pub use objective::{LossConfig, ObjectiveConfig};
pub use optimiser::OptimiserConfig;
pub use plan::{DataPlan, ObjectivePlan, Plan, StagePlan};
pub use run::RunDirectory;
pub use schedule::ScheduleConfig;
pub use scorer::Scorer;
pub use seeds::training_data as training_data_seed;
pub use stage::StageConfig;
pub use trainer::{Copies, Outcome, Setup, Trainer};
