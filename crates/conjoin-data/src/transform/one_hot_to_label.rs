//! The place of the one in a vector as a class.

use super::grid::{numbers, sizes};
use super::{Transform, add_column};
use crate::random::DataRng;
use crate::{Columns, Contract, DataError, Field, Sample, Vocabulary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes a label of the first numbers of a vector, of which one is 1 and the others are 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneHotToLabelConfig {
    /// The column of vectors, `[D]` with at least as many numbers as there are classes.
    pub column: String,
    /// The new column of labels.
    pub into: String,
    /// Names of the classes, in the order of the numbers.
    pub classes: Vec<String>,
}

impl OneHotToLabelConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        let count = self.classes.len();
        let mut names: Vec<&String> = self.classes.iter().collect();
        names.sort();
        names.dedup();
        if count < 2 || names.len() < count {
            let found = format!("{:?}", self.classes);
            return Err(DataError::config(
                "classes",
                found,
                "at least two names, each once",
            ));
        }
        let form = format!("[B, D] of at least {count} numbers, one for each class");
        let [size] = sizes(columns, "column", &self.column, &form, |[size]| {
            size >= count
        })?;
        let vocabulary = Vocabulary::new(&self.into, self.classes.iter().cloned());
        let label = Contract::label(vocabulary);
        add_column(columns, "into", &self.into, label)?;
        Ok(Box::new(OneHotToLabel {
            config: self.clone(),
            size,
        }))
    }
}

#[derive(Debug)]
struct OneHotToLabel {
    config: OneHotToLabelConfig,
    size: usize,
}

impl Transform for OneHotToLabel {
    fn apply(&self, sample: &mut Sample, _rng: &mut DataRng) -> Result<(), DataError> {
        let column = &self.config.column;
        let vector = numbers(sample, column, self.size)?;
        let vector = &vector[..self.config.classes.len()];
        let place = vector.iter().position(|&v| v == 1.0);
        let others = vector.iter().filter(|&&v| v != 0.0).count();
        let (Some(place), 1) = (place, others) else {
            return Err(DataError::format(
                format!("sample `{}`, column `{column}`", sample.key),
                format!("{vector:?}"),
                "one 1 among zeros",
            ));
        };
        let label = Field::Label(place as i64);
        sample.fields.insert(self.config.into.clone(), label);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meaning;
    use crate::random::stream;

    fn columns() -> Columns {
        let light = Contract::new(Meaning::Quantity, ["B".into(), 4.into()]);
        Columns::from([("light".to_owned(), light)])
    }

    fn config(classes: &[&str]) -> OneHotToLabelConfig {
        OneHotToLabelConfig {
            column: "light".to_owned(),
            into: "light_label".to_owned(),
            classes: classes.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_one_is_the_class_and_what_follows_does_not_count() {
        let mut columns = columns();
        let transform = config(&["none", "green", "red"])
            .bind(&mut columns)
            .unwrap();
        let vocabulary = columns["light_label"].vocabulary.as_ref().unwrap();
        assert_eq!(vocabulary.symbol(2), Some("red"));
        let label = |data: [f32; 4]| {
            let shape = vec![4];
            let data = data.to_vec();
            let mut sample = Sample::new("s").with("light", Field::Dense { shape, data });
            transform
                .apply(&mut sample, &mut stream(0, "test", &[]))
                .map(|()| sample.fields["light_label"].clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(label([0.0, 0.0, 1.0, 7.5]), Ok(Field::Label(2)));
        assert_eq!(label([1.0, 0.0, 0.0, 1.0]), Ok(Field::Label(0)));
        for odd in [
            [0.0, 0.0, 0.0, 1.0],
            [1.0, 1.0, 0.0, 0.0],
            [1.0, 0.5, 0.0, 0.0],
        ] {
            let error = label(odd).unwrap_err();
            assert!(error.ends_with("expected one 1 among zeros"), "{error}");
        }
    }

    #[test]
    fn classes_must_fit() {
        let refusal = |classes: &[&str]| {
            config(classes)
                .bind(&mut columns())
                .unwrap_err()
                .to_string()
        };
        assert!(refusal(&["a"]).starts_with("option `classes`: found [\"a\"]"));
        assert!(refusal(&["a", "a"]).contains("each once"));
        assert_eq!(
            refusal(&["a", "b", "c", "d", "e"]),
            "option `column`: found `light`: quantity [B, 4], expected quantity [B, D] of at least 5 \
             numbers, one for each class"
        );
    }
}
