//! Boxes as the targets of a detector that works on a grid: what to regress in the cell of each box's
//! centre, and a heat map of the centres (Zhou, Wang, Krähenbühl 2019, "Objects as Points").
//!
//! `N` agents, grid `X` x `Y`:
//!
//! ```text
//! agents  [N, 12]     present, x, y, cos, sin of heading, length, width, vx, vy, three of the class
//! visible [N]         1 where an agent can be seen
//! boxes   [X, Y, 12]  weight, dx, dy from the cell's middle (m), cos, sin, log length, log width, vx, vy,
//!                     three of the class
//! heat    [X, Y, 1]   1 in the cells of centres, a Gaussian around each
//! ```

use super::grid::{Grid, numbers, sizes};
use super::{Transform, add_column};
use crate::random::DataRng;
use crate::{Columns, DataError, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Numbers of an agent, and of a cell of the boxes.
const ROW: usize = 12;
/// Least length and width of which a logarithm is taken, m.
const LEAST: f64 = 0.01;

/// Draws visible agents into a grid: regression targets and a heat map, as new columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoxesToGridConfig {
    /// The column of agents, [N, 12].
    #[serde(default = "agents")]
    pub agents: String,
    /// The column that says which of them are drawn, `[N]`.
    #[serde(default = "visible")]
    pub visible: String,
    /// The new column of regression targets, [X, Y, 12].
    #[serde(default = "boxes_grid")]
    pub boxes: String,
    /// The new column of the heat map, [X, Y, 1].
    #[serde(default = "heat")]
    pub heat: String,
    /// Cells of the grid, [X, Y].
    pub cells: [usize; 2],
    /// What the grid covers, [x0, x1, y0, y1] in metres in the frame of the vehicle.
    pub extent: [f64; 4],
    /// A box whose corners are off by the radius of the Gaussian overlaps the true one by this share of
    /// their union at least.
    #[serde(default = "overlap")]
    pub overlap: f64,
    /// Least radius of the Gaussian, in cells.
    #[serde(default = "one")]
    pub min_radius: usize,
}

fn agents() -> String {
    "agents".to_owned()
}

fn visible() -> String {
    "visible".to_owned()
}

fn boxes_grid() -> String {
    "boxes_grid".to_owned()
}

fn heat() -> String {
    "heat".to_owned()
}

fn overlap() -> f64 {
    0.7
}

fn one() -> usize {
    1
}

impl BoxesToGridConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let grid = Grid::new(self.cells, self.extent)?;
        if !(self.overlap > 0.0 && self.overlap < 1.0) {
            let found = self.overlap.to_string();
            return Err(DataError::config(
                "overlap",
                found,
                "a number between 0 and 1",
            ));
        }
        if self.min_radius >= grid.cells[0].min(grid.cells[1]) {
            let found = self.min_radius.to_string();
            let expected = format!("less than the cells of the grid, {:?}", self.cells);
            return Err(DataError::config("min_radius", found, expected));
        }
        let [count, _] = sizes(columns, "agents", &self.agents, "[B, N, 12]", |[_, row]| {
            row == ROW
        })?;
        let form = format!("[B, {count}], one for each of `{}`", self.agents);
        sizes(columns, "visible", &self.visible, &form, |[n]| n == count)?;
        add_column(columns, "boxes", &self.boxes, grid.contract(ROW))?;
        let mut heat = grid.contract(1);
        heat.range = Some((0.0, 1.0));
        add_column(columns, "heat", &self.heat, heat)?;
        Ok(Box::new(BoxesToGrid {
            config: self.clone(),
            grid,
            count,
        }))
    }
}

#[derive(Debug)]
struct BoxesToGrid {
    config: BoxesToGridConfig,
    grid: Grid,
    count: usize,
}

impl Transform for BoxesToGrid {
    fn apply(&self, sample: &mut Sample, _rng: &mut DataRng) -> Result<(), DataError> {
        let agents = numbers(sample, &self.config.agents, self.count * ROW)?;
        let visible = numbers(sample, &self.config.visible, self.count)?;
        let (mut boxes, mut heat) = (self.grid.zeros(ROW), self.grid.zeros(1));
        for (agent, &visible) in agents.chunks_exact(ROW).zip(visible) {
            if agent[0] < 0.5 || visible < 0.5 {
                continue;
            }
            let centre = [f64::from(agent[1]), f64::from(agent[2])];
            let Some(cell) = self.grid.at(self.grid.scaled(centre)) else {
                continue;
            };
            let [length, width] = [agent[5], agent[6]].map(|size| f64::from(size).max(LEAST));
            self.heat(&mut heat, cell, [length, width]);
            let index = self.grid.index(cell);
            let row = &mut boxes[index * ROW..(index + 1) * ROW];
            // Agents come nearest first: of two in a cell, the nearer one is the target.
            if row[0] == 0.0 {
                let middle = self.grid.middle(cell);
                row.copy_from_slice(agent);
                row[0] = 1.0;
                row[1] = (centre[0] - middle[0]) as f32;
                row[2] = (centre[1] - middle[1]) as f32;
                row[5] = length.ln() as f32;
                row[6] = width.ln() as f32;
            }
        }
        let boxes = self.grid.field(boxes, ROW);
        let heat = self.grid.field(heat, 1);
        sample.fields.insert(self.config.boxes.clone(), boxes);
        sample.fields.insert(self.config.heat.clone(), heat);
        Ok(())
    }
}

