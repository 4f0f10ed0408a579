//! Lines as a grid: which cells they pass, and in which direction.
//!
//! `L` lines of `P` points, grid `X` x `Y`:
//!
//! ```text
//! lines [L, P, 2]    x, y (m)
//! mask  [L]          1 where there is a line
//! into  [X, Y, 3]    presence, cos, sin of the direction
//! ```

use super::grid::{Grid, numbers, sizes};
use super::{Transform, add_column};
use crate::random::DataRng;
use crate::{Columns, DataError, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Draws lines, such as the middles of lanes, into a grid, as a new column. A cell that several lines
/// pass has the direction of the one that stays longest in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinesToGridConfig {
    /// The column of lines, [L, P, 2].
    #[serde(default = "lanes")]
    pub lines: String,
    /// The column that says which of them are there, `[L]`.
    #[serde(default = "lanes_mask")]
    pub mask: String,
    /// The new column, [X, Y, 3].
    #[serde(default = "lanes_grid")]
    pub into: String,
    /// Cells of the grid, [X, Y].
    pub cells: [usize; 2],
    /// What the grid covers, [x0, x1, y0, y1] in metres in the frame of the vehicle.
    pub extent: [f64; 4],
}

fn lanes() -> String {
    "lanes".to_owned()
}

fn lanes_mask() -> String {
    "lanes_mask".to_owned()
}

fn lanes_grid() -> String {
    "lanes_grid".to_owned()
}

impl LinesToGridConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let grid = Grid::new(self.cells, self.extent)?;
        let form = "[B, L, P, 2] of at least two points";
        let [lines, points, _] = sizes(columns, "lines", &self.lines, form, |[_, points, two]| {
            two == 2 && points > 1
        })?;
        let form = format!("[B, {lines}], one for each of `{}`", self.lines);
        sizes(columns, "mask", &self.mask, &form, |[n]| n == lines)?;
        let mut contract = grid.contract(3);
        contract.range = Some((-1.0, 1.0));
        add_column(columns, "into", &self.into, contract)?;
        Ok(Box::new(LinesToGrid {
            config: self.clone(),
            grid,
            lines,
            points,
        }))
    }
}

#[derive(Debug)]
struct LinesToGrid {
    config: LinesToGridConfig,
    grid: Grid,
    lines: usize,
    points: usize,
}

impl Transform for LinesToGrid {
    fn apply(&self, sample: &mut Sample, _rng: &mut DataRng) -> Result<(), DataError> {
        let lines = numbers(sample, &self.config.lines, self.lines * self.points * 2)?;
        let mask = numbers(sample, &self.config.mask, self.lines)?;
        let cells = self.grid.cells[0] * self.grid.cells[1];
        // The way in each cell: of the line at hand, and the longest so far.
        let (mut own, mut longest) = (vec![[0.0_f64; 3]; cells], vec![[0.0_f64; 3]; cells]);
        for (line, _) in lines
            .chunks_exact(self.points * 2)
            .zip(mask)
            .filter(|(_, mask)| **mask > 0.5)
        {
            let point = |p: &[f32]| [f64::from(p[0]), f64::from(p[1])];
            let points: Vec<[f64; 2]> = line.chunks_exact(2).map(point).collect();
            let mut passed = Vec::new();
            for pair in points.windows(2) {
                self.pass(pair[0], pair[1], &mut own, &mut passed);
            }
            for index in passed {
                let way = std::mem::take(&mut own[index]);
                if way[0] > longest[index][0] {
                    longest[index] = way;
                }
            }
        }
        let mut data = self.grid.zeros(3);
        for (cell, [length, x, y]) in data.chunks_exact_mut(3).zip(longest) {
            if length > 0.0 {
                // A line that turns back within a cell has no direction there.
                let way = x.hypot(y).max(f64::MIN_POSITIVE);
                cell.copy_from_slice(&[1.0, (x / way) as f32, (y / way) as f32]);
            }
        }
        let field = self.grid.field(data, 3);
        sample.fields.insert(self.config.into.clone(), field);
        Ok(())
    }
}

