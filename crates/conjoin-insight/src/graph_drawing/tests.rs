//! No box, label or wire covers another box or label, whatever the graph.

use super::*;

/// A small linear congruential generator (Knuth 1981), so that the graphs are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

fn random_drawing(seed: u64) -> Drawing {
    let mut random = Random(seed);
    let count = 2 + random.below(17);
    let states = [
        DrawState::Trained,
        DrawState::Frozen,
        DrawState::Column,
        DrawState::Objective,
    ];
    let nodes = (0..count)
        .map(|index| DrawNode {
            name: format!("{}_{index}", "n".repeat(1 + random.below(14))),
            kind: if random.below(4) == 0 {
                String::new()
            } else {
                "recurrent".to_owned()
            },
            params: (random.below(2) == 0).then(|| random.below(2_000_000)),
            state: states[random.below(4)],
        })
        .collect::<Vec<_>>();
    let edges = (0..count + random.below(count))
        .map(|_| {
            let (a, b) = (random.below(count), random.below(count));
            let scheduled = random.below(6) == 0;
            // Most wires run forwards; a scheduled one may run back or return to its own box.
            let (from, to) = if scheduled {
                (a, b)
            } else {
                (a.min(b), a.max(b))
            };
            DrawEdge {
                from: nodes[from].name.clone(),
                to: nodes[to].name.clone(),
                label: ["", "x [B]", "states\nfeatures [B, T, 384]"][random.below(3)].to_owned(),
                style: EdgeStyle {
                    scheduled,
                    contract_only: false,
                    stop_gradient: random.below(5) == 0,
                },
            }
        })
        .collect();
    Drawing {
        title: format!("graph {seed}"),
        nodes,
        edges,
    }
}

/// The straight pieces of a wire, which lie within rows; the curved ones lie between rows.
fn straight_pieces(wire: &Wire) -> Vec<Area> {
    let inner = wire
        .points
        .get(1..wire.points.len().saturating_sub(1))
        .unwrap_or_default();
    if wire.is_loop {
        return Vec::new();
    }
    inner
        .chunks(2)
        .map(|pair| Area {
            x: pair[0].0,
            y: pair[0].1.min(pair[1].1),
            width: 0.0,
            height: (pair[0].1 - pair[1].1).abs(),
        })
        .collect()
}

#[test]
fn nothing_covers_anything() {
    for seed in 0..300 {
        let drawing = random_drawing(seed);
        let layout = drawing.layout().unwrap();
        let labels = layout.labels.iter().map(|&(edge, area)| (Some(edge), area));
        let areas: Vec<(Option<usize>, Area)> = layout
            .boxes
            .iter()
            .map(|&area| (None, area))
            .chain(labels)
            .collect();
        let labelled = drawing
            .edges
            .iter()
            .filter(|edge| !edge.label.is_empty())
            .count();
        assert_eq!(layout.labels.len(), labelled, "graph {seed}");
        for (index, (_, a)) in areas.iter().enumerate() {
            for (_, b) in &areas[..index] {
                assert!(!a.overlaps(b), "graph {seed}: {a:?} covers {b:?}");
            }
            let inside = a.x >= 0.0
                && a.y >= 0.0
                && a.x + a.width <= layout.width
                && a.y + a.height <= layout.height;
            assert!(inside, "graph {seed}: {a:?} lies outside");
        }
        for (edge, wire) in layout.wires.iter().enumerate() {
            for piece in straight_pieces(wire) {
                for (owner, area) in &areas {
                    let own = *owner == Some(edge);
                    assert!(
                        own || !piece.overlaps(area),
                        "graph {seed}: wire {edge} on {area:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn wires_between_rows_stay_between_rows() {
    for seed in 0..100 {
        let drawing = random_drawing(seed);
        let layout = drawing.layout().unwrap();
        for wire in layout.wires.iter().filter(|wire| !wire.is_loop) {
            for pair in wire.points.chunks(2) {
                let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
                let gap = Area {
                    x: ax.min(bx),
                    y: ay.min(by),
                    width: (ax - bx).abs(),
                    height: (ay - by).abs(),
                };
                for area in &layout.boxes {
                    // Boxes of unlike rows end where the gap begins.
                    let within =
                        area.y + 0.01 < gap.y + gap.height && gap.y + 0.01 < area.y + area.height;
                    assert!(!within, "graph {seed}: {gap:?} meets {area:?}");
                }
            }
        }
    }
}

#[test]
fn the_same_graph_gives_the_same_drawing() {
    assert_eq!(random_drawing(5).svg(), random_drawing(5).svg());
}

#[test]
fn a_graph_without_nodes_is_drawn() {
    assert!(Drawing::default().svg().unwrap().starts_with("<svg"));
}

#[test]
fn a_wire_from_nowhere_is_an_error() {
    let mut drawing = random_drawing(1);
    drawing.edges[0].from = "nobody".to_owned();
    let error = drawing.layout().unwrap_err().to_string();
    assert!(error.ends_with("there is no box \"nobody\""), "{error}");
    let mut drawing = random_drawing(1);
    drawing.nodes[1] = drawing.nodes[0].clone();
    assert_eq!(
        drawing.layout(),
        Err(DrawError::Twice(drawing.nodes[0].name.clone()))
    );
}
