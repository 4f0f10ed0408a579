//! What a map on the ground holds at places: bilinear between the middles of cells, zero outside.
//!
//! Shapes: map `[B, X, Y, C]`, places `[B, N, 2]` (x, y, m), samples `[B, N, C]`.

use burn::tensor::{DType, Int, Tensor, TensorData};
use conjoin_kernels::embedding::embedding;

/// `map` at `places`; it covers `[x0, x1, y0, y1]` of `extent`, m. Gradients reach the map and the places.
///
/// As `torch.nn.functional.grid_sample` with `align_corners=False` and zeros for padding. A place that is
/// not finite gives zeros.
pub fn grid_sample(map: Tensor<4>, places: Tensor<3>, extent: [f64; 4]) -> Tensor<3> {
    let [batch, rows, columns, channels] = map.dims();
    let [_, count, _] = places.dims();
    let device = map.device();
    let [x0, x1, y0, y1] = extent;
    let scale = [rows as f64 / (x1 - x0), columns as f64 / (y1 - y0)];
    let vector = |values: [f64; 2]| {
        let values = values.map(|value| value as f32).to_vec();
        Tensor::<3>::from_data(TensorData::new(values, [1, 1, 2]), &device)
    };
    // In cells, from the middle of the first.
    let at = places * vector(scale) - vector([x0 * scale[0] + 0.5, y0 * scale[1] + 0.5]);
    let finite = at.clone().is_finite();
    let at = at.mask_fill(finite.bool_not(), -2.0);
    let low = at.clone().detach().floor();
    let high_share = at - low.clone();
    let low_share = high_share.clone().neg() + 1.0;

    let corners = low.into_data();
    let corners: Vec<f32> = corners.iter::<f32>().collect();
    let mut indices = Vec::with_capacity(batch * count * 4);
    let mut inside = Vec::with_capacity(batch * count * 4);
    for (place, corner) in corners.chunks(2).enumerate() {
        let row = place / count.max(1);
        for (along, across) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
            let (i, j) = (corner[0] + along, corner[1] + across);
            let fits = i >= 0.0 && j >= 0.0 && i < rows as f32 && j < columns as f32;
            let cell = if fits {
                i as usize * columns + j as usize
            } else {
                0
            };
            indices.push((row * rows * columns + cell) as i64);
            inside.push(f32::from(u8::from(fits)));
        }
    }
    let share = |share: &Tensor<3>, axis: usize| share.clone().narrow(2, axis, 1);
    let [low_x, low_y] = [0, 1].map(|axis| share(&low_share, axis));
    let [high_x, high_y] = [0, 1].map(|axis| share(&high_share, axis));
    let weights = Tensor::cat(
        vec![
            low_x.clone() * low_y.clone(),
            low_x * high_y.clone(),
            high_x.clone() * low_y,
            high_x * high_y,
        ],
        2,
    );
    let inside = Tensor::<3>::from_data(TensorData::new(inside, [batch, count, 4]), &device);
    let weights = (weights * inside).reshape([batch, count, 4, 1]);
    let indices = Tensor::<2, Int>::from_data(
        TensorData::new(indices, [batch, count * 4]),
        (&device, DType::I64),
    );
    let table = map.reshape([batch * rows * columns, channels]);
    let found = embedding(table, indices, None).reshape([batch, count, 4, channels]);
    (found * weights).sum_dim(2).squeeze_dim(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_place_between_cells_and_one_outside() {
        let map = TensorData::new(vec![1.0_f32, 2.0, 3.0, 4.0], [1, 2, 2, 1]);
        let map = Tensor::<4>::from_data(map, &Device::flex());
        // Cells of 2 m: middles at x 1 and 3, y -1 and 1.
        let places = Tensor::<3>::from_data(
            [[
                [1.0, -1.0],
                [2.0, 0.0],
                [3.0, 0.5],
                [9.0, 0.0],
                [f32::NAN, 0.0],
            ]],
            &Device::flex(),
        );
        let found = grid_sample(map, places, [0.0, 4.0, -2.0, 2.0]).into_data();
        let found = found.try_to_vec::<f32>().unwrap();
        assert_eq!(found, [1.0, 2.5, 3.75, 0.0, 0.0]);
    }
}
