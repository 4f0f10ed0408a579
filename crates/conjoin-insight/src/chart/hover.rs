//! Values on hover: invisible strips across a line chart, without scripts.

use super::curve::Points;
use super::line::{Drawn, Frame, LineChart, dot};
use super::{line, rect};
use crate::markup::{Element, el};
use crate::{number, theme};
use std::fmt::Write;

/// Strips across the plot.
const STRIPS: usize = 60;

/// Invisible strips that tell the values at their x when the pointer rests on them.
pub(super) fn strips(chart: &LineChart, drawn: &[Drawn<'_>], frame: &Frame) -> Vec<Element> {
    let mut xs: Vec<f64> = drawn
        .iter()
        .flat_map(|s| s.curve.iter().flatten().map(|p| p.0))
        .collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let every = xs.len().div_ceil(STRIPS).max(1);
    let chosen: Vec<f64> = xs.iter().copied().skip(every / 2).step_by(every).collect();
    let mut out = Vec::new();
    for (index, &x) in chosen.iter().enumerate() {
        let at = frame.x.at(x);
        let middle = |other: Option<&f64>, end: f64| {
            other.map_or(end, |&other| f64::midpoint(at, frame.x.at(other)))
        };
        let from = middle(index.checked_sub(1).and_then(|i| chosen.get(i)), frame.left);
        let to = middle(chosen.get(index + 1), frame.right);
        let mut words = format!("{} {}", chart.x_label, number::count(x.max(0.0) as u64));
        let mut group = el("g").set("class", "tip");
        let mut dots = Vec::new();
        for series in drawn {
            let Some(y) = value_at(&series.curve, x) else {
                continue;
            };
            let value = if chart.percent {
                number::percent(y, 2)
            } else {
                number::significant(y, 4)
            };
            // Writing to a string cannot fail.
            let _ = write!(words, "\n{}: {value}", series.series.name);
            let colour = theme::colour(series.series.colour);
            let y = frame.y.at(y);
            if (frame.top..=frame.bottom).contains(&y) {
                dots.push(dot(at, y, 4.0, &colour));
            }
        }
        group = group
            .with(el("title").text(words))
            .with(rect(from, frame.top, to - from, frame.bottom - frame.top))
            .with(line(at, frame.top, at, frame.bottom, "guide"))
            .all(dots);
        out.push(group);
    }
    out
}

/// The value of the piece that covers `x`, at its nearest point.
fn value_at(pieces: &[Points], x: f64) -> Option<f64> {
    let piece = pieces.iter().find(|piece| {
        piece.first().is_some_and(|p| p.0 <= x) && piece.last().is_some_and(|p| x <= p.0)
    })?;
    let after = piece.partition_point(|p| p.0 < x);
    let nearest = [after.checked_sub(1), Some(after)]
        .into_iter()
        .flatten()
        .filter_map(|i| piece.get(i))
        .min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs()))?;
    Some(nearest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_between_pieces_are_unknown() {
        let pieces = vec![vec![(0.0, 1.0), (2.0, 3.0)], vec![(5.0, 7.0)]];
        assert_eq!(value_at(&pieces, 1.9), Some(3.0));
        assert_eq!(value_at(&pieces, 3.0), None);
        assert_eq!(value_at(&pieces, 5.0), Some(7.0));
    }
}
