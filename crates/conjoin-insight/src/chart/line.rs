//! Line charts over steps: losses, learning rates, scores.

use super::curve::{Points, bulk, smooth, thin};
use super::scale::{Scale, tick_text};
use super::{hover, line, picture, rect, text_at};
use crate::markup::{Element, el, path_point, px};
use crate::{text, theme};

/// A named curve in uninterrupted pieces, one a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    /// `(x, y)` with ascending x; values that are not finite are left out.
    pub pieces: Vec<Vec<(f64, f64)>>,
    /// Points drawn as rings, such as the best score.
    pub marks: Vec<Mark>,
    /// Index of the categorical colour.
    pub colour: usize,
}

/// A point that stands out.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub x: f64,
    pub y: f64,
    pub text: String,
}

/// A named range of x, such as a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    pub from: f64,
    pub to: f64,
    pub label: String,
}

/// A line chart.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    pub title: String,
    /// Written at the end of the x axis.
    pub x_label: String,
    pub series: Vec<Series>,
    pub bands: Vec<Band>,
    /// Logarithmic y; values that are not positive are left out.
    pub log: bool,
    /// Ticks and values as per cent.
    pub percent: bool,
    /// Points over which curves are averaged; the raw curve stays behind them, faint.
    pub smoothing: Option<f64>,
    /// Width and height in pixels.
    pub size: (f64, f64),
}

const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 34.0;
const FONT: f64 = 12.0;

/// What is drawn of a series.
pub(super) struct Drawn<'a> {
    pub(super) series: &'a Series,
    raw: Vec<Points>,
    pub(super) curve: Vec<Points>,
}

/// The plot inside the margins.
pub(super) struct Frame {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl LineChart {
    /// The chart; none if there is no point to draw.
    pub fn svg(&self) -> Option<Element> {
        let drawn: Vec<Drawn<'_>> = self
            .series
            .iter()
            .map(|series| self.prepare(series))
            .collect();
        let drawn: Vec<Drawn<'_>> = drawn
            .into_iter()
            .filter(|series| series.curve.iter().any(|piece| !piece.is_empty()))
            .collect();
        let (width, height) = self.size;
        let (legend, legend_height) = self.legend(&drawn);
        let frame = self.frame(&drawn, 10.0 + legend_height)?;
        let clip = format!("clip-{:x}", fingerprint(&self.title));
        let mut plot = el("g").set("clip-path", format!("url(#{clip})"));
        for series in &drawn {
            plot = plot.all(self.curves(series, &frame));
        }
        let area = rect(
            frame.left,
            frame.top,
            frame.right - frame.left,
            frame.bottom - frame.top,
        );
        Some(
            picture(width, height, &self.title)
                .with(el("clipPath").set("id", clip).with(area))
                .all(self.bands(&frame))
                .all(self.axes(&frame))
                .all(legend)
                .with(plot)
                .all(lone_points(&drawn, &frame))
                .all(marks(&drawn, &frame))
                .all(hover::strips(self, &drawn, &frame)),
        )
    }

