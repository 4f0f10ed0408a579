//! Training: stages, losses, schedules, stopping, resuming, what is written. One program, as each takes seconds to
//! build.

mod common;
mod driving;
mod failures;
mod losses;
mod precision;
mod resume;
mod schedules;
mod statistics;
mod stopping;
mod tables;
mod tensorboard;
mod training;
