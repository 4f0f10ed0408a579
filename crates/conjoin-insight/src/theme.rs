//! Colours and line styles of every picture, light, dark and on paper.

/// Style sheet of the SVG classes. A picture in the report inherits it from the page; a picture in
/// its own file carries it.
pub(crate) const STYLE: &str = include_str!("theme.css");

/// Number of categorical colours (`--c0` …).
const COLOURS: usize = 8;

/// The categorical colour of a series.
pub(crate) fn colour(index: usize) -> String {
    format!("var(--c{})", index % COLOURS)
}
