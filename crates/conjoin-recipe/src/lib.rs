//! Text to a checked plan.
//!
//! [`check`] reads a recipe, applies `--set` overrides and finds every mistake at once, each with
//! its line and column, before any data is read or memory allocated. All later code takes the
//! [`Plan`](conjoin_train::Plan) that comes out, never the recipe. [`summary`] tells what a plan
//! will build, [`diff`] what changed between two recipes, [`list`] what there is to write.

mod check;
mod deserialize;
mod diagnostic;
pub mod diff;
mod kinds;
pub mod list;
mod overrides;
mod read;
mod read_kind;
mod recipe;
mod schema;
mod sections;
mod suggest;
pub mod summary;
mod syntax;
mod tree;

pub use diagnostic::{Diagnostic, Diagnostics, Report, Severity, Source, Span};
pub use recipe::{Checked, Recipe, check, check_trained};
pub use sections::Arm;
