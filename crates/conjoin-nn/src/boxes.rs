//! From maps of what lies where to a list of boxes: the decoding of CenterNet (Zhou et al. 2019, "Objects as
//! Points", section 4) for boxes on the ground.
//!
//! Shapes: `X x Y` cells, `N` boxes. Heat `[B, X, Y, 1]` in 0..1; values `[B, X, Y, 11]`: dx and dy from the
//! cell's centre in m, cos and sin of the heading, log of length and width, velocity x and y, three numbers a
//! class. Boxes `[B, N, 12]`: score, x, y, cos, sin, length, width, velocity x and y, three shares of classes.

use crate::birds_eye::Grid;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Int, Tensor, TensorData};

/// Numbers of a cell.
pub const VALUES: usize = 11;
/// Numbers of a box.
pub const BOX: usize = 12;
/// The logs of sizes are kept within these: 5 cm to 55 m.
const LOG_SIZE: [f64; 2] = [-3.0, 4.0];

/// How boxes are read off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxOptions {
    pub grid: Grid,
    /// `N`.
    pub boxes: usize,
    /// A peak with a lower score is none.
    pub threshold: f32,
    /// Divides the classes' numbers before their softmax.
    pub temperature: f64,
}

/// The highest peaks of the heat, the highest first, with what the values say in their cells. Where there are
/// fewer than `N`, the rest is zeros. The gradient flows to the scores and values of the chosen cells, not to
/// the choice.
pub fn decode_boxes(heat: Tensor<4>, values: Tensor<4>, options: &BoxOptions) -> Tensor<3> {
    let ([batch, x, y, _], device) = (heat.dims(), heat.device());
    let (cells, boxes) = (x * y, options.boxes);
    let scores: Vec<f32> = heat.to_data().iter::<f32>().collect();
    let mut chosen = vec![0_i64; batch * boxes];
    let mut present = vec![0.0_f32; batch * boxes];
    let mut centres = vec![0.0_f32; batch * boxes * 2];
    for (row, scores) in scores.chunks_exact(cells.max(1)).enumerate() {
        let found = peaks(scores, [x, y], options.threshold);
        for (i, cell) in found.into_iter().take(boxes).enumerate() {
            let at = row * boxes + i;
            chosen[at] = (row * cells + cell) as i64;
            present[at] = 1.0;
            let centre = options.grid.centre([cell / y, cell % y]);
            centres[at * 2..at * 2 + 2].copy_from_slice(&centre.map(|c| c as f32));
        }
    }
    let rows = batch * boxes;
    let chosen = TensorData::new(chosen, [rows]);
    let chosen = Tensor::<1, Int>::from_data(chosen, (&device, DType::I64));
    let present = Tensor::<2>::from_data(TensorData::new(present, [rows, 1]), &device);
    let centres = Tensor::<2>::from_data(TensorData::new(centres, [rows, 2]), &device);
    let score = heat.reshape([batch * cells, 1]).select(0, chosen.clone());
    let values = values.reshape([batch * cells, VALUES]).select(0, chosen);
    let part = |from: usize, count: usize| values.clone().narrow(1, from, count);
    let direction = part(2, 2);
    let length = (direction.clone() * direction.clone())
        .sum_dim(1)
        .add_scalar(1e-6)
        .sqrt();
    let found = Tensor::cat(
        vec![
            score,
            part(0, 2) + centres,
            direction / length,
            part(4, 2).clamp(LOG_SIZE[0], LOG_SIZE[1]).exp(),
            part(6, 2),
            softmax(part(8, 3) / options.temperature, 1),
        ],
        1,
    );
    (found * present).reshape([batch, boxes, BOX])
}

/// Cells that are no lower than their eight neighbours and reach the threshold, the highest first; of equal
/// ones the first.
fn peaks(scores: &[f32], [x, y]: [usize; 2], threshold: f32) -> Vec<usize> {
    let is_peak = |cell: usize| {
        let (i, j) = (cell / y, cell % y);
        let rows = i.saturating_sub(1)..(i + 2).min(x);
        let columns = j.saturating_sub(1)..(j + 2).min(y);
        rows.flat_map(|i| columns.clone().map(move |j| i * y + j))
            .all(|other| scores[cell] >= scores[other])
    };
    let mut found: Vec<usize> = (0..scores.len())
        .filter(|&cell| scores[cell] >= threshold && is_peak(cell))
        .collect();
    found.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_sorted_and_reach_the_threshold() {
        let scores = [
            0.1, 0.2, 0.1, 0.0, //
            0.1, 0.1, 0.1, 0.6, //
            0.9, 0.1, 0.0, 0.6,
        ];
        assert_eq!(peaks(&scores, [3, 4], 0.15), [8, 7, 11, 1]);
        assert_eq!(peaks(&scores, [3, 4], 0.7), [8]);
        assert_eq!(peaks(&[f32::NAN, 0.5], [1, 2], 0.1), [0_usize; 0]);
    }
}
