//! Stacked horizontal bars: what a whole is made of.

use super::{picture, rect, text_at};
use crate::markup::{Element, el};
use crate::{number, text, theme};

/// A part of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub name: String,
    pub value: f64,
    /// Index of the categorical colour.
    pub colour: usize,
    /// Opacity, for parts that share a colour.
    pub shade: f64,
}

/// A row of parts.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedRow {
    pub label: String,
    pub parts: Vec<Part>,
}

/// Rows of seconds on one scale.
#[derive(Debug, Clone, PartialEq)]
pub struct StackedBars {
    pub title: String,
    pub rows: Vec<StackedRow>,
    /// Width in pixels.
    pub width: f64,
}

const FONT: f64 = 12.0;
const ROW: f64 = 42.0;
const BAR: f64 = 26.0;

impl StackedBars {
    /// The chart; none if nothing took any time.
    pub fn svg(&self) -> Option<Element> {
        let total = |row: &StackedRow| row.parts.iter().map(|part| part.value).sum::<f64>();
        let longest = self.rows.iter().map(total).fold(0.0, f64::max);
        if !(longest > 0.0 && longest.is_finite()) {
            return None;
        }
        let label_width = |row: &StackedRow| text::width(&row.label, FONT);
        let left = self.rows.iter().map(label_width).fold(0.0, f64::max);
        let left = left.min(self.width * 0.25) + 12.0;
        let right = self.width - 90.0;
        let mut svg = picture(self.width, ROW * self.rows.len() as f64, &self.title);
        for (index, row) in self.rows.iter().enumerate() {
            let top = ROW * index as f64 + (ROW - BAR) / 2.0;
            let baseline = top + BAR / 2.0 + 4.0;
            let label = text::fit(&row.label, FONT, left - 10.0);
            svg = svg.with(text_at(left - 8.0, baseline, "end", label));
            let mut x = left;
            for part in row.parts.iter().filter(|part| part.value > 0.0) {
                let wide = part.value / longest * (right - left);
                svg = svg.with(segment(part, x, top, wide, total(row)));
                x += wide;
            }
            let whole = number::duration(total(row));
            svg = svg.with(text_at(x + 8.0, baseline, "strong", whole));
        }
        Some(svg)
    }
}

fn segment(part: &Part, x: f64, top: f64, wide: f64, whole: f64) -> Element {
    let words = format!(
        "{}: {} ({})",
        part.name,
        number::duration(part.value),
        number::percent(part.value / whole, 1)
    );
    let shape = rect(x, top, wide, BAR)
        .set("class", "seam")
        .set("fill", theme::colour(part.colour))
        .set("fill-opacity", part.shade);
    let group = el("g").with(el("title").text(words)).with(shape);
    if text::width(&part.name, 11.0) + 10.0 > wide {
        return group;
    }
    // Light shades need dark text.
    let class = if part.shade > 0.7 {
        "small middle on-colour"
    } else {
        "small middle"
    };
    let baseline = top + BAR / 2.0 + 4.0;
    group.with(text_at(x + wide / 2.0, baseline, class, part.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_wide_as_their_share() {
        let part = |value| Part {
            name: "x".to_owned(),
            value,
            colour: 0,
            shade: 1.0,
        };
        let chart = StackedBars {
            title: "Time".to_owned(),
            rows: vec![StackedRow {
                label: String::new(),
                parts: vec![part(1.0), part(3.0), part(0.0)],
            }],
            width: 502.0,
        };
        let svg = chart.svg().unwrap().render();
        assert!(
            svg.contains("width=\"100\"") && svg.contains("width=\"300\""),
            "{svg}"
        );
        assert_eq!(svg.matches("class=\"seam\"").count(), 2);
    }
}
