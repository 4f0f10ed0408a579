//! Rows of different lengths, padded at the end of dimension 1.

use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

/// The vector at each row's last valid position: `[B, T, D]` to `[B, D]`. A row of length 0 gives
/// its first position.
pub fn last_valid(x: Tensor<3>, lengths: &[usize]) -> Tensor<2> {
    let [rows, time, size] = x.dims();
    let positions: Vec<i64> = lengths
        .iter()
        .enumerate()
        .map(|(row, &length)| (row * time + length.clamp(1, time) - 1) as i64)
        .collect();
    let device = x.device();
    let data = TensorData::new(positions, [rows]);
    let positions = Tensor::<1, Int>::from_data(data, (&device, DType::I64));
    x.reshape([rows * time, size]).select(0, positions)
}

/// The vector at one position of every row: `[B, T, D]` to `[B, D]`.
pub fn at(x: Tensor<3>, position: usize) -> Tensor<2> {
    x.narrow(1, position, 1).squeeze_dim(1)
}

/// `x [B, T, D]` with zeros behind each row's length.
pub fn clear_padding(x: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    fill_padding(x, lengths, 0.0)
}

/// `x [B, T, D]` with a value everywhere behind each row's length.
fn fill_padding(x: Tensor<3>, lengths: &[usize], value: f32) -> Tensor<3> {
    let [rows, time, size] = x.dims();
    if lengths.iter().all(|&length| length >= time) {
        return x;
    }
    let behind: Vec<bool> = lengths
        .iter()
        .flat_map(|&length| (0..time).map(move |t| t >= length))
        .collect();
    let data = TensorData::new(behind, [rows, time, 1]);
    let mask = Tensor::<3, Bool>::from_data(data, &x.device());
    x.mask_fill(mask.expand([rows, time, size]), value)
}

/// One vector of a sequence.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the valid positions.
    #[default]
    Mean,
    /// The largest value of each feature over the valid positions.
    Max,
    /// The first position, such as a class token.
    First,
    /// The last valid position.
    Last,
}

/// `[B, T, D]` to `[B, D]`. The mean of a row of length 0 is zero, its largest value the least number.
pub fn pool(x: Tensor<3>, lengths: &[usize], pooling: Pooling) -> Tensor<2> {
    match pooling {
        Pooling::First => at(x, 0),
        Pooling::Last => last_valid(x, lengths),
        Pooling::Mean => {
            let (device, rows) = (x.device(), lengths.len());
            let shares: Vec<f32> = lengths
                .iter()
                .map(|&length| 1.0 / length.max(1) as f32)
                .collect();
            let shares = Tensor::<2>::from_data(TensorData::new(shares, [rows, 1]), &device);
            clear_padding(x, lengths).sum_dim(1).squeeze_dim(1) * shares
        }
        Pooling::Max => fill_padding(x, lengths, f32::MIN).max_dim(1).squeeze_dim(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn clears_what_lies_behind_the_lengths() {
        let x = Tensor::<3>::from_data(
            [[[1.0], [f32::NAN], [3.0]], [[4.0], [5.0], [6.0]]],
            &Device::flex(),
        );
        let cleared = clear_padding(x, &[1, 3]).into_data();
        assert_eq!(
            cleared.try_to_vec::<f32>().unwrap(),
            [1.0, 0.0, 0.0, 4.0, 5.0, 6.0]
        );
    }

    #[test]
    fn picks_the_last_valid_position() {
        let x = Tensor::<3>::from_data(
            [[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]],
            &Device::flex(),
        );
        let picked = last_valid(x.clone(), &[3, 1]).into_data();
        assert_eq!(picked.try_to_vec::<f32>().unwrap(), [3.0, 4.0]);
        assert_eq!(
            at(x, 1).into_data().try_to_vec::<f32>().unwrap(),
            [2.0, 5.0]
        );
    }
}
