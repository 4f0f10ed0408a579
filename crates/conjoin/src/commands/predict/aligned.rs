//! An answer as JSON with where each of its outputs looked.

use conjoin_tasks::{PredictedSequence, Prediction};
use serde::Serialize;

/// The answer for one input.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Aligned<'a> {
    Sequence {
        input: &'a str,
        /// Symbols of the input, one a column; none where it is no token sequence.
        source: &'a [String],
        hypotheses: Vec<AlignedSequence<'a>>,
    },
    /// What has no alignment.
    Other(&'a Prediction),
}

/// One hypothesis with its alignment.
#[derive(Serialize)]
pub(super) struct AlignedSequence<'a> {
    #[serde(flatten)]
    hypothesis: &'a PredictedSequence,
    /// Attention weights, a row an output symbol (the end's last, where it was reached).
    alignment: Vec<&'a [f32]>,
}

impl<'a> Aligned<'a> {
    pub fn new(prediction: &'a Prediction) -> Self {
        let Prediction::Sequence {
            input,
            hypotheses,
            source,
        } = prediction
        else {
            return Self::Other(prediction);
        };
        Self::Sequence {
            input,
            source,
            hypotheses: hypotheses
                .iter()
                .map(|hypothesis| AlignedSequence {
                    hypothesis,
                    alignment: cut(&hypothesis.alignment, source.len()),
                })
                .collect(),
        }
    }
}

/// Rows without the columns behind the source: they pad it to the longest one of its batch.
fn cut(alignment: &[Vec<f32>], source: usize) -> Vec<&[f32]> {
    let width = |weights: &[f32]| match source {
        0 => weights.len(), // nobody knows the length
        length => length.min(weights.len()),
    };
    let rows = alignment.iter();
    rows.map(|weights| &weights[..width(weights)]).collect()
}
