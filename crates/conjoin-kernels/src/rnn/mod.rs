//! Recurrent layers over whole sequences of different lengths.
//!
//! Shapes: `B` rows of up to `T` steps, padded on the right; `I` inputs, `H` hidden units.
//!
//! Inside, the valid steps of all rows lie behind one another, in the order in which they are
//! processed, without padding (`steps`). So padding is never read, and the products over all steps
//! do no work on it. Rows are independent of one another: tasks take groups of rows through all their
//! steps without waiting for each other, and the grouping does not change a bit of the result.

pub mod attentive;
mod gradient;
mod gru;
mod gru_cell;
mod gru_task;
mod lanes;
mod lstm;
mod lstm_cell;
mod lstm_task;
mod panels;
pub mod reference;
mod sizes;
mod steps;

pub use gru::{gru, gru_step};
pub use lstm::{lstm, lstm_step};
