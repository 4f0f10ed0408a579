//! Samples -> one padded array a column.

use crate::{
    Array, ArrayData, Batch, Column, Columns, Contract, DataError, Dim, Field, Meaning, Sample,
};

/// Stacks samples whose fields hold what the contracts say.
#[derive(Debug)]
pub(crate) struct Collator {
    columns: Columns,
}

impl Collator {
    pub fn new(columns: Columns) -> Self {
        Self { columns }
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Checks a sample against the contracts, so that [`Collator::collate`] can rely on it.
    ///
    /// # Errors
    /// A field is missing, or has another type, shape or index than its contract allows.
    /// `location` names the sample in messages.
    pub fn check(&self, sample: &Sample, location: impl Fn() -> String) -> Result<(), DataError> {
        for (name, contract) in &self.columns {
            let wrong = |found: String, expected: String| {
                let place = format!("{}, column `{name}`", location());
                DataError::format(place, found, expected)
            };
            match sample.fields.get(name) {
                None => return Err(wrong("nothing".to_owned(), contract.to_string())),
                Some(field) if !fits(field, contract) => {
                    return Err(wrong(field.describe(), contract.to_string()));
                }
                Some(field) => {
                    if let Some(index) = outside(field, contract) {
                        let expected = format!("an index of {contract}");
                        return Err(wrong(format!("index {index}"), expected));
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes a batch of checked samples.
    pub fn collate(&self, samples: &[Sample], indices: Vec<usize>) -> Batch {
        let columns = self.columns.iter().map(|(name, contract)| {
            let fields: Vec<&Field> = samples.iter().filter_map(|s| s.fields.get(name)).collect();
            (name.clone(), stack(&fields, contract))
        });
        Batch {
            columns: columns.collect(),
            indices,
        }
    }
}

/// Whether type and shape are those of the contract; a ragged column is free along its first
/// dimension.
fn fits(field: &Field, contract: &Contract) -> bool {
    let dims = contract.dims.get(1..).unwrap_or_default();
    let shape_fits = |shape: &[usize]| {
        let same = |(at, (dim, &size)): (usize, (&Dim, &usize))| match dim {
            Dim::Fixed(expected) => *expected == size,
            Dim::Symbol(_) => at == 0 && contract.ragged,
        };
        dims.len() == shape.len() && dims.iter().zip(shape).enumerate().all(same)
    };
    match (contract.meaning, field) {
        (Meaning::Tokens, Field::Tokens(tokens)) => shape_fits(&[tokens.len()]),
        (Meaning::Label, Field::Label(_)) => dims.is_empty(),
        (Meaning::Tokens | Meaning::Label, _) | (_, Field::Tokens(_) | Field::Label(_)) => false,
        (_, Field::Dense { shape, data }) => {
            shape_fits(shape) && data.len() == shape.iter().product::<usize>()
        }
    }
}

/// The first index that the vocabulary does not have.
fn outside(field: &Field, contract: &Contract) -> Option<i64> {
    let size = contract.vocabulary.as_ref()?.len() as i64;
    let wrong = |index: &i64| !(0..size).contains(index) && contract.ignore != Some(*index);
    match field {
        Field::Tokens(tokens) => tokens.iter().copied().find(|index| wrong(index)),
        Field::Label(label) => Some(*label).filter(wrong),
        Field::Dense { .. } => None,
    }
}

fn stack(fields: &[&Field], contract: &Contract) -> Column {
    let lengths: Vec<usize> = fields.iter().map(|field| entries(field)).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut shape = vec![fields.len()];
    let mut integers = Vec::new();
    let mut reals = Vec::new();
    if !matches!(contract.meaning, Meaning::Label) {
        shape.push(longest);
    }
    if let Some(Field::Dense { shape: first, .. }) = fields.first() {
        shape.extend_from_slice(first.get(1..).unwrap_or_default());
    }
    let row: usize = shape.iter().skip(1).product();
    let pad = contract
        .ignore
        .or(contract.vocabulary.as_ref().and_then(|v| v.pad))
        .unwrap_or(0);
    for (number, field) in (1..).zip(fields) {
        match field {
            Field::Label(label) => integers.push(*label),
            Field::Tokens(tokens) => {
                integers.extend_from_slice(tokens);
                integers.resize(number * row, pad);
            }
            Field::Dense { data, .. } => {
                reals.extend_from_slice(data);
                reals.resize(number * row, 0.0);
            }
        }
    }
    let data = match contract.meaning {
        Meaning::Tokens | Meaning::Label => ArrayData::I64(integers),
        _ => ArrayData::F32(reals),
    };
    Column {
        array: Array { shape, data },
        lengths: contract.ragged.then(|| lengths.into()),
    }
}

/// Size of a field's first dimension.
fn entries(field: &Field) -> usize {
    match field {
        Field::Tokens(tokens) => tokens.len(),
        Field::Label(_) => 1,
        Field::Dense { shape, .. } => shape.first().copied().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vocabulary;

    fn columns() -> Columns {
        let vocabulary = Vocabulary::new("v", ["a", "b", "<pad>"]);
        let mut target = Contract::tokens("T", vocabulary.clone());
        target.ignore = Some(-100);
        let speech = Contract::new(Meaning::Features, ["B".into(), "T".into(), 2.into()]);
        Columns::from([
            (
                "tokens".to_owned(),
                Contract::tokens("T", vocabulary.clone()),
            ),
            ("target".to_owned(), target),
            ("label".to_owned(), Contract::label(vocabulary)),
            ("image".to_owned(), Contract::image(1, 2, 1, (0.0, 1.0))),
            ("speech".to_owned(), speech.with_ragged(true)),
        ])
    }

    fn sample(length: usize) -> Sample {
        let dense = |shape: Vec<usize>| Field::Dense {
            data: vec![length as f32; shape.iter().product()],
            shape,
        };
        Sample::new("s")
            .with("tokens", Field::Tokens(vec![1; length]))
            .with("target", Field::Tokens(vec![-100; length]))
            .with("label", Field::Label(length as i64 - 1))
            .with("image", dense(vec![1, 2, 1]))
            .with("speech", dense(vec![length, 2]))
    }

    #[test]
    fn pads_at_the_end_with_the_right_value() {
        let batch = Collator::new(columns()).collate(&[sample(1), sample(3)], vec![4, 9]);
        assert_eq!(batch.size(), 2);
        let column = |name: &str| &batch.columns[name];
        let integers = |name: &str| match &column(name).array.data {
            ArrayData::I64(data) => data.clone(),
            ArrayData::F32(_) => panic!(),
        };
        assert_eq!(column("tokens").array.shape, [2, 3]);
        assert_eq!(integers("tokens"), [1, 2, 2, 1, 1, 1]);
        assert_eq!(integers("target"), [-100; 6]);
        assert_eq!(column("label").array.shape, [2]);
        assert_eq!(integers("label"), [0, 2]);
        assert_eq!(column("image").array.shape, [2, 1, 2, 1]);
        assert_eq!(
            column("image").array.data,
            ArrayData::F32(vec![1.0, 1.0, 3.0, 3.0])
        );
        assert_eq!(column("image").lengths, None);
        let speech = &column("speech").array;
        assert_eq!(speech.shape, [2, 3, 2]);
        let expected = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0];
        assert_eq!(speech.data, ArrayData::F32(expected.to_vec()));
        for name in ["tokens", "target", "speech"] {
            assert_eq!(column(name).lengths.as_deref(), Some(&[1, 3][..]));
        }
    }

    #[test]
    fn samples_that_break_a_contract_are_named() {
        let collator = Collator::new(columns());
        let location = || "list line 1".to_owned();
        assert!(collator.check(&sample(2), location).is_ok());
        let refusal = |sample: Sample| collator.check(&sample, location).unwrap_err().to_string();
        assert_eq!(
            refusal(sample(2).with("tokens", Field::Tokens(vec![0, 3]))),
            "list line 1, column `tokens`: found index 3, expected an index of tokens [B, T] of v(3)"
        );
        assert_eq!(
            refusal(sample(2).with("label", Field::Tokens(vec![0]))),
            "list line 1, column `label`: found tokens [1], expected label [B] of v(3)"
        );
        let image = |shape: Vec<usize>, count| Field::Dense {
            shape,
            data: vec![0.0; count],
        };
        assert!(refusal(sample(2).with("image", image(vec![2, 1, 1], 2))).contains("[2, 1, 1]"));
        assert!(refusal(sample(2).with("image", image(vec![1, 2, 1], 3))).contains("image"));
        let mut without = sample(2);
        without.fields.remove("speech");
        assert!(refusal(without).contains("column `speech`: found nothing"));
    }
}
