//! Zero mean and unit variance.

use super::{Transform, column_of, image_column};
use crate::random::DataRng;
use crate::{Columns, DataError, Dim, Meaning, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `(x - mean) / std`, a channel; the contract records it, so that a module trained on other
/// numbers is not wired to these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormaliseConfig {
    /// The column of images, features or quantities.
    #[serde(default = "image_column")]
    pub column: String,
    /// One mean for all, or one for each entry of the last dimension.
    pub mean: Vec<f32>,
    /// One standard deviation for all, or one for each entry of the last dimension.
    pub std: Vec<f32>,
}

impl NormaliseConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let meanings = [Meaning::Image, Meaning::Features, Meaning::Quantity];
        let contract = column_of(columns, &self.column, &meanings)?;
        let channels = contract.dims.last().and_then(Dim::size);
        let fits = |count| count == 1 || Some(count) == channels;
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            if !fits(values.len()) || values.iter().any(|v| !v.is_finite()) {
                let expected = match channels {
                    Some(n) if n > 1 => format!("1 or {n} finite numbers"),
                    _ => "one finite number".to_owned(),
                };
                return Err(DataError::config(key, format!("{values:?}"), expected));
            }
        }
        if self.std.iter().any(|&std| std <= 0.0) {
            return Err(DataError::config(
                "std",
                format!("{:?}", self.std),
                "numbers above 0",
            ));
        }
        let count = self.mean.len().max(self.std.len());
        let each = |values: &[f32], i: usize| values[i % values.len()];
        let scales: Vec<(f32, f32)> = (0..count)
            .map(|i| (each(&self.mean, i), each(&self.std, i)))
            .collect();
        if let Some(contract) = columns.get_mut(&self.column) {
            let before = contract.normaliser.as_deref().unwrap_or("x");
            contract.normaliser = Some(format!("({before} - {:?})/{:?}", self.mean, self.std));
            contract.range = contract.range.map(|(low, high)| {
                let ends = |value: f32| scales.iter().map(move |(mean, std)| (value - mean) / std);
                (
                    ends(low).fold(f32::INFINITY, f32::min),
                    ends(high).fold(f32::NEG_INFINITY, f32::max),
                )
            });
        }
        Ok(Box::new(Normalise {
            column: self.column.clone(),
            scales,
        }))
    }
}

#[derive(Debug)]
struct Normalise {
    column: String,
    /// Mean and standard deviation, one pair or one for each channel.
    scales: Vec<(f32, f32)>,
}

impl Transform for Normalise {
    fn apply(&self, sample: &mut Sample, _rng: &mut DataRng) -> Result<(), DataError> {
        let (_, data) = sample.dense_mut(&self.column)?;
        for (value, (mean, std)) in data.iter_mut().zip(self.scales.iter().cycle()) {
            *value = (*value - mean) / std;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, columns, image, read, refusal};
    use super::*;
    use crate::random::stream;
    use crate::{Contract, Field};

    #[test]
    fn numbers_range_and_contract_change_together() {
        let json = r#"{"kind": "normalise", "mean": [0.5], "std": [0.25]}"#;
        let sample = apply(json, 0);
        assert_eq!(image(&sample)[0], -2.0);
        assert!((image(&sample)[8] - (8.0 / 9.0 - 0.5) * 4.0).abs() < 1e-6);
        let mut columns = columns();
        read(json).bind(&mut columns).unwrap();
        assert_eq!(columns["image"].range, Some((-2.0, 2.0)));
        assert_eq!(
            columns["image"].normaliser.as_deref(),
            Some("(x - [0.5])/[0.25]")
        );
    }

    #[test]
    fn channels_have_their_own_numbers() {
        let config: NormaliseConfig =
            serde_json::from_str(r#"{"column": "f", "mean": [1.0, 2.0], "std": [2.0]}"#).unwrap();
        let contract = Contract::new(Meaning::Features, ["B".into(), 2.into()]);
        let mut columns = Columns::from([("f".to_owned(), contract)]);
        let transform = config.bind(&mut columns).unwrap();
        let field = Field::Dense {
            shape: vec![2],
            data: vec![3.0, 6.0],
        };
        let mut sample = Sample::new("k").with("f", field);
        transform
            .apply(&mut sample, &mut stream(0, "test", &[]))
            .unwrap();
        assert_eq!(sample.dense_mut("f").unwrap().1, &[1.0, 2.0]);
    }

    #[test]
    fn counts_and_signs_are_checked() {
        assert_eq!(
            refusal(r#"{"kind": "normalise", "mean": [0.5, 0.5], "std": [1.0]}"#),
            "option `mean`: found [0.5, 0.5], expected one finite number"
        );
        assert_eq!(
            refusal(r#"{"kind": "normalise", "mean": [0.5], "std": [0.0]}"#),
            "option `std`: found [0.0], expected numbers above 0"
        );
    }
}
