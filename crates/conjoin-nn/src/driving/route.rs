//! Travelling along a route.
//!
//! Shapes: route `[B, P, 2]` (x, y, m), distances `[B, S]` (m), places and directions `[B, S, 2]`.

use burn::tensor::{Tensor, TensorData};
use conjoin_kernels::activation::relu;

/// The last piece of a route goes on for so long, m.
const ENDLESS: f32 = 1e6;

/// Directions are those of the route's piece from this far behind a place to this far ahead, m: a corner
/// of the route turns the vehicle on the way, not at once.
const LOOK: f32 = 1.0;

/// The route from the origin through its points at each distance: places, and unit vectors that say
/// where it leads there. Beyond the last point it goes straight on; points that lie on each other lead
/// nowhere, and whoever arrives there stays.
pub(super) fn travel(route: Tensor<3>, distances: Tensor<2>) -> (Tensor<3>, Tensor<3>) {
    let [batch, points, _] = route.dims();
    let [_, steps] = distances.dims();
    let device = route.device();
    let origin = Tensor::<3>::zeros([batch, 1, 2], &device);
    let from = Tensor::cat(vec![origin, route.clone().narrow(1, 0, points - 1)], 1);
    let pieces = route - from;
    let lengths = (pieces.clone() * pieces.clone()).sum_dim(2) + 1e-12;
    let lengths = lengths.sqrt();
    let directions = pieces / lengths.clone();
    let lengths: Tensor<2> = lengths.squeeze_dim(2);
    let begins = lengths.clone().cumsum(1) - lengths.clone();
    let endless = Tensor::<2>::from_data(TensorData::new(vec![ENDLESS], [1, 1]), &device);
    let lengths = Tensor::cat(
        vec![lengths.narrow(1, 0, points - 1), endless.expand([batch, 1])],
        1,
    );
    let all = Tensor::cat(
        vec![
            distances.clone(),
            distances.clone() + LOOK,
            distances - LOOK,
        ],
        1,
    );
    // How far into each piece: 0 before it, its length behind it.
    let past = all.unsqueeze_dim::<3>(2) - begins.unsqueeze_dim::<3>(1);
    let into = relu(past.clone()) - relu(past - lengths.unsqueeze_dim::<3>(1));
    let places = into.matmul(directions);
    let ahead = places.clone().narrow(1, steps, steps);
    let behind = places.clone().narrow(1, 2 * steps, steps);
    let way = ahead - behind;
    let length = ((way.clone() * way.clone()).sum_dim(2) + 1e-6).sqrt();
    (places.narrow(1, 0, steps), way / length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn goes_round_the_corner_and_on() {
        let route = Tensor::<3>::from_data([[[4.0, 0.0], [4.0, 6.0]]], &Device::flex());
        let distances = Tensor::<2>::from_data([[0.0, 2.0, 4.0, 7.0, 12.0]], &Device::flex());
        let (places, directions) = travel(route, distances);
        let places = places.into_data().try_to_vec::<f32>().unwrap();
        let expected = [0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 4.0, 3.0, 4.0, 8.0];
        for (found, expected) in places.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{places:?}");
        }
        let directions = directions.into_data().try_to_vec::<f32>().unwrap();
        let half = 0.5_f32.sqrt();
        let expected = [1.0, 0.0, 1.0, 0.0, half, half, 0.0, 1.0, 0.0, 1.0];
        for (found, expected) in directions.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{directions:?}");
        }
    }

    #[test]
    fn stays_where_points_lie_on_each_other() {
        let route = Tensor::<3>::from_data([[[3.0, 0.0], [3.0, 0.0]]], &Device::flex());
        let distances = Tensor::<2>::from_data([[9.0]], &Device::flex());
        let (places, _) = travel(route, distances);
        let places = places.into_data().try_to_vec::<f32>().unwrap();
        assert!((places[0] - 3.0).abs() < 1e-4 && places[1].abs() < 1e-6);
    }
}
