//! Histograms of oriented gradients (Dalal, Triggs 2005, "Histograms of Oriented Gradients for
//! Human Detection"), equal to `skimage.feature.hog`.
//!
//! Shape legend: an image is `[H, W, C]`; cells are `[H / cell, W / cell, orientations]`; the result
//! lists, for each block (row by row), its cells (row by row) with their orientations.

use super::{Transform, add_column, image_column, image_size, pixels};
use crate::random::DataRng;
use crate::{Columns, Contract, DataError, Field, Meaning, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;

/// Gradient directions of small cells, normalised over blocks of cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HogConfig {
    /// The image column.
    #[serde(default = "image_column")]
    pub column: String,
    /// The new feature column.
    #[serde(default = "default_into")]
    pub into: String,
    /// Bins over 180 degrees.
    #[serde(default = "default_orientations")]
    pub orientations: usize,
    /// Height and width of a cell.
    #[serde(default = "default_cell")]
    pub pixels_per_cell: [usize; 2],
    /// Height and width of a block; blocks overlap, one begins at every cell.
    #[serde(default = "default_block")]
    pub cells_per_block: [usize; 2],
    /// How a block is normalised.
    #[serde(default)]
    pub block_norm: BlockNorm,
    /// Take the square root of the image first; it must not be negative.
    #[serde(default)]
    pub transform_sqrt: bool,
}

fn default_into() -> String {
    "hog".to_owned()
}

fn default_orientations() -> usize {
    9
}

fn default_cell() -> [usize; 2] {
    [8, 8]
}

fn default_block() -> [usize; 2] {
    [3, 3]
}

/// Norm by which a block is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum BlockNorm {
    /// Sum of absolute values.
    L1,
    /// Euclidean norm.
    L2,
    /// Euclidean norm, clipped at 0.2, then the norm again.
    #[default]
    #[serde(rename = "L2-Hys")]
    L2Hys,
}

impl fmt::Display for BlockNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L2Hys => "L2-Hys",
        })
    }
}

impl HogConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let size = image_size(columns, &self.column)?;
        let range = columns
            .get(&self.column)
            .and_then(|contract| contract.range);
        if self.transform_sqrt && range.is_none_or(|(low, _)| low < 0.0) {
            let found = format!("true for `{}` with range {range:?}", self.column);
            return Err(DataError::config(
                "transform_sqrt",
                found,
                "an image that is never negative",
            ));
        }
        let hog = Hog::new(self.clone(), size)?;
        let mut contract = Contract::new(Meaning::Features, ["B".into(), hog.features().into()]);
        contract.range = Some((0.0, 1.0));
        contract.normaliser = Some(self.describe());
        add_column(columns, "into", &self.into, contract)?;
        Ok(Box::new(hog))
    }

    fn describe(&self) -> String {
        let [cell, block] = [self.pixels_per_cell, self.cells_per_block];
        format!(
            "hog({} orientations, {}x{} pixels a cell, {}x{} cells a block, {}{})",
            self.orientations,
            cell[0],
            cell[1],
            block[0],
            block[1],
            self.block_norm,
            if self.transform_sqrt {
                ", square root"
            } else {
                ""
            },
        )
    }
}

/// The transform for images of one size.
#[derive(Debug)]
struct Hog {
    config: HogConfig,
    size: [usize; 3],
    /// Rows and columns of whole cells.
    cells: [usize; 2],
    /// Rows and columns of blocks.
    blocks: [usize; 2],
    /// Cosine and sine of the lower edge of each bin but the first.
    edges: Vec<(f64, f64)>,
}

impl Hog {
    fn new(config: HogConfig, size: [usize; 3]) -> Result<Self, DataError> {
        if config.orientations == 0 || config.orientations > 360 {
            let found = config.orientations.to_string();
            return Err(DataError::config("orientations", found, "1 to 360"));
        }
        for (key, pair) in [
            ("pixels_per_cell", config.pixels_per_cell),
            ("cells_per_block", config.cells_per_block),
        ] {
            if pair.contains(&0) {
                return Err(DataError::config(
                    key,
                    format!("{pair:?}"),
                    "two numbers above 0",
                ));
            }
        }
        let cells = [0, 1].map(|i| size[i] / config.pixels_per_cell[i]);
        if (0..2).any(|i| cells[i] < config.cells_per_block[i]) {
            return Err(DataError::config(
                "cells_per_block",
                format!("{:?}", config.cells_per_block),
                format!(
                    "at most {cells:?}, the cells of an image of {} x {}",
                    size[0], size[1]
                ),
            ));
        }
        let blocks = [0, 1].map(|i| cells[i] - config.cells_per_block[i] + 1);
        let angle = |bin: usize| PI * bin as f64 / config.orientations as f64;
        let edges = (1..config.orientations).map(|bin| (angle(bin).cos(), angle(bin).sin()));
        Ok(Self {
            edges: edges.collect(),
            config,
            size,
            cells,
            blocks,
        })
    }

