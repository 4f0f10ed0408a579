//! Training: one loop for every system.
//!
//! A [`Plan`] is a checked recipe. The loop runs its stages, emits [`Event`]s and writes
//! checkpoints; it knows objectives, ports and nodes, never tasks.

pub mod event;
pub mod objective;
pub mod optimiser;
pub mod plan;
pub mod schedule;
pub mod stage;

pub use event::{Event, Listener};
pub use objective::{LossConfig, ObjectiveConfig};
pub use optimiser::OptimiserConfig;
pub use plan::{DataPlan, ObjectivePlan, Plan, StagePlan};
pub use schedule::ScheduleConfig;
pub use stage::StageConfig;
