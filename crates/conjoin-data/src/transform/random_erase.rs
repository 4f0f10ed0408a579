//! Random erasing (Zhong, Zheng, Kang, Li, Yang 2017, "Random Erasing Data Augmentation",
//! algorithm 1).

use super::{Transform, check_share, image_column, image_size, pixels, widen_range};
use crate::random::DataRng;
use crate::{Columns, DataError, Sample};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Covers a random rectangle of an image, with noise or with a constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomEraseConfig {
    /// The image column.
    #[serde(default = "image_column")]
    pub column: String,
    /// How often.
    #[serde(default = "half")]
    pub probability: f32,
    /// Least and greatest share of the image that is covered.
    #[serde(default = "default_area")]
    pub area: [f32; 2],
    /// Least and greatest ratio of the rectangle's height to its width.
    #[serde(default = "default_aspect")]
    pub aspect: [f32; 2],
    /// Cover with this value; without it, with uniform noise over the column's range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<f32>,
}

fn half() -> f32 {
    0.5
}

fn default_area() -> [f32; 2] {
    [0.02, 0.4]
}

fn default_aspect() -> [f32; 2] {
    [0.3, 1.0 / 0.3]
}

/// Rectangles that do not fit are drawn again at most so often; the paper has no limit.
const ATTEMPTS: usize = 100;

impl RandomEraseConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let size = image_size(columns, &self.column)?;
        check_share("probability", self.probability)?;
        let ordered = |[low, high]: [f32; 2]| low > 0.0 && low <= high && high.is_finite();
        if !ordered(self.area) || self.area[1] > 1.0 {
            let found = format!("{:?}", self.area);
            return Err(DataError::config(
                "area",
                found,
                "[low, high], above 0 and at most 1",
            ));
        }
        if !ordered(self.aspect) {
            let found = format!("{:?}", self.aspect);
            return Err(DataError::config("aspect", found, "[low, high], above 0"));
        }
        let range = columns
            .get(&self.column)
            .and_then(|contract| contract.range);
        let fill = match (self.fill, range) {
            (Some(value), _) if value.is_finite() => {
                widen_range(columns, &self.column, value);
                (value, value)
            }
            (None, Some(range)) => range,
            (Some(value), _) => {
                return Err(DataError::config(
                    "fill",
                    value.to_string(),
                    "a finite number",
                ));
            }
            (None, None) => {
                let expected = "a value, since the range of the column is not known";
                return Err(DataError::config("fill", "nothing", expected));
            }
        };
        Ok(Box::new(RandomErase {
            config: self.clone(),
            size,
            fill,
        }))
    }
}

#[derive(Debug)]
struct RandomErase {
    config: RandomEraseConfig,
    size: [usize; 3],
    /// Interval that the covering values are drawn from.
    fill: (f32, f32),
}

impl RandomErase {
    /// Top, left, height and width of a rectangle that fits.
    fn rectangle(&self, rng: &mut DataRng) -> Option<[usize; 4]> {
        let [height, width, _] = self.size;
        let [area, aspect] = [self.config.area, self.config.aspect];
        for _ in 0..ATTEMPTS {
            let area = rng.random_range(area[0]..=area[1]) * (height * width) as f32;
            let aspect = rng.random_range(aspect[0]..=aspect[1]);
            let tall = (area * aspect).sqrt().round() as usize;
            let wide = (area / aspect).sqrt().round() as usize;
            let top = rng.random_range(0..height);
            let left = rng.random_range(0..width);
            if top + tall <= height && left + wide <= width {
                return Some([top, left, tall, wide]);
            }
        }
        None
    }
}

impl Transform for RandomErase {
    fn apply(&self, sample: &mut Sample, rng: &mut DataRng) -> Result<(), DataError> {
        let data = pixels(sample, &self.config.column, self.size)?;
        if rng.random::<f32>() >= self.config.probability {
            return Ok(());
        }
        let Some([top, left, tall, wide]) = self.rectangle(rng) else {
            return Ok(());
        };
        let [_, width, channels] = self.size;
        for row in top..top + tall {
            let begin = (row * width + left) * channels;
            for value in &mut data[begin..begin + wide * channels] {
                *value = rng.random_range(self.fill.0..=self.fill.1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refusal, sample};
    use super::*;
    use crate::random::stream;
    use crate::{Contract, Field};

    const SIDE: usize = 20;

    /// Which pixels of a blank image are covered under each seed.
    fn covered(json: &str, seeds: u64) -> Vec<Vec<usize>> {
        let config: RandomEraseConfig = serde_json::from_str(json).unwrap();
        let contract = Contract::image(SIDE, SIDE, 1, (0.0, 1.0));
        let mut columns = Columns::from([("image".to_owned(), contract)]);
        let transform = config.bind(&mut columns).unwrap();
        let run = |seed| {
            let blank = Field::Dense {
                shape: vec![SIDE, SIDE, 1],
                data: vec![2.0; SIDE * SIDE],
            };
            let mut sample = sample().with("image", blank);
            transform
                .apply(&mut sample, &mut stream(seed, "test", &[]))
                .unwrap();
            let (_, data) = sample.dense_mut("image").unwrap();
            assert!(data.iter().all(|v| *v == 2.0 || (0.0..=1.0).contains(v)));
            (0..data.len()).filter(|&i| data[i] != 2.0).collect()
        };
        (0..seeds).map(run).collect()
    }

    #[test]
    fn covers_one_rectangle_within_the_limits() {
        for pixels in covered(
            r#"{"probability": 1.0, "area": [0.1, 0.3], "aspect": [0.5, 2.0]}"#,
            200,
        ) {
            let rows = pixels.iter().map(|i| i / SIDE);
            let columns = pixels.iter().map(|i| i % SIDE);
            let tall = rows.clone().max().unwrap() - rows.min().unwrap() + 1;
            let wide = columns.clone().max().unwrap() - columns.min().unwrap() + 1;
            assert_eq!(pixels.len(), tall * wide, "a full rectangle");
            let share = pixels.len() as f32 / (SIDE * SIDE) as f32;
            assert!((0.08..0.34).contains(&share), "{share}");
            let aspect = tall as f32 / wide as f32;
            assert!((0.4..2.4).contains(&aspect), "{aspect}");
        }
    }

    #[test]
    fn erases_as_often_as_asked() {
        let erased = covered(r#"{"probability": 0.25}"#, 1000);
        let count = erased.iter().filter(|pixels| !pixels.is_empty()).count();
        assert!((200..300).contains(&count), "{count}");
    }

    #[test]
    fn limits_are_checked() {
        assert_eq!(
            refusal(r#"{"kind": "random-erase", "area": [0.5, 0.1]}"#),
            "option `area`: found [0.5, 0.1], expected [low, high], above 0 and at most 1"
        );
        assert!(refusal(r#"{"kind": "random-erase", "aspect": [0.0, 1.0]}"#).contains("`aspect`"));
    }
}
