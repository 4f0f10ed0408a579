//! The recurrence of Elman 1990, `h' = tanh(W x + b + U h + c)`, over whole sequences and one step at a
//! time, from Burn's operations.
//!
//! Shapes: x `[B, T, input]`, state `[B, hidden]`, W `[hidden, input]`, U `[hidden, hidden]`, b and c
//! `[hidden]`.

use burn::tensor::{Tensor, TensorData};
use conjoin_kernels::linear::{Activation, linear};

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
    let turned = weights.weight_hh.transpose();
    let mut state = initial;
    let mut states = vec![None; time];
    for step in 0..time {
        let t = if reverse { time - 1 - step } else { step };
        let here: Tensor<2> = inputs.clone().narrow(1, t, 1).squeeze_dim(1);
        let next = (here + state.clone().matmul(turned.clone())).tanh();
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
    (inputs + states).tanh()
}
