//! The modules against PyTorch, transformers and qpth, and how they behave. One program, as each takes seconds to build.

mod attentive;
mod behaviour;
mod birds_eye;
mod driving;
mod golden;
mod harness;
mod planning_modes;
mod qp_planner;
mod transformer;
mod vision;
