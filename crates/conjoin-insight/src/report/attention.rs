//! Where the system looked while it said each token.

use super::page::{Section, figure, grid};
use crate::chart::{HeatMap, Tint};

/// Attention weights of one sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// `conjoin`.
    pub title: String,
    /// Tokens that were read: the columns.
    pub inputs: Vec<String>,
    /// Tokens that were said: the rows.
    pub outputs: Vec<String>,
    /// `[outputs][inputs]`, in `0..=1`.
    pub weights: Vec<Vec<f64>>,
}

pub(super) fn section(maps: &[Attention]) -> Option<Section> {
    let figures: Vec<_> = maps
        .iter()
        .filter_map(|map| Some(figure(map.title.as_str(), map.heat_map().svg()?)))
        .collect();
    (!figures.is_empty()).then(|| {
        Section::new("attention", "Attention")
            .lead(
                "Each row is a token that was said, each column a token that was read; the darker \
                 the cell, the more weight.",
            )
            .with(grid(figures).set("class", "flow"))
    })
}

impl Attention {
    /// The picture as an SVG file of its own; none without cells.
    pub fn file(&self) -> Option<String> {
        let map = HeatMap {
            row_title: "said".to_owned(),
            column_title: "read".to_owned(),
            ..self.heat_map()
        };
        map.file()
    }

    fn heat_map(&self) -> HeatMap {
        let words = |weights: &Vec<f64>| weights.iter().map(|w| format!("{w:.2}")).collect();
        HeatMap {
            title: format!("Attention for {}", self.title),
            rows: self.outputs.clone(),
            row_title: String::new(),
            columns: self.inputs.clone(),
            column_title: String::new(),
            values: self.weights.clone(),
            texts: self.weights.iter().map(words).collect(),
            written: false,
            tint: Tint::Plain,
            cell: 26.0,
        }
    }
}
