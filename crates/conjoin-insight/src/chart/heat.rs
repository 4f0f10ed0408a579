//! Heat maps: attention weights, confusion matrices.

use super::{picture, rect, text_at};
use crate::markup::{Element, el, px};
use crate::{text, theme};

/// What a cell's colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// One colour, stronger with the value.
    Plain,
    /// The diagonal is right, everything else is wrong; small errors are made visible.
    Confusion,
}

/// A matrix as coloured cells.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    pub title: String,
    /// Labels of the rows, and what they are.
    pub rows: Vec<String>,
    pub row_title: String,
    /// Labels of the columns, and what they are.
    pub columns: Vec<String>,
    pub column_title: String,
    /// Row by row, in `0..=1`.
    pub values: Vec<Vec<f64>>,
    /// Text of each cell for hovering, row by row.
    pub texts: Vec<Vec<String>>,
    /// Write the texts into the cells.
    pub written: bool,
    pub tint: Tint,
    /// Side of a cell in pixels.
    pub cell: f64,
}

const FONT: f64 = 12.0;

impl HeatMap {
    /// The map as a file of its own, with its own colours for light and dark; none without cells.
    pub fn file(&self) -> Option<String> {
        let page = el("style").constant(theme::STYLE);
        let mut text = self.drawn(Some(page))?.render();
        text.push('\n');
        Some(text)
    }

    /// The map for a page that brings the style sheet; none without cells.
    pub fn svg(&self) -> Option<Element> {
        self.drawn(None)
    }

    fn drawn(&self, style: Option<Element>) -> Option<Element> {
        if self.rows.is_empty() || self.columns.is_empty() {
            return None;
        }
        let widest = |labels: &[String]| {
            labels
                .iter()
                .map(|l| text::width(l, FONT))
                .fold(0.0, f64::max)
                .min(140.0)
        };
        let turned = widest(&self.columns) > self.cell - 4.0;
        let head = if turned {
            widest(&self.columns) + 8.0
        } else {
            18.0
        };
        let beside = if self.row_title.is_empty() {
            10.0
        } else {
            26.0
        };
        let above = if self.column_title.is_empty() {
            0.0
        } else {
            20.0
        };
        let (left, top) = (widest(&self.rows) + beside, head + above);
        let width = (left + self.cell * self.columns.len() as f64)
            .max(left + text::width(&self.column_title, 11.0));
        let height = (top + self.cell * self.rows.len() as f64)
            .max(top + text::width(&self.row_title, 11.0));
        let mut svg = picture(width + 2.0, height + 2.0, &self.title)
            .all(style)
            .with(text_at(
                left,
                11.0,
                "muted small",
                self.column_title.as_str(),
            ))
            .with(
                text_at(0.0, 0.0, "muted small end", self.row_title.as_str()).set(
                    "transform",
                    format!("translate(11 {}) rotate(-90)", px(top)),
                ),
            );
        for (index, label) in self.columns.iter().enumerate() {
            let x = left + self.cell * (index as f64 + 0.5);
            let label = text::fit(label, FONT, 140.0);
            svg = svg.with(if turned {
                text_at(0.0, 0.0, "", label).set(
                    "transform",
                    format!("translate({} {}) rotate(-90)", px(x + 4.0), px(top - 6.0)),
                )
            } else {
                text_at(x, top - 6.0, "middle", label)
            });
        }
        for (index, label) in self.rows.iter().enumerate() {
            let y = top + self.cell * (index as f64 + 0.5) + 4.0;
            let label = text::fit(label, FONT, 140.0);
            svg = svg.with(text_at(left - 8.0, y, "end", label));
        }
        for row in 0..self.rows.len() {
            for column in 0..self.columns.len() {
                svg = svg.with(self.cell(row, column, left, top));
            }
        }
        let frame = rect(
            left,
            top,
            self.cell * self.columns.len() as f64,
            self.cell * self.rows.len() as f64,
        );
        Some(svg.with(frame.set("class", "cell-line")))
    }

    fn cell(&self, row: usize, column: usize, left: f64, top: f64) -> Element {
        let value = self
            .values
            .get(row)
            .and_then(|r| r.get(column))
            .copied()
            .unwrap_or(0.0);
        let value = if value.is_finite() {
            value.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let words = self
            .texts
            .get(row)
            .and_then(|r| r.get(column))
            .map_or("", String::as_str);
        let right = row == column || self.tint == Tint::Plain;
        let (colour, opacity) = match (self.tint, right) {
            (Tint::Plain, _) => ("var(--accent)", value),
            (Tint::Confusion, true) => ("var(--c2)", value * 0.85),
            // Most errors are rare: the root lifts them out of the paper.
            (Tint::Confusion, false) => ("var(--bad)", value.sqrt()),
        };
        let (x, y) = (
            left + self.cell * column as f64,
            top + self.cell * row as f64,
        );
        let mut group = el("g")
            .with(el("title").text(format!(
                "{} · {}: {words}",
                self.rows[row], self.columns[column]
            )))
            .with(
                rect(x, y, self.cell, self.cell)
                    .set("class", "cell-line")
                    .set("style", format!("fill:{colour};fill-opacity:{opacity:.3}")),
            );
        if self.written && !words.is_empty() {
            let class = if opacity > 0.6 {
                "small middle on-colour"
            } else {
                "small middle"
            };
            let middle = self.cell / 2.0;
            group = group.with(text_at(x + middle, y + middle + 4.0, class, words));
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_tells_its_value() {
        let map = HeatMap {
            title: "Attention".to_owned(),
            rows: vec!["K".to_owned(), "AE".to_owned()],
            row_title: "said".to_owned(),
            columns: ["c", "a", "t"].map(str::to_owned).to_vec(),
            column_title: "read".to_owned(),
            values: vec![vec![0.9, 0.1, 0.0], vec![0.1, f64::NAN, 2.0]],
            texts: vec![vec!["0.90".to_owned(); 3]; 2],
            written: false,
            tint: Tint::Plain,
            cell: 24.0,
        };
        let svg = map.svg().unwrap().render();
        assert_eq!(svg.matches("<title>").count(), 6);
        assert!(svg.contains("<title>AE · t: 0.90</title>"));
        assert!(!svg.contains("NaN"));
        let file = map.file().unwrap();
        assert!(file.contains("<style>") && file.contains("--accent"));
        let empty = HeatMap {
            rows: Vec::new(),
            ..map
        };
        assert!(empty.svg().is_none());
    }
}
