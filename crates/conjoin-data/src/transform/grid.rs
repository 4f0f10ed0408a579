//! A grid over the ground around the vehicle, which transforms draw into.
//!
//! Cell (i, j) of `[X, Y]` covers x from `x0 + i · (x1 - x0) / X` on and y from `y0 + j · (y1 - y0) / Y`
//! on; x forward, y left, metres.

use super::column_of;
use crate::contract::grid_frame;
use crate::{Columns, Contract, DataError, Dim, Field, Meaning, Sample};

/// Sizes of a grid that have been checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    /// X and Y.
    pub cells: [usize; 2],
    /// x0, x1, y0, y1.
    pub extent: [f64; 4],
}

impl Grid {
    /// # Errors
    /// No cell, or an extent that covers nothing.
    pub fn new(cells: [usize; 2], extent: [f64; 4]) -> Result<Self, DataError> {
        if cells.contains(&0) {
            let found = format!("{cells:?}");
            return Err(DataError::config("cells", found, "[X, Y], both above 0"));
        }
        let [x0, x1, y0, y1] = extent;
        if !(x0 < x1 && y0 < y1 && extent.iter().all(|v| v.is_finite())) {
            let expected = "[x0, x1, y0, y1] in metres with x0 < x1 and y0 < y1";
            return Err(DataError::config("extent", format!("{extent:?}"), expected));
        }
        Ok(Self { cells, extent })
    }

    /// Metres along x and y.
    pub fn cell(&self) -> [f64; 2] {
        let [x0, x1, y0, y1] = self.extent;
        [
            (x1 - x0) / self.cells[0] as f64,
            (y1 - y0) / self.cells[1] as f64,
        ]
    }

    /// A place in cells from the grid's corner.
    pub fn scaled(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [dx, dy] = self.cell();
        [(x - self.extent[0]) / dx, (y - self.extent[2]) / dy]
    }

    /// The cell of a place in cells from the corner; `None` outside.
    pub fn at(&self, scaled: [f64; 2]) -> Option<[usize; 2]> {
        let inside = |axis: usize| {
            let number = scaled[axis].floor();
            (number >= 0.0 && number < self.cells[axis] as f64).then_some(number as usize)
        };
        Some([inside(0)?, inside(1)?])
    }

    /// Number of a cell, row-major.
    pub fn index(&self, [i, j]: [usize; 2]) -> usize {
        i * self.cells[1] + j
    }

    /// Middle of a cell, m.
    pub fn middle(&self, [i, j]: [usize; 2]) -> [f64; 2] {
        let [dx, dy] = self.cell();
        [
            self.extent[0] + (i as f64 + 0.5) * dx,
            self.extent[2] + (j as f64 + 0.5) * dy,
        ]
    }

    /// `[B, X, Y, K]` in the grid's coordinate frame.
    pub fn contract(&self, numbers: usize) -> Contract {
        let [x, y] = self.cells;
        let dims = ["B".into(), x.into(), y.into(), numbers.into()];
        let mut contract = Contract::new(Meaning::Quantity, dims);
        contract.frame = Some(grid_frame(self.extent));
        contract
    }

    /// Zeros of `[X, Y, K]`.
    pub fn zeros(&self, numbers: usize) -> Vec<f32> {
        vec![0.0; self.cells[0] * self.cells[1] * numbers]
    }

    pub fn field(&self, data: Vec<f32>, numbers: usize) -> Field {
        Field::Dense {
            shape: vec![self.cells[0], self.cells[1], numbers],
            data,
        }
    }
}

/// The sizes of a column of quantities in the vehicle's frame, whose last sizes must be these.
pub(super) fn sizes<const N: usize>(
    columns: &Columns,
    key: &str,
    column: &str,
    form: &str,
    fits: impl Fn([usize; N]) -> bool,
) -> Result<[usize; N], DataError> {
    let contract = column_of(columns, column, &[Meaning::Quantity]).map_err(|e| e.under(key))?;
    let sizes: Option<Vec<usize>> = contract.dims.iter().skip(1).map(Dim::size).collect();
    let sizes = sizes.and_then(|sizes| <[usize; N]>::try_from(sizes).ok());
    let wrong = |found: String, expected: String| Err(DataError::config(key, found, expected));
    match (sizes, contract.frame.as_deref()) {
        (Some(_), Some(frame)) if frame != "ego" => {
            let found = format!("`{column}` in the frame `{frame}`");
            wrong(found, "a column in the frame `ego`".to_owned())
        }
        (Some(sizes), _) if fits(sizes) => Ok(sizes),
        _ => wrong(
            format!("`{column}`: {contract}"),
            format!("quantity {form}"),
        ),
    }
}

/// The numbers of a column that has so many.
pub(super) fn numbers<'a>(
    sample: &'a Sample,
    column: &str,
    count: usize,
) -> Result<&'a [f32], DataError> {
    match sample.fields.get(column) {
        Some(Field::Dense { data, .. }) if data.len() == count => Ok(data),
        other => Err(DataError::format(
            format!("sample `{}`, column `{column}`", sample.key),
            other.map_or_else(|| "nothing".to_owned(), Field::describe),
            format!("{count} numbers"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbered_from_the_corner() {
        let grid = Grid::new([4, 2], [-8.0, 8.0, -3.0, 3.0]).unwrap();
        assert_eq!(grid.cell(), [4.0, 3.0]);
        let at = |x, y| grid.at(grid.scaled([x, y]));
        assert_eq!(at(-8.0, -3.0), Some([0, 0]));
        assert_eq!(at(-0.1, 0.0), Some([1, 1]));
        assert_eq!(at(7.9, -0.1), Some([3, 0]));
        for outside in [(8.0, 0.0), (-8.1, 0.0), (0.0, 3.0), (f64::NAN, 0.0)] {
            assert_eq!(at(outside.0, outside.1), None);
        }
        assert_eq!(grid.middle([1, 1]), [-2.0, 1.5]);
        assert_eq!(grid.index([3, 1]), 7);
        assert_eq!(
            grid.contract(2).frame.as_deref(),
            Some("ego [-8, 8] x [-3, 3] m")
        );
    }

    #[test]
    fn grids_that_cover_nothing_are_refused() {
        let refusal = |cells, extent| Grid::new(cells, extent).unwrap_err().to_string();
        assert!(refusal([0, 2], [0.0, 1.0, 0.0, 1.0]).starts_with("option `cells`: found [0, 2]"));
        for extent in [
            [1.0, 0.0, 0.0, 1.0],
            [0.0, 1.0, 2.0, 2.0],
            [0.0, f64::INFINITY, 0.0, 1.0],
        ] {
            assert!(refusal([2, 2], extent).starts_with("option `extent`"));
        }
    }
}
