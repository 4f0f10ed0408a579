//! From left to right: barycentres in sweeps, then exchanges of neighbours, keeping the order with
//! the fewest crossings (Gansner et al. 1993, section 3).

use super::layers::Layers;

const SWEEPS: usize = 24;

/// Reorders every row.
pub(super) fn order(layers: &mut Layers) {
    let mut best = layers.rows.clone();
    let mut fewest = crossings(layers);
    for sweep in 0..SWEEPS {
        let downwards = sweep % 2 == 0;
        let rows = layers.rows.len();
        for step in 1..rows {
            let row = if downwards { step } else { rows - 1 - step };
            sort_row(layers, row, downwards);
        }
        exchange(layers);
        let found = crossings(layers);
        if found < fewest {
            fewest = found;
            best.clone_from(&layers.rows);
        }
        if fewest == 0 {
            break;
        }
    }
    layers.rows = best;
}

/// Sorts a row by the mean position of the neighbours above (or below). Items without a neighbour
/// keep their place.
fn sort_row(layers: &mut Layers, row: usize, by_upper: bool) {
    let position = positions(layers);
    let centre = |vertex: usize| -> f64 {
        let neighbours: Vec<f64> = layers
            .links
            .iter()
            .filter_map(|&(upper, lower)| match by_upper {
                true if lower == vertex => Some(position[upper]),
                false if upper == vertex => Some(position[lower]),
                _ => None,
            })
            .collect();
        if neighbours.is_empty() {
            position[vertex]
        } else {
            neighbours.iter().sum::<f64>() / neighbours.len() as f64
        }
    };
    let mut keyed: Vec<(f64, usize)> = layers.rows[row].iter().map(|&v| (centre(v), v)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    layers.rows[row] = keyed.into_iter().map(|(_, vertex)| vertex).collect();
}

/// Exchanges neighbours in a row while that removes crossings.
fn exchange(layers: &mut Layers) {
    let mut improved = true;
    while improved {
        improved = false;
        for row in 0..layers.rows.len() {
            for left in 0..layers.rows[row].len().saturating_sub(1) {
                let before = crossings_around(layers, row);
                layers.rows[row].swap(left, left + 1);
                if crossings_around(layers, row) < before {
                    improved = true;
                } else {
                    layers.rows[row].swap(left, left + 1);
                }
            }
        }
    }
}

/// Relative position of every vertex in its row, in `0..1`, so that rows of different lengths
/// compare.
fn positions(layers: &Layers) -> Vec<f64> {
    let mut position = vec![0.0; layers.vertices.len()];
    for row in &layers.rows {
        for (index, &vertex) in row.iter().enumerate() {
            position[vertex] = (index as f64 + 0.5) / row.len() as f64;
        }
    }
    position
}

fn crossings(layers: &Layers) -> usize {
    (1..layers.rows.len())
        .map(|row| crossings_above(layers, row))
        .sum()
}

fn crossings_around(layers: &Layers, row: usize) -> usize {
    let above = if row > 0 {
        crossings_above(layers, row)
    } else {
        0
    };
    let below = if row + 1 < layers.rows.len() {
        crossings_above(layers, row + 1)
    } else {
        0
    };
    above + below
}

/// Crossings of the links that enter a row from the row above.
fn crossings_above(layers: &Layers, row: usize) -> usize {
    let place = |vertex: usize, row: usize| layers.rows[row].iter().position(|&v| v == vertex);
    let links: Vec<(Option<usize>, Option<usize>)> = layers
        .links
        .iter()
        .filter(|&&(_, lower)| layers.vertices[lower].row == row)
        .map(|&(upper, lower)| (place(upper, row - 1), place(lower, row)))
        .collect();
    let crosses = |a: &(Option<usize>, Option<usize>), b: &(Option<usize>, Option<usize>)| {
        (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1)
    };
    links
        .iter()
        .enumerate()
        .map(|(i, a)| links[..i].iter().filter(|b| crosses(a, b)).count())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph_drawing::layers::{Item, Vertex};

    #[test]
    fn a_crossing_that_need_not_be_is_removed() {
        let vertex = |row| Vertex {
            item: Item::Bend,
            row,
            width: 1.0,
            height: 1.0,
        };
        let mut layers = Layers {
            vertices: vec![vertex(0), vertex(0), vertex(1), vertex(1)],
            rows: vec![vec![0, 1], vec![2, 3]],
            links: vec![(0, 3), (1, 2)],
            chains: Vec::new(),
        };
        assert_eq!(crossings(&layers), 1);
        order(&mut layers);
        assert_eq!(crossings(&layers), 0);
    }
}
