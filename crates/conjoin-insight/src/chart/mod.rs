//! Charts as SVG elements, without scripts.
//!
//! Every chart carries its title for screen readers, shows values on hover by `<title>`, and takes
//! its colours from the page (light, dark, paper).

mod bar;
mod curve;
mod heat;
mod hover;
mod line;
mod scale;
mod stack;

pub use bar::{Bar, BarChart};
pub use heat::{HeatMap, Tint};
pub use line::{Band, LineChart, Mark, Series};
pub use stack::{Part, StackedBars, StackedRow};

use crate::markup::{Element, el, px};

/// A picture of a size in pixels, with its accessible title.
pub(crate) fn picture(width: f64, height: f64, title: &str) -> Element {
    el("svg")
        .set("class", "picture")
        .set("xmlns", "http://www.w3.org/2000/svg")
        .set("viewBox", format!("0 0 {} {}", px(width), px(height)))
        .set("width", px(width))
        .set("height", px(height))
        .set("role", "img")
        .set("aria-label", title)
}

pub(crate) fn text_at(x: f64, y: f64, class: &'static str, text: impl Into<String>) -> Element {
    el("text")
        .set("x", px(x))
        .set("y", px(y))
        .set("class", class)
        .text(text)
}

pub(crate) fn rect(x: f64, y: f64, width: f64, height: f64) -> Element {
    el("rect")
        .set("x", px(x))
        .set("y", px(y))
        .set("width", px(width.max(0.0)))
        .set("height", px(height.max(0.0)))
}

pub(crate) fn line(x1: f64, y1: f64, x2: f64, y2: f64, class: &'static str) -> Element {
    el("line")
        .set("x1", px(x1))
        .set("y1", px(y1))
        .set("x2", px(x2))
        .set("y2", px(y2))
        .set("class", class)
}
