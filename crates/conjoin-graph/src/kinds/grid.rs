//! What kinds of node on grids over the ground share: options, their checks, and ports.

use crate::node::NodeError;
use crate::port::{InputPort, Want, WantFrame};
use conjoin_data::Meaning;
use conjoin_nn::Grid;

pub fn default_cells() -> [usize; 2] {
    [32, 32]
}

pub fn default_extent() -> [f64; 4] {
    [-8.0, 40.0, -24.0, 24.0]
}

/// Refuses an extent that covers no ground.
pub fn check_extent(extent: [f64; 4]) -> Result<(), NodeError> {
    let [x0, x1, y0, y1] = extent;
    if extent.iter().all(|x| x.is_finite()) && x0 < x1 && y0 < y1 {
        return Ok(());
    }
    Err(NodeError::Options(format!(
        "extent: expected x from, x to, y from, y to in metres, each from below its to, found {extent:?}"
    )))
}

/// Refuses a grid without cells or ground.
pub fn check_grid(grid: Grid) -> Result<(), NodeError> {
    if grid.cells.contains(&0) {
        return Err(NodeError::Options(format!(
            "cells: expected at least 1 along x and y, found {:?}",
            grid.cells
        )));
    }
    check_extent(grid.extent)
}

/// An input `[B, X, Y, last]` on a grid; all such inputs of a node lie on the same one.
pub fn map_port(
    name: &'static str,
    about: &'static str,
    meanings: &[Meaning],
    last: Want,
) -> InputPort {
    let dims = [Want::Any("B"), Want::Known("X"), Want::Known("Y"), last];
    InputPort::new(name, about, meanings, &dims).in_frame(WantFrame::Same("grid"))
}
