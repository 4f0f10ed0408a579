//! Seeing a run: the report, its charts, the drawing of the graph, and the statistics by which
//! arms are compared.
//!
//! Nothing here touches a tensor. A run is read from its `metrics.jsonl` ([`RunLog`]); samples,
//! the graph and the outcomes of arms arrive as plain structs.
//!
//! ```text
//! metrics.jsonl ──> RunLog ───┐
//! samples, recipe ────────────┼──> Report ──> report.html
//! nodes and wires ─> Drawing ─┤           └─> (Drawing alone: graph.svg)
//! outcomes ──> Comparison ────┘──> text table, JSON
//! outcomes, gradients ─> Diagnosis ─> diagnose.html, text tables, JSON
//! ```

pub mod chart;
mod columns;
pub mod compare;
pub mod diagnosis;
pub mod graph_drawing;
pub mod markup;
mod metric;
mod number;
pub mod report;
pub mod run_log;
pub mod statistics;
mod text;
mod theme;

pub use compare::{ArmResult, Comparison, LengthTable, Outcomes, by_length};
pub use diagnosis::Diagnosis;
pub use graph_drawing::{DrawEdge, DrawNode, DrawState, Drawing, EdgeStyle};
pub use metric::Metric;
pub use report::Report;
pub use run_log::RunLog;
pub use statistics::{Bootstrap, Estimate};
