//! The recurrence of Elman 1990, `h' = tanh(W x + b + U h + c)`, over whole sequences and one step at a
//! time, from the kernels' linear maps and activation.
//!
//! Shapes: x `[B, T, input]`, state `[B, hidden]`, W `[hidden, input]`, U `[hidden, hidden]`, b and c
//! `[hidden]`.

use burn::tensor::{Tensor, TensorData};
use conjoin_kernels::activation::{Activation, activate};
use conjoin_kernels::linear::linear;

/// The parameters, named and laid out as those of `torch.nn.RNN`.
pub(crate) struct Weights {
    pub weight_ih: Tensor<2>,
    pub weight_hh: Tensor<2>,
    pub bias_ih: Tensor<1>,
    pub bias_hh: Tensor<1>,
}

/// The states `[B, T, hidden]`, zero behind each row's length. In reverse, rows begin at their last
/// valid position.
pub(crate) fn forward(
    x: Tensor<3>,
    initial: Tensor<2>,
    weights: Weights,
    lengths: &[usize],
    reverse: bool,
) -> Tensor<3> {
    let [rows, time, input] = x.dims();
    let [_, hidden] = initial.dims();
    let device = x.device();
    // All positions' inputs at once.
    let flat = x.reshape([rows * time, input]);
    let bias = Some(weights.bias_ih + weights.bias_hh);
    let inputs = linear(flat, weights.weight_ih, bias, Activation::None);
    let inputs = inputs.reshape([rows, time, hidden]);
    let mut state = initial;
    let mut states = vec![None; time];
    for step in 0..time {
        let t = if reverse { time - 1 - step } else { step };
        let here: Tensor<2> = inputs.clone().narrow(1, t, 1).squeeze_dim(1);
        let from_state = linear(
            state.clone(),
            weights.weight_hh.clone(),
            None,
            Activation::None,
        );
        let next = activate(here + from_state, Activation::Tanh);
        let said;
        if lengths.iter().all(|&length| t < length) {
            (state, said) = (next.clone(), next);
        } else {
            let valid: Vec<f32> = lengths
                .iter()
                .map(|&l| f32::from(u8::from(t < l)))
                .collect();
            let valid = Tensor::<2>::from_data(TensorData::new(valid, [rows, 1]), &device);
            said = next * valid.clone();
            state = said.clone() + state * (valid.neg() + 1.0);
        }
        states[t] = Some(said);
    }
    let states: Vec<Tensor<2>> = states.into_iter().flatten().collect();
    Tensor::stack(states, 1)
}

/// `[B, input]` and the state before to the state after.
pub(crate) fn step(x: Tensor<2>, state: Tensor<2>, weights: Weights) -> Tensor<2> {
    let inputs = linear(
        x,
        weights.weight_ih,
        Some(weights.bias_ih),
        Activation::None,
    );
    let states = linear(
        state,
        weights.weight_hh,
        Some(weights.bias_hh),
        Activation::None,
    );
    activate(inputs + states, Activation::Tanh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use conjoin_kernels::Precision;

    /// Repeatable numbers between -1 and 1.
    fn numbers<const D: usize>(shape: [usize; D], seed: f32) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| (seed + 1.7 * i as f32).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// Without inputs and biases, so that the products with the state are all there is.
    #[test]
    fn the_products_with_the_state_are_in_the_current_precision() {
        let states = || {
            let zeros = |size| Tensor::zeros([size], &Device::flex());
            let weights = Weights {
                weight_ih: Tensor::zeros([5, 3], &Device::flex()),
                weight_hh: numbers([5, 5], 1.0),
                bias_ih: zeros(5),
                bias_hh: zeros(5),
            };
            let (x, initial) = (numbers([2, 1, 3], 2.0), numbers([2, 5], 3.0));
            let states = forward(x, initial, weights, &[1, 1], false);
            states.into_data().try_into_vec::<f32>().unwrap()
        };
        let (full, half) = (states(), Precision::Bf16.scope(states));
        let errors = full.iter().zip(&half).map(|(x, y)| (x - y).abs());
        let error = errors.fold(0.0, f32::max);
        assert!(error > 1e-5 && error < 0.02, "{error}");
    }
}