    fn features(&self) -> usize {
        let [rows, columns] = self.config.cells_per_block;
        self.blocks[0] * self.blocks[1] * rows * columns * self.config.orientations
    }

    fn describe(&self, image: &[f32]) -> Vec<f32> {
        let histograms = if self.config.transform_sqrt {
            let roots: Vec<f32> = image.iter().map(|v| v.sqrt()).collect();
            self.histograms(&roots)
        } else {
            self.histograms(image)
        };
        self.normalise(&histograms)
    }

    /// `[cell rows, cell columns, orientations]`: mean gradient magnitude by direction.
    fn histograms(&self, image: &[f32]) -> Vec<f64> {
        let [cell_height, cell_width] = self.config.pixels_per_cell;
        let orientations = self.config.orientations;
        let mut histograms = vec![0.0; self.cells[0] * self.cells[1] * orientations];
        for y in 0..self.cells[0] * cell_height {
            for x in 0..self.cells[1] * cell_width {
                let (dx, dy) = self.gradient(image, y, x);
                if dx == 0.0 && dy == 0.0 {
                    continue;
                }
                let cell = y / cell_height * self.cells[1] + x / cell_width;
                histograms[cell * orientations + self.bin(dx, dy)] += (dx * dx + dy * dy).sqrt();
            }
        }
        let area = (cell_height * cell_width) as f64;
        for value in &mut histograms {
            *value /= area;
        }
        histograms
    }

    /// Central difference (zero across the border) of the channel in which it is largest.
    fn gradient(&self, image: &[f32], y: usize, x: usize) -> (f64, f64) {
        let [height, width, channels] = self.size;
        let at = |y: usize, x: usize, channel: usize| image[(y * width + x) * channels + channel];
        // In single precision, as the reference takes them.
        let gradient = |channel: usize| {
            let (mut dx, mut dy) = (0.0, 0.0);
            if x > 0 && x + 1 < width {
                dx = at(y, x + 1, channel) - at(y, x - 1, channel);
            }
            if y > 0 && y + 1 < height {
                dy = at(y + 1, x, channel) - at(y - 1, x, channel);
            }
            (dx, dy)
        };
        let mut largest = gradient(0);
        for channel in 1..channels {
            let (dx, dy) = gradient(channel);
            if dx.hypot(dy) > f32::hypot(largest.0, largest.1) {
                largest = (dx, dy);
            }
        }
        (f64::from(largest.0), f64::from(largest.1))
    }

    /// Bin of a direction, where opposite directions are the same.
    ///
    /// Which edges lie below the direction is told by the sign of a cross product; only next to an
    /// edge, where rounding decides, is the angle itself computed as the reference does.
    fn bin(&self, dx: f64, dy: f64) -> usize {
        let (x, y) = if dy < 0.0 { (-dx, -dy) } else { (dx, dy) };
        if y == 0.0 {
            return 0;
        }
        let near = 1e-9 * (x.abs() + y);
        let mut below = 0;
        let mut close = false;
        for (cosine, sine) in &self.edges {
            let cross = cosine * y - sine * x;
            below += usize::from(cross >= 0.0);
            close |= cross.abs() < near;
        }
        if close {
            let degrees = dy.atan2(dx).to_degrees().rem_euclid(180.0);
            let width = 180.0 / self.config.orientations as f64;
            below = ((degrees / width) as usize).min(self.config.orientations - 1);
        }
        below
    }

