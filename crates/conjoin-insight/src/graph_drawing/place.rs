//! Coordinates: every item as near to its neighbours as its row allows, rows as far apart as their
//! wires need.

use super::layers::{BOX_HEIGHT, Item, LOOP, Layers, box_width, label_size};
use super::rank::Ranking;
use super::{Area, Drawing, Layout, Wire};

const MARGIN: f64 = 16.0;
const ROUNDS: usize = 120;

/// Places everything.
pub(super) fn place(
    drawing: &Drawing,
    ends: &[(usize, usize)],
    ranking: &Ranking,
    layers: &Layers,
) -> Layout {
    let x = horizontal(layers);
    let rows = vertical(layers, &x);
    let area = |vertex: usize, width: f64, height: f64| {
        let (top, bottom) = rows[layers.vertices[vertex].row];
        Area {
            x: x[vertex] - width / 2.0,
            y: f64::midpoint(top, bottom) - height / 2.0,
            width,
            height,
        }
    };
    let nowhere = Area {
        x: 0.0,
        y: 0.0,
        width: 0.0,
        height: 0.0,
    };
    let mut boxes = vec![nowhere; drawing.nodes.len()];
    let mut labels = Vec::new();
    for (index, vertex) in layers.vertices.iter().enumerate() {
        match vertex.item {
            Item::Node(node) => {
                boxes[node] = area(index, box_width(&drawing.nodes[node]), BOX_HEIGHT);
            }
            Item::Label(edge) => labels.push((edge, area(index, vertex.width, vertex.height))),
            Item::Bend => {}
        }
    }
    let mut wires = wires(layers, ranking, &x, &rows, &boxes);
    let mut taken = vec![0.0; drawing.nodes.len()];
    for (edge, &(from, to)) in ends.iter().enumerate() {
        if from == to {
            let label = &drawing.edges[edge].label;
            let (wire, label) = side_loop(&boxes[from], label, taken[from]);
            taken[from] += LOOP + label.map_or(0.0, |area| area.width);
            wires[edge] = wire;
            labels.extend(label.map(|label| (edge, label)));
        }
    }
    labels.sort_by_key(|&(edge, _)| edge);
    let right = |v: usize| x[v] + layers.vertices[v].width / 2.0;
    Layout {
        width: (0..x.len()).map(right).fold(0.0, f64::max) + MARGIN,
        height: rows.last().map_or(0.0, |&(_, bottom)| bottom) + MARGIN,
        boxes,
        labels,
        wires,
    }
}

/// Centres of all vertices. In every round each row takes the positions that are nearest to its
/// neighbours' in the least-squares sense and keep the order and the distances.
fn horizontal(layers: &Layers) -> Vec<f64> {
    let count = layers.vertices.len();
    let mut neighbours: Vec<Vec<(usize, f64)>> = vec![Vec::new(); count];
    for &(upper, lower) in &layers.links {
        // Long wires should be straight (weights of Gansner et al. 1993, section 4).
        let bends = [upper, lower]
            .iter()
            .filter(|&&v| !matches!(layers.vertices[v].item, Item::Node(_)))
            .count();
        let weight = [1.0, 2.0, 8.0][bends];
        neighbours[upper].push((lower, weight));
        neighbours[lower].push((upper, weight));
    }
    let mut x = vec![0.0; count];
    for row in &layers.rows {
        let gaps = gaps(layers, row);
        let mut at = 0.0;
        for (index, &vertex) in row.iter().enumerate() {
            at += gaps[index];
            x[vertex] = at;
        }
        let middle = at / 2.0;
        for &vertex in row {
            x[vertex] -= middle;
        }
    }
    for round in 0..ROUNDS {
        let rows = layers.rows.len();
        for step in 0..rows {
            let row = if round % 2 == 0 {
                step
            } else {
                rows - 1 - step
            };
            let members = &layers.rows[row];
            let wanted: Vec<(f64, f64)> = members
                .iter()
                .map(|&vertex| {
                    // Early rounds look one way, so that whole chains can move.
                    let seen = |&&(other, _): &&(usize, f64)| {
                        let other = layers.vertices[other].row;
                        round >= ROUNDS / 2 || (other < row) == (round % 2 == 0)
                    };
                    let (mut sum, mut weight) = (0.0, 0.0);
                    for (other, w) in neighbours[vertex].iter().filter(seen) {
                        sum += w * x[*other];
                        weight += w;
                    }
                    if weight > 0.0 {
                        (sum / weight, weight)
                    } else {
                        (x[vertex], 0.05)
                    }
                })
                .collect();
            for (&vertex, at) in members
                .iter()
                .zip(separated(&wanted, &gaps(layers, members)))
            {
                x[vertex] = at;
            }
        }
    }
    straighten(layers, &mut x);
    let left = |v: usize| x[v] - layers.vertices[v].width / 2.0;
    let leftmost = (0..count).map(left).fold(f64::INFINITY, f64::min);
    x.iter().map(|x| x - leftmost + MARGIN).collect()
}

