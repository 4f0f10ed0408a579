//! Horizontal bars with whiskers.

use super::scale::{Scale, tick_text};
use super::{line, picture, rect, text_at};
use crate::markup::{Element, el};
use crate::{text, theme};

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub label: String,
    pub value: f64,
    /// Ends of the interval, drawn as a whisker.
    pub interval: Option<(f64, f64)>,
    /// The value as text, written at the end of the bar.
    pub text: String,
    /// Index of the categorical colour.
    pub colour: usize,
}

/// A bar chart, one bar a row, from zero.
#[derive(Debug, Clone, PartialEq)]
pub struct BarChart {
    pub title: String,
    pub bars: Vec<Bar>,
    /// Ticks as per cent.
    pub percent: bool,
    /// Width in pixels.
    pub width: f64,
}

const FONT: f64 = 12.0;
const ROW: f64 = 34.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 28.0;

impl BarChart {
    /// The chart; none without a finite bar.
    pub fn svg(&self) -> Option<Element> {
        let bars: Vec<&Bar> = self
            .bars
            .iter()
            .filter(|bar| bar.value.is_finite())
            .collect();
        let ends = |bar: &&Bar| {
            let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
            (low.min(bar.value), high.max(bar.value))
        };
        let high = bars
            .iter()
            .map(|bar| ends(bar).1)
            .reduce(f64::max)?
            .max(0.0);
        let low = bars
            .iter()
            .map(|bar| ends(bar).0)
            .reduce(f64::min)?
            .min(0.0);
        let widest = |size: &dyn Fn(&Bar) -> f64| bars.iter().map(|b| size(b)).fold(0.0, f64::max);
        let left = widest(&|bar| text::width(&bar.label, FONT)).min(self.width * 0.3) + 12.0;
        let right = self.width - widest(&|bar| text::width(&bar.text, FONT)) - 16.0;
        let height = TOP + ROW * bars.len() as f64 + BOTTOM;
        let bottom = height - BOTTOM;
        let x = Scale::new(low, high, left, right, false);

        let mut svg = picture(self.width, height, &self.title);
        for tick in x.ticks(5) {
            let at = x.at(tick);
            svg = svg.with(line(at, TOP, at, bottom, "grid")).with(text_at(
                at,
                bottom + 16.0,
                "muted middle",
                tick_text(tick, self.percent),
            ));
        }
        for (index, bar) in bars.iter().enumerate() {
            let middle = TOP + ROW * (index as f64 + 0.5);
            let (from, to) = (x.at(bar.value.min(0.0)), x.at(bar.value.max(0.0)));
            let mut group = el("g")
                .with(el("title").text(format!("{}: {}", bar.label, bar.text)))
                .with(
                    rect(from, middle - 9.0, to - from, 18.0)
                        .set("rx", 2)
                        .set("fill", theme::colour(bar.colour))
                        .set("fill-opacity", 0.8),
                )
                .with(text_at(
                    left - 8.0,
                    middle + 4.0,
                    "end",
                    text::fit(&bar.label, FONT, left - 10.0),
                ))
                .with(text_at(
                    x.at(ends(bar).1) + 8.0,
                    middle + 4.0,
                    "strong",
                    bar.text.as_str(),
                ));
            if let Some((low, high)) = bar.interval {
                let (low, high) = (x.at(low), x.at(high));
                group = group
                    .with(line(low, middle, high, middle, "whisker"))
                    .with(line(low, middle - 5.0, low, middle + 5.0, "whisker"))
                    .with(line(high, middle - 5.0, high, middle + 5.0, "whisker"));
            }
            svg = svg.with(group);
        }
        Some(svg.with(line(x.at(0.0), TOP, x.at(0.0), bottom, "axis")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar {
            label: label.to_owned(),
            value,
            interval: Some((value - 0.1, value + 0.1)),
            text: format!("{value}"),
            colour: 0,
        }
    }

    #[test]
    fn every_bar_has_its_whisker() {
        let chart = BarChart {
            title: "WER".to_owned(),
            bars: vec![
                bar("staged", 0.5),
                bar("joined", 0.3),
                bar("broken", f64::NAN),
            ],
            percent: true,
            width: 500.0,
        };
        let svg = chart.svg().unwrap().render();
        assert_eq!(svg.matches("class=\"whisker\"").count(), 6);
        assert!(!svg.contains("broken") && !svg.contains("NaN"));
        let empty = BarChart {
            bars: Vec::new(),
            ..chart
        };
        assert!(empty.svg().is_none());
    }
}
