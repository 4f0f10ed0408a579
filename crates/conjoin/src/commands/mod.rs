//! One file a command.

pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completion;
pub(crate) mod data;
pub(crate) mod diagnose;
pub(crate) mod eval;
pub(crate) mod list;
pub(crate) mod predict;
pub(crate) mod profile;
pub(crate) mod train;
