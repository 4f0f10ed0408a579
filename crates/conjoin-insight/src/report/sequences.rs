//! Predicted sequences next to their references, with the errors in sight.

use super::page::{Section, Table, badge, strong};
use crate::markup::{Element, el};
use conjoin_tasks::alignment::{Edit, align};

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
    let mut table =
        Table::new(["Input", "Reference above, prediction below", "Errors"]).text_columns(&[1, 2]);
    for sample in samples {
        let edits = align(&sample.reference, &sample.predicted);
        let errors = edits.iter().filter(|edit| edit.is_error()).count();
        let verdict = if errors == 0 {
            badge("right", true)
        } else {
            badge(errors.to_string(), false)
        };
        table.row(vec![
            strong(sample.input.as_str()),
            alignment(&edits),
            verdict,
        ]);
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