/// Gives all bends and labels of a wire one x, or as few as the room beside them allows.
fn straighten(layers: &Layers, x: &mut [f64]) {
    // Moving one wire makes room for the next: a few rounds settle it.
    for _ in 0..4 {
        for chain in &layers.chains {
            let Some(inner) = chain.get(1..chain.len().saturating_sub(1)) else {
                continue;
            };
            let mut start = 0;
            while start < inner.len() {
                let (mut low, mut high) = room(layers, x, inner[start]);
                let mut end = start + 1;
                while end < inner.len() {
                    let next = room(layers, x, inner[end]);
                    if low.max(next.0) > high.min(next.1) {
                        break;
                    }
                    (low, high) = (low.max(next.0), high.min(next.1));
                    end += 1;
                }
                let run = &inner[start..end];
                let mean = run.iter().map(|&v| x[v]).sum::<f64>() / run.len() as f64;
                for &vertex in run {
                    x[vertex] = mean.max(low).min(high);
                }
                start = end;
            }
        }
    }
}

/// How far a vertex may move without touching its neighbours in the row.
fn room(layers: &Layers, x: &[f64], vertex: usize) -> (f64, f64) {
    let row = &layers.rows[layers.vertices[vertex].row];
    let gaps = gaps(layers, row);
    let place = row.iter().position(|&v| v == vertex).unwrap_or(0);
    let left = place.checked_sub(1).map(|left| x[row[left]] + gaps[place]);
    let right = row.get(place + 1).map(|&right| x[right] - gaps[place + 1]);
    // Rounding must not turn the ends around.
    (
        left.unwrap_or(f64::NEG_INFINITY).min(x[vertex]),
        right.unwrap_or(f64::INFINITY).max(x[vertex]),
    )
}

/// Smallest distance of each vertex of a row from the one before it.
fn gaps(layers: &Layers, row: &[usize]) -> Vec<f64> {
    let mut out = vec![0.0; row.len()];
    for index in 1..row.len() {
        let (a, b) = (
            &layers.vertices[row[index - 1]],
            &layers.vertices[row[index]],
        );
        let boxes = [a, b]
            .iter()
            .filter(|v| matches!(v.item, Item::Node(_)))
            .count();
        let room = [12.0, 16.0, 28.0][boxes];
        out[index] = f64::midpoint(a.width, b.width) + room;
    }
    out
}

/// Positions nearest to the wanted `(position, weight)` under `x[i] >= x[i-1] + gaps[i]`: isotonic
/// regression by pooling adjacent violators (Barlow et al. 1972).
fn separated(wanted: &[(f64, f64)], gaps: &[f64]) -> Vec<f64> {
    // Blocks of items that touch: (mean, weight, number of items).
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(wanted.len());
    for (&(position, weight), gap) in wanted.iter().zip(gaps) {
        offset += gap;
        offsets.push(offset);
        let mut block = (position - offset, weight, 1);
        while let Some(&(mean, other, size)) = blocks.last() {
            if mean <= block.0 {
                break;
            }
            let sum = block.1 + other;
            block = (
                (block.0 * block.1 + mean * other) / sum,
                sum,
                block.2 + size,
            );
            blocks.pop();
        }
        blocks.push(block);
    }
    let means = blocks
        .iter()
        .flat_map(|&(mean, _, size)| std::iter::repeat_n(mean, size));
    means
        .zip(offsets)
        .map(|(mean, offset)| mean + offset)
        .collect()
}