    /// Cuts the cells into blocks and normalises each.
    fn normalise(&self, histograms: &[f64]) -> Vec<f32> {
        const EPSILON: f64 = 1e-5;
        const CLIP: f64 = 0.2;
        let [block_rows, block_columns] = self.config.cells_per_block;
        let row_length = block_columns * self.config.orientations;
        let mut features = Vec::with_capacity(self.features());
        let mut block = Vec::with_capacity(block_rows * row_length);
        for top in 0..self.blocks[0] {
            for left in 0..self.blocks[1] {
                block.clear();
                for row in top..top + block_rows {
                    let begin = (row * self.cells[1] + left) * self.config.orientations;
                    block.extend_from_slice(&histograms[begin..begin + row_length]);
                }
                let euclid = |block: &[f64]| {
                    (block.iter().map(|v| v * v).sum::<f64>() + EPSILON * EPSILON).sqrt()
                };
                let norm = match self.config.block_norm {
                    BlockNorm::L1 => block.iter().sum::<f64>() + EPSILON,
                    BlockNorm::L2 => euclid(&block),
                    BlockNorm::L2Hys => {
                        let norm = euclid(&block);
                        for value in &mut block {
                            *value = (*value / norm).min(CLIP);
                        }
                        euclid(&block)
                    }
                };
                features.extend(block.iter().map(|v| (v / norm) as f32));
            }
        }
        features
    }
}

impl Transform for Hog {
    fn apply(&self, sample: &mut Sample, _rng: &mut DataRng) -> Result<(), DataError> {
        let features = self.describe(pixels(sample, &self.config.column, self.size)?);
        let field = Field::Dense {
            shape: vec![features.len()],
            data: features,
        };
        sample.fields.insert(self.config.into.clone(), field);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::refusal;
    use super::*;
    use crate::random::stream;
    use std::path::Path;

    /// A case of `tests/golden/make_hog.py`: options, image and what scikit-image made of it.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        options: serde_json::Value,
        size: [usize; 3],
        /// Pixels times 255.
        image: Vec<u8>,
        features: Vec<f32>,
    }

    fn cases() -> Vec<Case> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hog.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn bind(options: &serde_json::Value, size: [usize; 3]) -> (Box<dyn Transform>, Columns) {
        let config: HogConfig = serde_json::from_value(options.clone()).unwrap();
        let contract = Contract::image(size[0], size[1], size[2], (0.0, 1.0));
        let mut columns = Columns::from([("image".to_owned(), contract)]);
        (config.bind(&mut columns).unwrap(), columns)
    }

    #[test]
    fn equals_scikit_image() {
        let cases = cases();
        assert!(cases.len() >= 8);
        for case in cases {
            let (transform, columns) = bind(&case.options, case.size);
            let image = Field::Dense {
                shape: case.size.to_vec(),
                data: case.image.iter().map(|&p| f32::from(p) / 255.0).collect(),
            };
            let mut sample = Sample::new("case").with("image", image);
            transform
                .apply(&mut sample, &mut stream(0, "test", &[]))
                .unwrap();
            let (shape, features) = sample.dense_mut("hog").unwrap();
            assert_eq!(*shape, [case.features.len()], "{}", case.name);
            assert_eq!(columns["hog"].dims[1].size(), Some(case.features.len()));
            let worst = features
                .iter()
                .zip(&case.features)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst < 1e-6, "{}: off by {worst}", case.name);
        }
    }

    #[test]
    fn bins_agree_with_the_angle_in_every_direction() {
        for orientations in [1, 2, 7, 8, 9, 12] {
            let config = HogConfig {
                orientations,
                ..serde_json::from_str("{}").unwrap()
            };
            let hog = Hog::new(config, [24, 24, 1]).unwrap();
            for step in 0..7200 {
                let angle = PI * (f64::from(step) + 0.25) / 3600.0;
                let degrees = angle.to_degrees().rem_euclid(180.0);
                let expected = (degrees * orientations as f64 / 180.0) as usize;
                assert_eq!(
                    hog.bin(angle.cos(), angle.sin()),
                    expected,
                    "{orientations} {degrees}"
                );
            }
        }
    }

    #[test]
    fn the_contract_tells_how_features_were_made() {
        let options = serde_json::json!({"pixels_per_cell": [4, 4], "cells_per_block": [2, 2]});
        let (_, columns) = bind(&options, [28, 28, 1]);
        assert_eq!(
            columns["hog"].normaliser.as_deref(),
            Some("hog(9 orientations, 4x4 pixels a cell, 2x2 cells a block, L2-Hys)")
        );
    }

    #[test]
    fn options_are_checked() {
        assert_eq!(
            refusal(r#"{"kind": "hog", "pixels_per_cell": [1, 2]}"#),
            "option `cells_per_block`: found [3, 3], expected at most [3, 1], the cells of an image \
             of 3 x 3"
        );
        assert!(refusal(r#"{"kind": "hog", "orientations": 0}"#).contains("1 to 360"));
        assert!(refusal(r#"{"kind": "hog", "pixels_per_cell": [0, 2]}"#).contains("above 0"));
    }
}
