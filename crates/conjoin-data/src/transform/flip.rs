//! Left and right exchanged.

use super::{Transform, check_share, image_column, image_size, pixels};
use crate::random::DataRng;
use crate::{Columns, DataError, Sample};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mirrors an image left to right with some probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HorizontalFlipConfig {
    /// The image column.
    #[serde(default = "image_column")]
    pub column: String,
    /// How often.
    #[serde(default = "half")]
    pub probability: f32,
}

fn half() -> f32 {
    0.5
}

impl HorizontalFlipConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        check_share("probability", self.probability)?;
        let size = image_size(columns, &self.column)?;
        Ok(Box::new(HorizontalFlip {
            config: self.clone(),
            size,
        }))
    }
}

#[derive(Debug)]
struct HorizontalFlip {
    config: HorizontalFlipConfig,
    size: [usize; 3],
}

impl Transform for HorizontalFlip {
    fn apply(&self, sample: &mut Sample, rng: &mut DataRng) -> Result<(), DataError> {
        let data = pixels(sample, &self.config.column, self.size)?;
        if rng.random::<f32>() >= self.config.probability {
            return Ok(());
        }
        let [_, width, channels] = self.size;
        for row in data.chunks_exact_mut(width * channels) {
            for left in 0..width / 2 {
                let right = width - 1 - left;
                for channel in 0..channels {
                    row.swap(left * channels + channel, right * channels + channel);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, image, refusal, sample};

    #[test]
    fn mirrors_columns_and_keeps_rows() {
        let flipped = apply(r#"{"kind": "horizontal-flip", "probability": 1.0}"#, 0);
        let expected = [2, 1, 0, 5, 4, 3, 8, 7, 6].map(|i| f32::from(i as u8) / 9.0);
        assert_eq!(image(&flipped), expected);
        assert_eq!(
            apply(r#"{"kind": "horizontal-flip", "probability": 0.0}"#, 0),
            sample()
        );
    }

    #[test]
    fn flips_as_often_as_asked() {
        let json = r#"{"kind": "horizontal-flip", "probability": 0.3}"#;
        let flips = (0..1000)
            .filter(|&seed| apply(json, seed) != sample())
            .count();
        assert!((250..350).contains(&flips), "{flips}");
    }

    #[test]
    fn the_probability_is_checked() {
        assert_eq!(
            refusal(r#"{"kind": "horizontal-flip", "probability": 1.5}"#),
            "option `probability`: found 1.5, expected a number from 0 to 1"
        );
    }
}
