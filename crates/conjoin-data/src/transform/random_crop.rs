//! Shifts by padding and cropping.

use super::{Transform, image_column, image_size, pixels, widen_range};
use crate::random::DataRng;
use crate::{Columns, DataError, Sample};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pads an image on all four sides, then cuts a window of the old size out at a random place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomCropConfig {
    /// The image column.
    #[serde(default = "image_column")]
    pub column: String,
    /// Pixels on each side: the image moves by at most so many.
    pub padding: usize,
    /// Value of the padding.
    #[serde(default)]
    pub fill: f32,
}

impl RandomCropConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let size = image_size(columns, &self.column)?;
        let limit = size[0].min(size[1]);
        if self.padding == 0 || self.padding >= limit {
            let expected = format!("1 to {}, so that part of the image remains", limit - 1);
            return Err(DataError::config(
                "padding",
                self.padding.to_string(),
                expected,
            ));
        }
        if !self.fill.is_finite() {
            return Err(DataError::config(
                "fill",
                self.fill.to_string(),
                "a finite number",
            ));
        }
        widen_range(columns, &self.column, self.fill);
        Ok(Box::new(RandomCrop {
            config: self.clone(),
            size,
        }))
    }
}

#[derive(Debug)]
struct RandomCrop {
    config: RandomCropConfig,
    size: [usize; 3],
}

impl Transform for RandomCrop {
    fn apply(&self, sample: &mut Sample, rng: &mut DataRng) -> Result<(), DataError> {
        let data = pixels(sample, &self.config.column, self.size)?;
        let padding = self.config.padding;
        let [height, width, channels] = self.size;
        // The window's corner in the padded image; `padding` is where the image itself begins.
        let top = rng.random_range(0..=2 * padding);
        let left = rng.random_range(0..=2 * padding);
        let mut out = vec![self.config.fill; data.len()];
        let rows = padding.saturating_sub(top)..(height + padding - top).min(height);
        let begin = padding.saturating_sub(left);
        let end = (width + padding - left).min(width);
        for row in rows {
            let from = ((row + top - padding) * width + (begin + left - padding)) * channels;
            let to = (row * width + begin) * channels;
            let count = (end - begin) * channels;
            out[to..to + count].copy_from_slice(&data[from..from + count]);
        }
        *data = out;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, columns, image, read, refusal, sample};
    use std::collections::HashSet;

    /// The image moved down by `dy` and right by `dx`, with -1 where it leaves a gap.
    fn moved(dy: i32, dx: i32) -> Vec<f32> {
        let sample = sample();
        let source = image(&sample);
        let at = |y: i32, x: i32| {
            let inside = (0..3).contains(&y) && (0..3).contains(&x);
            if inside {
                source[(y * 3 + x) as usize]
            } else {
                -1.0
            }
        };
        (0..9).map(|i| at(i / 3 - dy, i % 3 - dx)).collect()
    }

    #[test]
    fn every_shift_occurs_and_nothing_else() {
        let json = r#"{"kind": "random-crop", "padding": 2, "fill": -1.0}"#;
        let mut seen = HashSet::new();
        for seed in 0..400 {
            let result = apply(json, seed);
            let shift = (-2..=2)
                .flat_map(|dy| (-2..=2).map(move |dx| (dy, dx)))
                .find(|&(dy, dx)| moved(dy, dx) == image(&result));
            seen.insert(shift.unwrap());
        }
        assert_eq!(seen.len(), 25);
    }

    #[test]
    fn the_range_holds_the_fill() {
        let mut columns = columns();
        read(r#"{"kind": "random-crop", "padding": 1, "fill": -1.0}"#)
            .bind(&mut columns)
            .unwrap();
        assert_eq!(columns["image"].range, Some((-1.0, 1.0)));
    }

    #[test]
    fn the_padding_is_checked() {
        assert_eq!(
            refusal(r#"{"kind": "random-crop", "padding": 3}"#),
            "option `padding`: found 3, expected 1 to 2, so that part of the image remains"
        );
    }
}