    fn prepare<'a>(&self, series: &'a Series) -> Drawn<'a> {
        let usable =
            |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && !(self.log && y <= 0.0);
        let raw: Vec<Points> = series
            .pieces
            .iter()
            .map(|piece| piece.iter().copied().filter(usable).collect())
            .collect();
        let curve = match self.smoothing {
            Some(window) => raw.iter().map(|piece| smooth(piece, window)).collect(),
            None => raw.clone(),
        };
        Drawn { series, raw, curve }
    }

    fn frame(&self, drawn: &[Drawn<'_>], top: f64) -> Option<Frame> {
        let points = || drawn.iter().flat_map(|s| s.curve.iter().flatten());
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(None, |range: Option<(f64, f64)>, v| {
                Some(range.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
            })
        };
        let bands = self.bands.iter().flat_map(|band| [band.from, band.to]);
        let (x_low, x_high) = ends(&mut points().map(|p| p.0).chain(bands))?;
        let smoothed = ends(&mut points().map(|p| p.1))?;
        let mut all: Vec<f64> = drawn
            .iter()
            .flat_map(|s| s.raw.iter().flatten())
            .map(|p| p.1)
            .collect();
        let raw = bulk(&mut all).unwrap_or(smoothed);
        let (y_low, y_high) = (smoothed.0.min(raw.0), smoothed.1.max(raw.1));
        // A positive quantity that comes near zero is shown from zero.
        let y_low = if !self.log && y_low > 0.0 && y_low < 0.35 * y_high {
            0.0
        } else {
            y_low
        };
        let (width, height) = self.size;
        let top = if self.bands.is_empty() {
            top
        } else {
            top + 18.0
        };
        let bottom = height - BOTTOM;
        let y = Scale::new(y_low, y_high, bottom, top, self.log).rounded(self.y_ticks());
        Some(Frame {
            x: Scale::new(x_low, x_high, LEFT, width - RIGHT, false),
            y,
            left: LEFT,
            top,
            right: width - RIGHT,
            bottom,
        })
    }

    fn y_ticks(&self) -> usize {
        (self.size.1 / 55.0) as usize
    }

    fn axes(&self, frame: &Frame) -> Vec<Element> {
        let mut out = Vec::new();
        for tick in frame.y.ticks(self.y_ticks()) {
            let y = frame.y.at(tick);
            out.push(line(frame.left, y, frame.right, y, "grid"));
            let label = tick_text(tick, self.percent);
            out.push(text_at(frame.left - 8.0, y + 4.0, "muted end", label));
        }
        out.push(line(
            frame.left,
            frame.bottom,
            frame.right,
            frame.bottom,
            "axis",
        ));
        let label_width = text::width(&self.x_label, FONT);
        for tick in frame.x.ticks((self.size.0 / 80.0) as usize) {
            let x = frame.x.at(tick);
            out.push(line(x, frame.bottom, x, frame.bottom + 4.0, "axis"));
            let label = tick_text(tick, false);
            // The label of the axis stands at its end, where a tick may be as well.
            if x + text::width(&label, FONT) / 2.0 < frame.right - label_width - 8.0 {
                out.push(text_at(x, frame.bottom + 18.0, "muted middle", label));
            }
        }
        out.push(text_at(
            frame.right,
            frame.bottom + 18.0,
            "muted end",
            self.x_label.as_str(),
        ));
        out
    }

    fn bands(&self, frame: &Frame) -> Vec<Element> {
        let mut out = Vec::new();
        for (index, band) in self.bands.iter().enumerate() {
            let (from, to) = (frame.x.at(band.from), frame.x.at(band.to));
            if index % 2 == 1 {
                out.push(
                    rect(from, frame.top, to - from, frame.bottom - frame.top).set("class", "band"),
                );
            }
            if index > 0 {
                out.push(line(from, frame.top - 16.0, from, frame.bottom, "edge"));
            }
            let label = text::fit(&band.label, 11.0, to - from - 8.0);
            if label != "…" {
                out.push(text_at(from + 5.0, frame.top - 6.0, "muted small", label));
            }
        }
        out
    }

    /// The legend in as many rows as it needs, and their height. One series needs none.
    fn legend(&self, drawn: &[Drawn<'_>]) -> (Vec<Element>, f64) {
        if drawn.len() < 2 {
            return (Vec::new(), 0.0);
        }
        let (mut x, mut y) = (LEFT, 14.0);
        let mut out = Vec::new();
        for series in drawn {
            let name = text::fit(&series.series.name, FONT, self.size.0 - LEFT - RIGHT - 40.0);
            let wide = 22.0 + text::width(&name, FONT) + 16.0;
            if x + wide > self.size.0 - RIGHT && x > LEFT {
                (x, y) = (LEFT, y + 18.0);
            }
            let swatch = rect(x, y - 7.0, 14.0, 4.0)
                .set("rx", 2)
                .set("fill", theme::colour(series.series.colour));
            out.push(swatch);
            out.push(text_at(x + 20.0, y, "", name));
            x += wide;
        }
        (out, y + 6.0)
    }

    fn curves(&self, drawn: &Drawn<'_>, frame: &Frame) -> Vec<Element> {
        let stroke = theme::colour(drawn.series.colour);
        let buckets = (self.size.0 / 2.0) as usize;
        let mut out = Vec::new();
        let mut add = |pieces: &[Points], class: &'static str| {
            for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                out.push(
                    el("path")
                        .set("class", class)
                        .set("stroke", &stroke)
                        .set("d", path(&thin(piece, buckets), frame)),
                );
            }
        };
        if self.smoothing.is_some() {
            add(&drawn.raw, "raw");
        }
        add(&drawn.curve, "curve");
        out
    }
}

