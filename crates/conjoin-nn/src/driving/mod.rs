//! Prediction and planning on the road: what the two share.
//!
//! Shapes: agents `[B, N, 12]`: present (0..1), x, y (m), cosine and sine of the heading, length, width
//! (m), vx, vy (m/s), vehicle, pedestrian, static; state `[B, 4]` of the own vehicle: speed (m/s),
//! acceleration (m/s²), steering (rad), yaw rate (rad/s). All places are in the own vehicle's frame: x
//! forward, y left, the origin in the middle of the rear axle. Steps are 0.1 s long.

pub mod grid_sample;
mod grid_tokens;
mod perceptron;
pub mod planning;
pub mod prediction;
mod route;

pub use grid_tokens::GridOptions;

use crate::activation::Activation;
use crate::layer_norm::EPSILON;
use crate::position::PositionKind;
use crate::residual::NormOrder;
use crate::transformer::TransformerOptions;
use burn::tensor::{Device, Tensor, TensorData};

/// Numbers of an agent.
pub const AGENT: usize = 12;

/// Numbers of the own vehicle's state.
pub const STATE: usize = 4;

/// Length of a step, s.
pub const STEP: f32 = 0.1;

/// Features that [`agent_features`] makes.
const AGENT_FEATURES: usize = AGENT + 2;

/// Factors that bring an agent's numbers to the size of 1: tens of metres, of metres per second, sizes
/// of cars.
const AGENT_SCALES: [f32; AGENT] = [1.0, 0.1, 0.1, 1.0, 1.0, 0.2, 0.2, 0.1, 0.1, 1.0, 1.0, 1.0];

/// The same for the state's.
const STATE_SCALES: [f32; STATE] = [0.1, 0.3, 2.0, 2.0];

/// An agent of which less than this is present does not exist.
const ABSENT: f32 = 1e-4;

fn constant(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// One number of each agent, `[B, N, 1]`.
fn column(agents: &Tensor<3>, index: usize) -> Tensor<3> {
    agents.clone().narrow(2, index, 1)
}

/// How much each agent is there, `[B, N, 1]` in 0..1.
fn presence(agents: &Tensor<3>) -> Tensor<3> {
    column(agents, 0).clamp(0.0, 1.0)
}

/// What is added to attention's scores `[B, 1, 1, N]`: the logarithm of the presence, so that an agent
/// weighs as much as it is there; minus infinity for one that is not.
fn visibility(presence: Tensor<3>) -> Tensor<4> {
    let [batch, agents, _] = presence.dims();
    let presence = presence.reshape([batch, 1, 1, agents]);
    let absent = presence.clone().lower_elem(ABSENT);
    let score = presence.clamp_min(ABSENT).log();
    score.mask_fill(absent, f32::NEG_INFINITY)
}

/// Numbers of agents as features `[B, N, 14]`: scaled, and the velocity along and across the heading.
fn agent_features(agents: &Tensor<3>) -> Tensor<3> {
    let scales = constant(&AGENT_SCALES, &agents.device());
    let scaled = agents.clone() * scales.unsqueeze();
    let [cos, sin, vx, vy] = [3, 4, 7, 8].map(|index| column(&scaled, index));
    let along = vx.clone() * cos.clone() + vy.clone() * sin.clone();
    let across = vy * cos - vx * sin;
    Tensor::cat(vec![scaled, along, across], 2)
}

/// The state as features `[B, 4]`.
fn state_features(state: &Tensor<2>) -> Tensor<2> {
    state.clone() * constant(&STATE_SCALES, &state.device()).unsqueeze()
}

/// A stack of layers with normalisation first; features inside are twice those outside.
fn transformer(
    size: usize,
    layers: usize,
    heads: usize,
    dropout: f64,
    positions: PositionKind,
) -> TransformerOptions {
    TransformerOptions {
        size,
        layers,
        heads,
        hidden: 2 * size,
        activation: Activation::Relu,
        order: NormOrder::Pre,
        final_norm: true,
        embedding_norm: false,
        norm_epsilon: EPSILON,
        dropout,
        positions,
        max_length: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_count_as_much_as_they_are_there() {
        let agents = Tensor::<3>::from_data([[[1.0], [0.5], [0.0], [1.5]]], &Device::flex());
        let scores = visibility(presence(&agents)).into_data();
        let scores = scores.try_to_vec::<f32>().unwrap();
        assert_eq!(scores[0], 0.0);
        assert!((scores[1] - 0.5_f32.ln()).abs() < 1e-6);
        assert_eq!(scores[2], f32::NEG_INFINITY);
        assert_eq!(scores[3], 0.0);
    }

    #[test]
    fn velocity_turns_into_the_agents_axes() {
        let mut agent = [0.0; AGENT];
        // Heading left, driving left and a little forward.
        (agent[4], agent[7], agent[8]) = (1.0, 1.0, 5.0);
        let data = TensorData::new(agent.to_vec(), [1, 1, AGENT]);
        let features = agent_features(&Tensor::from_data(data, &Device::flex())).into_data();
        let features = features.try_to_vec::<f32>().unwrap();
        assert!((features[12] - 0.5).abs() < 1e-6 && (features[13] + 0.1).abs() < 1e-6);
    }
}