impl BoxesToGrid {
    /// A Gaussian around a cell, cut off at its radius and one sixth of its diameter wide; where several
    /// meet, the greatest counts.
    fn heat(&self, heat: &mut [f32], [i, j]: [usize; 2], [length, width]: [f64; 2]) {
        let [dx, dy] = self.grid.cell();
        let size = [(length / dx).ceil(), (width / dy).ceil()];
        let radius =
            (gaussian_radius(size, self.config.overlap) as usize).max(self.config.min_radius);
        let deviation = (2 * radius + 1) as f64 / 6.0;
        let around = |middle: usize, cells: usize| {
            middle.saturating_sub(radius)..(middle + radius + 1).min(cells)
        };
        for a in around(i, self.grid.cells[0]) {
            for b in around(j, self.grid.cells[1]) {
                let away = (a.abs_diff(i).pow(2) + b.abs_diff(j).pow(2)) as f64;
                let value = (-away / (2.0 * deviation * deviation)).exp() as f32;
                let cell = &mut heat[self.grid.index([a, b])];
                *cell = cell.max(value);
            }
        }
    }
}

/// How far, in cells, the two corners of a box of this size may be off so that the overlap (intersection
/// over union) with the true one stays at least so large: the least of three cases, both corners moved one
/// way, both inwards, both outwards (Law, Deng 2018, "CornerNet", section 3.2).
fn gaussian_radius([height, width]: [f64; 2], overlap: f64) -> f64 {
    let (area, sum) = (height * width, height + width);
    // The roots of a r² + b r + c = 0.
    let root = |a: f64, b: f64, c: f64, sign: f64| {
        (-b + sign * (b * b - 4.0 * a * c).max(0.0).sqrt()) / (2.0 * a)
    };
    let moved = root(1.0, -sum, area * (1.0 - overlap) / (1.0 + overlap), -1.0);
    let inwards = root(4.0, -2.0 * sum, (1.0 - overlap) * area, -1.0);
    let outwards = root(
        4.0 * overlap,
        2.0 * overlap * sum,
        (overlap - 1.0) * area,
        1.0,
    );
    moved.min(inwards).min(outwards)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;
    use crate::{Contract, Field, Meaning};
    use std::path::Path;

    fn columns(agents: usize) -> Columns {
        let quantity = |dims: Vec<usize>| {
            let dims = std::iter::once("B".into()).chain(dims.into_iter().map(Into::into));
            Contract::new(Meaning::Quantity, dims)
        };
        Columns::from([
            ("agents".to_owned(), quantity(vec![agents, ROW])),
            ("visible".to_owned(), quantity(vec![agents])),
        ])
    }

    fn config(json: &str) -> BoxesToGridConfig {
        serde_json::from_str(json).unwrap()
    }

    fn drawn(config: &BoxesToGridConfig, agents: &[[f32; ROW]], visible: &[f32]) -> [Vec<f32>; 2] {
        let transform = config.bind(&mut columns(agents.len())).unwrap();
        let dense = |shape: Vec<usize>, data: Vec<f32>| Field::Dense { shape, data };
        let mut sample = Sample::new("s")
            .with("agents", dense(vec![agents.len(), ROW], agents.concat()))
            .with("visible", dense(vec![visible.len()], visible.to_vec()));
        transform
            .apply(&mut sample, &mut stream(0, "test", &[]))
            .unwrap();
        ["boxes_grid", "heat"].map(|name| sample.dense_mut(name).unwrap().1.clone())
    }

    fn agent(x: f32, y: f32) -> [f32; ROW] {
        [1.0, x, y, 0.6, 0.8, 4.0, 2.0, 3.0, -1.0, 1.0, 0.0, 0.0]
    }

    /// Made by CenterNet's own functions: `tests/golden/make_centernet.py`.
    #[derive(Deserialize)]
    struct Golden {
        /// Height, width, overlap and radius.
        radii: Vec<[f64; 4]>,
        maps: Vec<Map>,
    }

    #[derive(Deserialize)]
    struct Map {
        cells: [usize; 2],
        overlap: f64,
        /// Cell and size of each box.
        boxes: Vec<[f64; 4]>,
        heat: Vec<f32>,
    }

    fn golden() -> Golden {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/centernet.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_radius_is_that_of_the_reference() {
        let radii = golden().radii;
        assert!(radii.len() > 20);
        for [height, width, overlap, radius] in radii {
            let found = gaussian_radius([height, width], overlap);
            assert!((found - radius).abs() < 1e-9, "{height} {width} {overlap}");
        }
    }

    #[test]
    fn the_radius_keeps_the_overlap() {
        for size in [[1.0, 1.0], [3.0, 2.0], [9.0, 4.0], [30.0, 12.0]] {
            for overlap in [0.1, 0.5, 0.7, 0.9] {
                let r = gaussian_radius(size, overlap);
                let [h, w] = size;
                let shared = (h - r) * (w - r);
                let cases = [
                    shared / (2.0 * h * w - shared),
                    (h - 2.0 * r) * (w - 2.0 * r) / (h * w),
                    h * w / ((h + 2.0 * r) * (w + 2.0 * r)),
                ];
                let least = cases.into_iter().fold(f64::INFINITY, f64::min);
                assert!(
                    (least - overlap).abs() < 1e-9,
                    "{size:?} {overlap} {cases:?}"
                );
            }
        }
    }

    #[test]
    fn the_heat_map_is_that_of_the_reference() {
        for map in golden().maps {
            let config = BoxesToGridConfig {
                cells: map.cells,
                extent: [0.0, map.cells[0] as f64, 0.0, map.cells[1] as f64],
                overlap: map.overlap,
                min_radius: 0,
                ..config(r#"{"cells": [1, 1], "extent": [0, 1, 0, 1]}"#)
            };
            let boxes: Vec<[f32; ROW]> = (map.boxes.iter())
                .map(|&[x, y, length, width]| {
                    let mut row = agent(x as f32, y as f32);
                    (row[5], row[6]) = (length as f32, width as f32);
                    row
                })
                .collect();
            let [_, heat] = drawn(&config, &boxes, &vec![1.0; boxes.len()]);
            assert_eq!(heat.len(), map.heat.len());
            for (found, wanted) in heat.iter().zip(&map.heat) {
                assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
            }
        }
    }

    #[test]
    fn visible_agents_stand_in_their_cells() {
        let config = config(r#"{"cells": [4, 4], "extent": [0, 8, -4, 4]}"#);
        let mut absent = agent(7.0, 3.0);
        absent[0] = 0.0;
        let agents = [
            agent(1.5, 0.5),
            agent(1.0, 1.0),
            absent,
            agent(7.0, -3.0),
            agent(99.0, 0.0),
        ];
        let [boxes, heat] = drawn(&config, &agents, &[1.0, 1.0, 1.0, 0.0, 1.0]);
        let at = |i: usize, j: usize| i * 4 + j;
        // The first one is in cell (0, 2), whose middle is (1, 1); the second is in the same cell.
        let row = &boxes[at(0, 2) * ROW..][..ROW];
        let wanted = [
            1.0,
            0.5,
            -0.5,
            0.6,
            0.8,
            4.0_f32.ln(),
            2.0_f32.ln(),
            3.0,
            -1.0,
            1.0,
            0.0,
            0.0,
        ];
        assert_eq!(row, wanted);
        let weights: f32 = boxes.chunks(ROW).map(|row| row[0]).sum();
        assert_eq!(weights, 1.0, "absent, hidden and far agents are not drawn");
        assert_eq!(heat[at(0, 2)], 1.0);
        assert_eq!(heat.iter().filter(|&&v| v == 1.0).count(), 1);
        assert!((heat[at(1, 2)] - (-2.0_f32).exp()).abs() < 1e-6);
        assert_eq!(heat[at(3, 0)], 0.0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refusal = |json: &str| config(json).bind(&mut columns(3)).unwrap_err().to_string();
        let with = |rest: &str| {
            refusal(&format!(
                r#"{{"cells": [4, 4], "extent": [0, 8, -4, 4], {rest}}}"#
            ))
        };
        assert!(
            refusal(r#"{"cells": [4, 4], "extent": [8, 0, -4, 4]}"#)
                .starts_with("option `extent`: found [8.0, 0.0, -4.0, 4.0]")
        );
        assert!(with(r#""overlap": 1.0"#).starts_with("option `overlap`: found 1"));
        assert!(with(r#""min_radius": 4"#).starts_with("option `min_radius`: found 4"));
        assert_eq!(
            with(r#""agents": "visible""#),
            "option `agents`: found `visible`: quantity [B, 3], expected quantity [B, N, 12]"
        );
        assert_eq!(
            with(r#""visible": "agents""#),
            "option `visible`: found `agents`: quantity [B, 3, 12], expected quantity [B, 3], one for \
             each of `agents`"
        );
        assert!(with(r#""agents": "agnets""#).contains("option `agents`: found `agnets`"));
        assert!(with(r#""heat": "agents""#).contains("is there already"));
        let mut other = columns(3);
        if let Some(agents) = other.get_mut("agents") {
            agents.frame = Some("world".to_owned());
        }
        let error = config(r#"{"cells": [4, 4], "extent": [0, 8, -4, 4]}"#)
            .bind(&mut other)
            .unwrap_err();
        assert!(error.to_string().contains("in the frame `world`"));
    }
}
