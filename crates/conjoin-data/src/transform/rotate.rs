//! Rotation prediction (Gidaris, Singh, Komodakis 2018, "Unsupervised Representation Learning by
//! Predicting Image Rotations"): the image is turned, and by how much is the label.

use super::{Transform, add_column, image_column, image_size, pixels};
use crate::random::DataRng;
use crate::{Columns, Contract, DataError, Field, Sample, Vocabulary};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Turns a square image counter-clockwise by 0, 90, 180 or 270 degrees, each equally often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate90Config {
    /// The image column.
    #[serde(default = "image_column")]
    pub column: String,
    /// The new label column: 0 to 3 quarter turns.
    #[serde(default = "default_into")]
    pub into: String,
}

fn default_into() -> String {
    "rotation".to_owned()
}

impl Rotate90Config {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let size = image_size(columns, &self.column)?;
        if size[0] != size[1] {
            let found = format!("`{}` of {} x {}", self.column, size[0], size[1]);
            return Err(DataError::config("column", found, "a square image"));
        }
        let label = Contract::label(Vocabulary::new("rotation", ["0°", "90°", "180°", "270°"]));
        add_column(columns, "into", &self.into, label)?;
        Ok(Box::new(Rotate90 {
            config: self.clone(),
            size,
        }))
    }
}

#[derive(Debug)]
struct Rotate90 {
    config: Rotate90Config,
    size: [usize; 3],
}

impl Transform for Rotate90 {
    fn apply(&self, sample: &mut Sample, rng: &mut DataRng) -> Result<(), DataError> {
        let data = pixels(sample, &self.config.column, self.size)?;
        let turns = rng.random_range(0..4);
        *data = rotate(data, self.size, turns);
        sample
            .fields
            .insert(self.config.into.clone(), Field::Label(turns));
        Ok(())
    }
}

/// A square image turned counter-clockwise by quarter turns, as `numpy.rot90` does.
fn rotate(data: &[f32], [side, _, channels]: [usize; 3], turns: i64) -> Vec<f32> {
    let last = side - 1;
    let mut out = Vec::with_capacity(data.len());
    for y in 0..side {
        for x in 0..side {
            let (from_y, from_x) = match turns {
                0 => (y, x),
                1 => (x, last - y),
                2 => (last - y, last - x),
                _ => (last - x, y),
            };
            let begin = (from_y * side + from_x) * channels;
            out.extend_from_slice(&data[begin..begin + channels]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, image, refusal};
    use super::*;

    #[test]
    fn turns_counter_clockwise() {
        // numpy.rot90([[0, 1], [2, 3]], k).ravel()
        let expected = [
            [0.0, 1.0, 2.0, 3.0],
            [1.0, 3.0, 0.0, 2.0],
            [3.0, 2.0, 1.0, 0.0],
            [2.0, 0.0, 3.0, 1.0],
        ];
        for (turns, expected) in (0..).zip(expected) {
            assert_eq!(rotate(&[0.0, 1.0, 2.0, 3.0], [2, 2, 1], turns), expected);
        }
        let coloured: Vec<f32> = (0u8..8).map(f32::from).collect();
        let turned = rotate(&coloured, [2, 2, 2], 1);
        assert_eq!(turned, [2.0, 3.0, 6.0, 7.0, 0.0, 1.0, 4.0, 5.0]);
    }

    #[test]
    fn the_label_tells_the_turn_and_each_occurs() {
        let original: Vec<f32> = (0u8..9).map(|i| f32::from(i) / 9.0).collect();
        let mut counts = [0; 4];
        for seed in 0..400 {
            let sample = apply(r#"{"kind": "rotate90"}"#, seed);
            let Field::Label(turns) = sample.fields["rotation"] else {
                panic!()
            };
            assert_eq!(image(&sample), rotate(&original, [3, 3, 1], turns));
            counts[turns as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (70..130).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_label_column_must_be_new() {
        assert!(refusal(r#"{"kind": "rotate90", "into": "label"}"#).starts_with("option `into`"));
    }
}
