//! Additive Gaussian noise, with the clean values kept for denoising.

use super::{Transform, add_column, column_of, image_column};
use crate::random::DataRng;
use crate::{Columns, DataError, Field, Meaning, Sample};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f32::consts::TAU;

/// Adds independent normal noise to every element.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianNoiseConfig {
    /// The column of images, features or quantities.
    #[serde(default = "image_column")]
    pub column: String,
    /// Standard deviation, in the units of the column.
    pub std: f32,
    /// A new column that keeps the values without noise: the target of denoising.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<String>,
    /// Keep the result inside the range of the column, where that is known.
    #[serde(default = "yes")]
    pub clamp: bool,
}

fn yes() -> bool {
    true
}

impl GaussianNoiseConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let meanings = [Meaning::Image, Meaning::Features, Meaning::Quantity];
        let contract = column_of(columns, &self.column, &meanings)?.clone();
        if !(self.std > 0.0 && self.std.is_finite()) {
            return Err(DataError::config(
                "std",
                self.std.to_string(),
                "a number above 0",
            ));
        }
        let clamp = contract.range.filter(|_| self.clamp);
        if let Some(clean) = &self.clean {
            add_column(columns, "clean", clean, contract)?;
        }
        if let Some(noisy) = columns.get_mut(&self.column) {
            noisy.range = clamp;
        }
        Ok(Box::new(GaussianNoise {
            config: self.clone(),
            clamp,
        }))
    }
}

#[derive(Debug)]
struct GaussianNoise {
    config: GaussianNoiseConfig,
    clamp: Option<(f32, f32)>,
}

impl Transform for GaussianNoise {
    fn apply(&self, sample: &mut Sample, rng: &mut DataRng) -> Result<(), DataError> {
        let (shape, data) = sample.dense_mut(&self.config.column)?;
        let clean = self.config.clean.as_ref().map(|column| {
            let field = Field::Dense {
                shape: shape.clone(),
                data: data.clone(),
            };
            (column.clone(), field)
        });
        for pair in data.chunks_mut(2) {
            for (value, noise) in pair.iter_mut().zip(normal_pair(rng)) {
                *value += self.config.std * noise;
            }
        }
        if let Some((low, high)) = self.clamp {
            for value in data.iter_mut() {
                *value = value.clamp(low, high);
            }
        }
        sample.fields.extend(clean);
        Ok(())
    }
}

/// Two independent standard normal numbers (Box and Muller 1958).
fn normal_pair(rng: &mut DataRng) -> [f32; 2] {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    let (sine, cosine) = (TAU * rng.random::<f32>()).sin_cos();
    [radius * cosine, radius * sine]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, columns, image, read, refusal, sample};
    use super::*;
    use crate::random::stream;

    #[test]
    fn normal_numbers_have_the_moments_of_a_normal_distribution() {
        let mut rng = stream(1, "test", &[]);
        let draws: Vec<f64> = (0..50_000)
            .flat_map(|_| normal_pair(&mut rng))
            .map(f64::from)
            .collect();
        let moment = |power| draws.iter().map(|x| x.powi(power)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.02, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.02, "{}", moment(2));
        assert!(moment(3).abs() < 0.06, "{}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.12, "{}", moment(4));
    }

    #[test]
    fn keeps_the_clean_copy_and_the_range() {
        let json = r#"{"kind": "gaussian-noise", "std": 0.5, "clean": "clean"}"#;
        let noisy = apply(json, 3);
        assert_eq!(noisy.fields["clean"], sample().fields["image"]);
        assert_ne!(noisy.fields["image"], sample().fields["image"]);
        assert!(image(&noisy).iter().all(|v| (0.0..=1.0).contains(v)));

        let mut bound = columns();
        read(json).bind(&mut bound).unwrap();
        assert_eq!(bound["clean"], columns()["image"]);
        assert_eq!(bound["image"].range, Some((0.0, 1.0)));
        let free = r#"{"kind": "gaussian-noise", "std": 0.5, "clamp": false}"#;
        read(free).bind(&mut bound).unwrap();
        assert_eq!(bound["image"].range, None);
    }

    #[test]
    fn options_are_checked() {
        assert_eq!(
            refusal(r#"{"kind": "gaussian-noise", "std": 0.0}"#),
            "option `std`: found 0, expected a number above 0"
        );
        assert_eq!(
            refusal(r#"{"kind": "gaussian-noise", "std": 0.1, "clean": "label"}"#),
            "option `clean`: found `label`, which is there already, expected the name of a new \
             column"
        );
    }
}