/// Top and bottom of every row.
fn vertical(layers: &Layers, x: &[f64]) -> Vec<(f64, f64)> {
    let mut rows = Vec::with_capacity(layers.rows.len());
    let mut y = MARGIN;
    for (index, row) in layers.rows.iter().enumerate() {
        if index > 0 {
            let farthest = layers
                .links
                .iter()
                .filter(|&&(_, lower)| layers.vertices[lower].row == index)
                .map(|&(upper, lower)| (x[upper] - x[lower]).abs())
                .fold(0.0, f64::max);
            // A wire that goes far to the side needs height to stay readable.
            let room = if index % 2 == 0 { 22.0 } else { 14.0 };
            y += room + (farthest * 0.09).min(34.0);
        }
        let height = row
            .iter()
            .map(|&v| layers.vertices[v].height)
            .fold(0.0, f64::max);
        rows.push((y, y + height));
        y += height;
    }
    rows
}

/// The points of every wire, from its source to its target.
fn wires(
    layers: &Layers,
    ranking: &Ranking,
    x: &[f64],
    rows: &[(f64, f64)],
    boxes: &[Area],
) -> Vec<Wire> {
    layers
        .chains
        .iter()
        .enumerate()
        .map(|(edge, chain)| {
            let mut points = Vec::new();
            if let [first, .., last] = chain[..] {
                points.push((
                    x[first] + port(layers, x, boxes, first, edge, true),
                    boxes[first].y + boxes[first].height,
                ));
                for &vertex in &chain[1..chain.len() - 1] {
                    let (top, bottom) = rows[layers.vertices[vertex].row];
                    points.push((x[vertex], top));
                    points.push((x[vertex], bottom));
                }
                points.push((
                    x[last] + port(layers, x, boxes, last, edge, false),
                    boxes[last].y,
                ));
                if ranking.reversed[edge] {
                    points.reverse();
                }
            }
            Wire {
                points,
                is_loop: false,
            }
        })
        .collect()
}

/// Where a wire meets the side of its box, from the middle: wires of one side stand in the order of
/// their next points. Nodes come first among the vertices, so that a node's vertex has its index.
fn port(layers: &Layers, x: &[f64], boxes: &[Area], node: usize, edge: usize, below: bool) -> f64 {
    let mut side: Vec<(f64, usize)> = layers
        .chains
        .iter()
        .enumerate()
        .filter_map(|(edge, chain)| match (chain.as_slice(), below) {
            ([first, next, ..], true) if *first == node => Some((x[*next], edge)),
            ([.., before, last], false) if *last == node => Some((x[*before], edge)),
            _ => None,
        })
        .collect();
    side.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let place = side
        .iter()
        .position(|&(_, other)| other == edge)
        .unwrap_or(0);
    let half = boxes[node].width / 2.0 - 12.0;
    let spacing = (2.0 * half / side.len().max(1) as f64).min(24.0);
    // Straight down to the next point, where the side of the box reaches that far.
    let wanted: Vec<(f64, f64)> = side
        .iter()
        .map(|&(next, _)| ((next - x[node]).clamp(-half, half), 1.0))
        .collect();
    let mut gaps = vec![spacing; side.len()];
    gaps[0] = 0.0;
    let placed = separated(&wanted, &gaps);
    let (first, last) = (placed[0], placed[placed.len() - 1]);
    let shift = (-half - first).max(0.0) - (last - half).max(0.0);
    placed[place] + shift
}

/// A loop at the right side of a box, beyond the room that is taken, and its label beside it.
fn side_loop(area: &Area, label: &str, taken: f64) -> (Wire, Option<Area>) {
    let (width, height) = label_size(label);
    let right = area.x + area.width;
    let reach = right + LOOP * 0.7 + taken;
    let (upper, lower) = (area.y + area.height * 0.25, area.y + area.height * 0.75);
    let wire = Wire {
        points: vec![
            (right, lower),
            (reach, lower),
            (reach, upper),
            (right, upper),
        ],
        is_loop: true,
    };
    let label = (!label.is_empty()).then(|| Area {
        x: reach + 4.0,
        y: area.y + (area.height - height) / 2.0,
        width,
        height,
    });
    (wire, label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_want_the_same_place_share_it_fairly() {
        let placed = separated(&[(10.0, 1.0), (10.0, 1.0), (50.0, 1.0)], &[0.0, 8.0, 8.0]);
        assert_eq!(placed, [6.0, 14.0, 50.0]);
        let heavy = separated(&[(10.0, 3.0), (10.0, 1.0)], &[0.0, 8.0]);
        assert_eq!(heavy, [8.0, 16.0]);
    }
}