impl LinesToGrid {
    /// Adds to each cell that a segment passes: metres, and the way along x and y.
    fn pass(&self, from: [f64; 2], to: [f64; 2], own: &mut [[f64; 3]], passed: &mut Vec<usize>) {
        let way = [to[0] - from[0], to[1] - from[1]];
        let length = way[0].hypot(way[1]);
        if !(length > 0.0 && length.is_finite()) {
            return;
        }
        let (a, b) = (self.grid.scaled(from), self.grid.scaled(to));
        // Shares of the segment at which it enters another cell.
        let mut cuts = vec![0.0, 1.0];
        for axis in 0..2 {
            let (low, high) = (a[axis].min(b[axis]), a[axis].max(b[axis]));
            let first = low.max(-1.0).ceil() as i64;
            let last = high.min(self.grid.cells[axis] as f64 + 1.0).floor() as i64;
            for edge in first..=last {
                let share = (edge as f64 - a[axis]) / (b[axis] - a[axis]);
                if share > 0.0 && share < 1.0 {
                    cuts.push(share);
                }
            }
        }
        cuts.sort_by(f64::total_cmp);
        for pair in cuts.windows(2) {
            let (share, half) = (pair[1] - pair[0], f64::midpoint(pair[0], pair[1]));
            let middle = [0, 1].map(|axis| a[axis] + half * (b[axis] - a[axis]));
            let Some(cell) = self.grid.at(middle).filter(|_| share > 0.0) else {
                continue;
            };
            let index = self.grid.index(cell);
            if own[index][0] == 0.0 {
                passed.push(index);
            }
            for (sum, part) in own[index].iter_mut().zip([length, way[0], way[1]]) {
                *sum += share * part;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;
    use crate::{Contract, Field, Meaning};

    fn columns(lines: usize, points: usize) -> Columns {
        let quantity = |dims: &[usize]| {
            let dims = std::iter::once("B".into()).chain(dims.iter().map(|&n| n.into()));
            Contract::new(Meaning::Quantity, dims)
        };
        Columns::from([
            ("lanes".to_owned(), quantity(&[lines, points, 2])),
            ("lanes_mask".to_owned(), quantity(&[lines])),
        ])
    }

    /// The cells that are passed, with their directions.
    fn drawn(lines: &[&[[f32; 2]]], mask: &[f32]) -> Vec<([usize; 2], [f32; 2])> {
        let config: LinesToGridConfig =
            serde_json::from_str(r#"{"cells": [4, 4], "extent": [0, 8, -4, 4]}"#).unwrap();
        let transform = config
            .bind(&mut columns(lines.len(), lines[0].len()))
            .unwrap();
        let dense = |shape: Vec<usize>, data: Vec<f32>| Field::Dense { shape, data };
        let data = lines.concat().concat();
        let mut sample = Sample::new("s")
            .with("lanes", dense(vec![lines.len(), lines[0].len(), 2], data))
            .with("lanes_mask", dense(vec![mask.len()], mask.to_vec()));
        transform
            .apply(&mut sample, &mut stream(0, "test", &[]))
            .unwrap();
        let (shape, data) = sample.dense_mut("lanes_grid").unwrap();
        assert_eq!(shape, &[4, 4, 3]);
        let cells = data
            .chunks(3)
            .enumerate()
            .filter(|(_, cell)| cell[0] == 1.0);
        cells
            .map(|(i, cell)| ([i / 4, i % 4], [cell[1], cell[2]]))
            .collect()
    }

    #[test]
    fn every_passed_cell_has_the_direction() {
        // From behind the grid straight through the row of y in [0, 2).
        let found = drawn(&[&[[-5.0, 1.0], [3.0, 1.0], [20.0, 1.0]]], &[1.0]);
        let wanted: Vec<_> = (0..4).map(|i| ([i, 2], [1.0, 0.0])).collect();
        assert_eq!(found, wanted);
        // Two long points on a diagonal pass every cell between, corners aside.
        let found = drawn(&[&[[7.5, 3.5], [0.5, -3.5]]], &[1.0]);
        let down = -std::f32::consts::FRAC_1_SQRT_2;
        assert_eq!(found.len(), 4);
        for (k, (cell, [cos, sin])) in found.into_iter().enumerate() {
            assert_eq!(cell, [k, k]);
            assert!((cos - down).abs() < 1e-6 && (sin - down).abs() < 1e-6);
        }
    }

    #[test]
    fn the_longest_line_gives_the_direction_and_the_mask_counts() {
        let along: &[[f32; 2]] = &[[0.0, 1.0], [1.0, 1.0]];
        let across: &[[f32; 2]] = &[[1.5, 0.0], [1.5, 1.9]];
        let hidden: &[[f32; 2]] = &[[4.0, -3.0], [6.0, -3.0]];
        let found = drawn(&[along, across, hidden], &[1.0, 1.0, 0.0]);
        assert_eq!(found, [([0, 2], [0.0, 1.0])]);
        let found = drawn(&[along, across, hidden], &[1.0, 0.0, 0.0]);
        assert_eq!(found, [([0, 2], [1.0, 0.0])]);
        // Points that are equal, as padding leaves them, are no line.
        assert_eq!(drawn(&[&[[1.0, 1.0], [1.0, 1.0]]], &[1.0]), []);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refusal = |json: &str, lines: usize, points: usize| {
            let config: LinesToGridConfig = serde_json::from_str(json).unwrap();
            let mut columns = columns(lines, points);
            config.bind(&mut columns).unwrap_err().to_string()
        };
        let json = r#"{"cells": [4, 4], "extent": [0, 8, -4, 4]}"#;
        assert!(refusal(json, 2, 1).contains("of at least two points"));
        let json = r#"{"cells": [4, 4], "extent": [0, 8, -4, 4], "mask": "lanes"}"#;
        assert_eq!(
            refusal(json, 2, 3),
            "option `mask`: found `lanes`: quantity [B, 2, 3, 2], expected quantity [B, 2], one for \
             each of `lanes`"
        );
        assert!(refusal(r#"{"cells": [0, 4], "extent": [0, 8, -4, 4]}"#, 2, 3).contains("`cells`"));
    }
}
