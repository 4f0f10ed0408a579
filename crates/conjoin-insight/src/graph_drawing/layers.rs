//! Rows of items: nodes in even rows, labels in odd rows, and bends where a wire passes a row.

use super::rank::Ranking;
use super::{DrawNode, Drawing, EdgeStyle};
use crate::{number, text};

pub(super) const NAME_SIZE: f64 = 13.0;
pub(super) const KIND_SIZE: f64 = 11.0;
pub(super) const LABEL_SIZE: f64 = 10.5;
pub(super) const LABEL_LINE: f64 = 14.0;
pub(super) const BOX_HEIGHT: f64 = 46.0;
/// The widest text in a box or label; longer ones are cut, and told in full on hover.
pub(super) const WIDEST: f64 = 210.0;
/// Room at the right of a box for the loop of a wire that returns to it.
pub(super) const LOOP: f64 = 30.0;
const BEND: f64 = 10.0;

/// What stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Node(usize),
    /// The label of an edge, which its wire runs through.
    Label(usize),
    /// A wire that passes.
    Bend,
}

/// An item with its size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vertex {
    pub(super) item: Item,
    pub(super) row: usize,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// All rows. `rows[r]` lists vertices from left to right.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layers {
    pub(super) vertices: Vec<Vertex>,
    pub(super) rows: Vec<Vec<usize>>,
    /// `(upper, lower)` vertices of neighbouring rows.
    pub(super) links: Vec<(usize, usize)>,
    /// For each edge its vertices from the upper node to the lower node; empty for a loop.
    pub(super) chains: Vec<Vec<usize>>,
}

impl Layers {
    fn add(&mut self, vertex: Vertex) -> usize {
        let index = self.vertices.len();
        self.rows[vertex.row].push(index);
        self.vertices.push(vertex);
        index
    }
}

/// The text below the name.
pub(super) fn second_line(node: &DrawNode) -> String {
    let params = node.params.map(number::weights);
    match (node.kind.is_empty(), params) {
        (_, None) => node.kind.clone(),
        (true, Some(params)) => params,
        (false, Some(params)) => format!("{} · {params}", node.kind),
    }
}

pub(super) fn box_width(node: &DrawNode) -> f64 {
    let name = text::width(&node.name, NAME_SIZE) * 1.06;
    let widest = name.max(text::width(&second_line(node), KIND_SIZE));
    widest.clamp(56.0, WIDEST) + 26.0
}

/// Width and height of a label.
pub(super) fn label_size(label: &str) -> (f64, f64) {
    let widest = label
        .lines()
        .map(|l| text::width(l, LABEL_SIZE))
        .fold(0.0, f64::max);
    (
        widest.min(WIDEST) + 10.0,
        LABEL_LINE * label.lines().count() as f64 + 4.0,
    )
}

/// Rows in the order of the declaration.
pub(super) fn build(drawing: &Drawing, ends: &[(usize, usize)], ranking: &Ranking) -> Layers {
    let ranks = ranking.rank.iter().max().map_or(0, |last| last + 1);
    let mut layers = Layers {
        rows: vec![Vec::new(); (2 * ranks).saturating_sub(1)],
        ..Layers::default()
    };
    for (index, node) in drawing.nodes.iter().enumerate() {
        let loops: f64 = drawing
            .edges
            .iter()
            .zip(ends)
            .filter(|&(_, &(from, to))| from == index && to == index)
            .map(|(edge, _)| LOOP + label_size(&edge.label).0)
            .sum();
        layers.add(Vertex {
            item: Item::Node(index),
            row: 2 * ranking.rank[index],
            // Symmetric, so that the box keeps to the middle of its slot.
            width: box_width(node) + 2.0 * loops,
            height: BOX_HEIGHT,
        });
    }
    let mut crowd = vec![0.0; layers.rows.len()];
    for (edge, &(from, to)) in ends.iter().enumerate() {
        if from == to {
            layers.chains.push(Vec::new());
            continue;
        }
        let (upper, lower) = if ranking.reversed[edge] {
            (to, from)
        } else {
            (from, to)
        };
        let (first, last) = (2 * ranking.rank[upper] + 1, 2 * ranking.rank[lower] - 1);
        let label = &drawing.edges[edge].label;
        let label_row = emptiest(&crowd, first, last, drawing.edges[edge].style);
        let mut chain = vec![upper];
        if !label.is_empty() {
            crowd[label_row] += label_size(label).0;
        }
        for row in first..=last {
            let (item, (width, height)) = if row == label_row && !label.is_empty() {
                (Item::Label(edge), label_size(label))
            } else {
                (Item::Bend, (BEND, 0.0))
            };
            chain.push(layers.add(Vertex {
                item,
                row,
                width,
                height,
            }));
        }
        chain.push(lower);
        layers
            .links
            .extend(chain.windows(2).map(|pair| (pair[0], pair[1])));
        layers.chains.push(chain);
    }
    layers
}

/// The row of labels with the most room: near the reader for a plain wire, near the source for one
/// that runs back.
fn emptiest(crowd: &[f64], first: usize, last: usize, style: EdgeStyle) -> usize {
    let mut best = if style.scheduled { first } else { last };
    for row in (first..=last).step_by(2) {
        if crowd[row] + 60.0 < crowd[best] {
            best = row;
        }
    }
    best
}
