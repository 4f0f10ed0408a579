//! The graph as a layered drawing (Sugiyama, Tagawa and Toda 1981): data columns at the top,
//! modules below what they read, objectives at the bottom.
//!
//! ```text
//! rank    which row each node stands in            (longest path, then shortened wires)
//! layers  rows of nodes, labels and bends          (every wire a chain through the rows)
//! order   from left to right in each row           (few crossings)
//! place   coordinates                              (short and straight wires, no overlap)
//! render  SVG
//! ```
//!
//! A wire's label is an item of its own in a row of labels, so that no label can cover a box or
//! another label, and between the rows a wire keeps to a slot of its own.

mod layers;
mod order;
mod place;
mod rank;
mod render;
#[cfg(test)]
mod tests;

use crate::markup::Element;

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawState {
    /// A module whose weights change.
    Trained,
    /// A module whose weights stay.
    Frozen,
    /// A module that takes no part.
    Idle,
    /// A data column.
    Column,
    /// An objective.
    Objective,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawNode {
    /// Unique; written first.
    pub name: String,
    /// Written below the name: the kind of a module, the loss of an objective, the contract of a
    /// column. May be empty.
    pub kind: String,
    /// Number of weights.
    pub params: Option<usize>,
    pub state: DrawState,
}

/// How a wire is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EdgeStyle {
    /// A scheduled wire, which moves from ground truth to prediction: dashed.
    pub scheduled: bool,
    /// Only the contract is read (a vocabulary): dotted.
    pub contract_only: bool,
    /// No gradient flows back: two bars before the arrow.
    pub stop_gradient: bool,
}

/// A wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawEdge {
    /// Name of the box it leaves.
    pub from: String,
    /// Name of the box it enters.
    pub to: String,
    /// Contract and shape, such as `states\nfeatures [B, T, 384]`. Each line is one line of the
    /// drawing; may be empty.
    pub label: String,
    pub style: EdgeStyle,
}

/// A graph to be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawing {
    pub title: String,
    pub nodes: Vec<DrawNode>,
    pub edges: Vec<DrawEdge>,
}

/// A drawing that refers to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    #[error("wire from {from:?} to {to:?}: there is no box {missing:?}")]
    UnknownBox {
        from: String,
        to: String,
        missing: String,
    },
    #[error("there are two boxes {0:?}")]
    Twice(String),
}

/// A rectangle of the finished layout, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    /// Whether the insides of both have a point in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub width: f64,
    pub height: f64,
    /// One a node, in the order of [`Drawing::nodes`].
    pub boxes: Vec<Area>,
    /// One an edge that has a label, with its index in [`Drawing::edges`].
    pub labels: Vec<(usize, Area)>,
    /// One an edge, in the order of [`Drawing::edges`].
    wires: Vec<Wire>,
}

/// The course of a wire: curves between points that are vertical at both ends.
#[derive(Debug, Clone, PartialEq, Default)]
struct Wire {
    /// From the source's side to the target's side.
    points: Vec<(f64, f64)>,
    /// A wire from a box to itself, drawn as a loop at its side.
    is_loop: bool,
}

impl Drawing {
    /// Computes where everything stands.
    pub fn layout(&self) -> Result<Layout, DrawError> {
        let mut ends = Vec::with_capacity(self.edges.len());
        for (index, node) in self.nodes.iter().enumerate() {
            if self.nodes[..index]
                .iter()
                .any(|other| other.name == node.name)
            {
                return Err(DrawError::Twice(node.name.clone()));
            }
        }
        for edge in &self.edges {
            let find = |name: &str| {
                let index = self.nodes.iter().position(|node| node.name == name);
                index.ok_or_else(|| DrawError::UnknownBox {
                    from: edge.from.clone(),
                    to: edge.to.clone(),
                    missing: name.to_owned(),
                })
            };
            ends.push((find(&edge.from)?, find(&edge.to)?));
        }
        let ranking = rank::rank(self.nodes.len(), &ends, |edge| {
            !self.edges[edge].style.scheduled
        });
        let mut layers = layers::build(self, &ends, &ranking);
        order::order(&mut layers);
        Ok(place::place(self, &ends, &ranking, &layers))
    }

    /// A complete SVG file, with its own colours for light and dark.
    pub fn svg(&self) -> Result<String, DrawError> {
        let mut text = render::render(self, &self.layout()?, true).render();
        text.push('\n');
        Ok(text)
    }

    /// The drawing for a page that brings the style sheet.
    pub(crate) fn element(&self) -> Result<Element, DrawError> {
        Ok(render::render(self, &self.layout()?, false))
    }
}
