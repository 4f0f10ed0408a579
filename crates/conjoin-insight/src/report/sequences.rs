//! Predicted sequences next to their references, with the errors in sight.

use super::page::{Section, Table, badge, strong};
use crate::markup::{Element, el};
use conjoin_tasks::alignment::{Edit, align};

/// Characters of an input that fit into a column.
const LONG_INPUT: usize = 28;

/// One predicted sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSample {
    /// What was read, such as a spelling.
    pub input: String,
    pub predicted: Vec<String>,
    /// The reference that is nearest to the prediction.
    pub reference: Vec<String>,
}

pub(super) fn section(samples: &[SequenceSample]) -> Option<Section> {
    if samples.is_empty() {
        return None;
    }
    // Sentences would push what they became out of sight: they stand above it.
    let long = samples.iter().any(|s| s.input.chars().count() > LONG_INPUT);
    let mut table = if long {
        Table::new(["Input, reference, prediction", "Errors"]).text_columns(&[1])
    } else {
        Table::new(["Input", "Reference above, prediction below", "Errors"]).text_columns(&[1, 2])
    };
    for sample in samples {
        let edits = align(&sample.reference, &sample.predicted);
        let errors = edits.iter().filter(|edit| edit.is_error()).count();
        let verdict = if errors == 0 {
            badge("right", true)
        } else {
            badge(errors.to_string(), false)
        };
        let (input, tokens) = (strong(sample.input.as_str()), alignment(&edits));
        table.row(if long {
            vec![
                el("div").set("class", "stack").with(input).with(tokens),
                verdict,
            ]
        } else {
            vec![input, tokens, verdict]
        });
    }
    let lead = "Tokens that differ are marked; a dot stands where one side has no token.";
    let section = Section::new("sequences", "Predictions").lead(lead);
    Some(section.with(table.build()))
}

fn alignment(edits: &[Edit<'_, String>]) -> Element {
    let right = edits.iter().all(|edit| !edit.is_error());
    el("span")
        .set("class", "tokens")
        .all(edits.iter().map(|edit| {
            let (class, reference, predicted) = match *edit {
                Edit::Match(token) => ("", token.as_str(), token.as_str()),
                Edit::Substitution { reference, output } => {
                    ("sub", reference.as_str(), output.as_str())
                }
                Edit::Insertion(token) => ("ins", "·", token.as_str()),
                Edit::Deletion(token) => ("del", token.as_str(), "·"),
            };
            let column = el("span").set("class", format!("pair {class}"));
            // A right prediction needs no second row.
            let column = if right {
                column
            } else {
                column.with(el("span").text(reference))
            };
            column.with(el("span").text(predicted))
        }))
}