/// Pieces of a single point, which have no line to show. They are not clipped: such a point is often
/// at the very edge.
fn lone_points(drawn: &[Drawn<'_>], frame: &Frame) -> Vec<Element> {
    let mut out = Vec::new();
    for series in drawn {
        let colour = theme::colour(series.series.colour);
        for piece in series.curve.iter().filter(|piece| piece.len() == 1) {
            let (x, y) = (frame.x.at(piece[0].0), frame.y.at(piece[0].1));
            out.push(dot(x, y.clamp(frame.top, frame.bottom), 4.0, &colour));
        }
    }
    out
}

fn marks(drawn: &[Drawn<'_>], frame: &Frame) -> Vec<Element> {
    let mut out = Vec::new();
    for series in drawn {
        for mark in &series.series.marks {
            out.push(
                el("circle")
                    .set("cx", px(frame.x.at(mark.x)))
                    .set("cy", px(frame.y.at(mark.y)))
                    .set("r", 4.5)
                    .set("fill", "var(--bg)")
                    .set("stroke", theme::colour(series.series.colour))
                    .set("stroke-width", 2)
                    .with(el("title").text(mark.text.as_str())),
            );
        }
    }
    out
}

pub(super) fn dot(x: f64, y: f64, radius: f64, fill: &str) -> Element {
    el("circle")
        .set("cx", px(x))
        .set("cy", px(y))
        .set("r", radius)
        .set("fill", fill)
}

fn path(points: &[(f64, f64)], frame: &Frame) -> String {
    // Far outside the plot, coordinates only cost space.
    let height = frame.bottom - frame.top;
    let (above, below) = (frame.top - height, frame.bottom + height);
    let mut out = String::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        path_point(
            &mut out,
            command,
            frame.x.at(x),
            frame.y.at(y).clamp(above, below),
        );
    }
    out
}

/// FNV-1a: an id for the clip path that is the same in every run.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(pieces: Vec<Points>) -> LineChart {
        LineChart {
            title: "Loss".to_owned(),
            x_label: "step".to_owned(),
            series: vec![Series {
                name: "total".to_owned(),
                pieces,
                marks: Vec::new(),
                colour: 0,
            }],
            bands: Vec::new(),
            log: false,
            percent: false,
            smoothing: None,
            size: (600.0, 300.0),
        }
    }

    #[test]
    fn no_points_no_chart() {
        assert!(chart(vec![Vec::new()]).svg().is_none());
        assert!(chart(vec![vec![(0.0, f64::NAN)]]).svg().is_none());
        let log = LineChart {
            log: true,
            ..chart(vec![vec![(0.0, -1.0), (1.0, 0.0)]])
        };
        assert!(log.svg().is_none());
    }

    #[test]
    fn pieces_are_not_joined() {
        let two = vec![vec![(0.0, 1.0), (1.0, 2.0)], vec![(2.0, 1.0), (3.0, 2.0)]];
        let svg = chart(two).svg().unwrap().render();
        assert_eq!(svg.matches("class=\"curve\"").count(), 2);
        assert!(svg.contains("step 3\ntotal: 2.000"));
    }
}
