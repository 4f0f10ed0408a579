//! Which class was taken for which.

use super::page::{Section, Table, figure, meter, plain};
use crate::chart::{HeatMap, Tint};
use crate::number;

/// Counts of predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassResults {
    pub classes: Vec<String>,
    /// `[true class][predicted class]`.
    pub confusion: Vec<Vec<u64>>,
}

/// Above this number of classes, cells are small and hold no numbers.
const WRITTEN: usize = 14;

impl ClassResults {
    fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.confusion
            .get(truth)
            .and_then(|row| row.get(predicted))
            .copied()
            .unwrap_or(0)
    }

    /// Samples of a class.
    fn of_class(&self, truth: usize) -> u64 {
        (0..self.classes.len())
            .map(|predicted| self.count(truth, predicted))
            .sum()
    }

    /// Predictions of a class.
    fn predicted(&self, class: usize) -> u64 {
        (0..self.classes.len())
            .map(|truth| self.count(truth, class))
            .sum()
    }

    /// The class that a class is most often taken for.
    fn mistaken_for(&self, truth: usize) -> Option<(usize, u64)> {
        (0..self.classes.len())
            .filter(|&predicted| predicted != truth)
            .map(|predicted| (predicted, self.count(truth, predicted)))
            .filter(|&(_, count)| count > 0)
            .max_by_key(|&(predicted, count)| (count, std::cmp::Reverse(predicted)))
    }
}

pub(super) fn section(results: &ClassResults) -> Option<Section> {
    if results.classes.is_empty() {
        return None;
    }
    Some(
        Section::new("classes", "Class by class")
            .lead("Right predictions in green on the diagonal, errors in red; a row adds up to 100 %.")
            .with(table(results).build())
            .with(figure("Confusion", heat_map(results).svg()?)),
    )
}

fn table(results: &ClassResults) -> Table {
    let mut table = Table::new([
        "Class",
        "Samples",
        "Accuracy",
        "Precision",
        "Most often taken for",
    ])
    .text_columns(&[2, 3, 4]);
    for (class, name) in results.classes.iter().enumerate() {
        let share = |whole: u64| {
            let share = results.count(class, class) as f64 / whole.max(1) as f64;
            meter(
                share,
                if whole == 0 {
                    "–".to_owned()
                } else {
                    number::percent(share, 1)
                },
            )
        };
        let mistaken = results
            .mistaken_for(class)
            .map_or_else(String::new, |(other, count)| {
                format!("{} ({})", results.classes[other], number::count(count))
            });
        table.row(vec![
            plain(name.as_str()),
            plain(number::count(results.of_class(class))),
            share(results.of_class(class)),
            share(results.predicted(class)),
            plain(mistaken),
        ]);
    }
    table
}

fn heat_map(results: &ClassResults) -> HeatMap {
    let indices = || 0..results.classes.len();
    let row = |truth: usize| -> Vec<f64> {
        let whole = results.of_class(truth).max(1) as f64;
        indices()
            .map(|predicted| results.count(truth, predicted) as f64 / whole)
            .collect()
    };
    let written = results.classes.len() <= WRITTEN;
    let text = |truth: usize, predicted: usize| match results.count(truth, predicted) {
        0 if written => String::new(),
        count => number::count(count),
    };
    HeatMap {
        title: "Confusion matrix".to_owned(),
        rows: results.classes.clone(),
        row_title: "true class".to_owned(),
        columns: results.classes.clone(),
        column_title: "predicted class".to_owned(),
        values: indices().map(row).collect(),
        texts: indices()
            .map(|t| indices().map(|p| text(t, p)).collect())
            .collect(),
        written,
        tint: Tint::Confusion,
        cell: if written { 44.0 } else { 18.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_mistake_is_named() {
        let results = ClassResults {
            classes: ["shirt", "coat", "bag"].map(str::to_owned).to_vec(),
            confusion: vec![vec![7, 2, 1], vec![0, 10, 0], vec![1, 1, 8]],
        };
        assert_eq!(results.mistaken_for(0), Some((1, 2)));
        assert_eq!(results.mistaken_for(1), None);
        assert_eq!(results.mistaken_for(2), Some((0, 1)));
        assert_eq!((results.of_class(0), results.predicted(0)), (10, 8));
    }
}
