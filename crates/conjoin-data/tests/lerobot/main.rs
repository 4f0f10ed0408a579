//! Recordings as data sets.

mod columns;
mod moments;
mod oversample;
mod support;
