//! Several ways of each agent against the one that it took.
//!
//! Shapes: prediction `[B, N, M, 1 + 2 F]`: a mode's logit, then x, y at each step, m; target
//! `[B, N, F, 4]`: known (0 or 1), x, y (m), heading (rad), which is not read.
//!
//! The nearest way wins: Huber's loss of its x and y, on average over the agent's known steps, and the
//! cross-entropy of its logit, as in MultiPath (Chai et al. 2019) and Wayformer (Nayakanti et al. 2022).
//! The other ways get a gradient by their logits alone. The mean is over agents with a known step.

use super::{IGNORE, Loss, huber, unfit};
use crate::objective::{MultiModalConfig, Nearest};
use burn::tensor::{DType, Int, Tensor, TensorData};
use conjoin_graph::value::Value;
use conjoin_kernels::loss::softmax_cross_entropy;

/// Numbers of one step of a target.
const STEP: usize = 4;

pub(super) fn evaluate(
    config: &MultiModalConfig,
    prediction: &Value,
    target: &Value,
) -> Result<Loss, String> {
    let (ways, truth) = (prediction.shape(), target.shape());
    let floats = prediction.payload.is_float() && target.payload.is_float();
    let (&[batch, count, modes, width], &[.., steps, STEP]) = (ways.as_slice(), truth.as_slice())
    else {
        return Err(misshapen(prediction, target));
    };
    let fits = floats && truth.len() == 4 && truth[..2] == ways[..2] && width == 1 + 2 * steps;
    if !fits || modes == 0 {
        return Err(misshapen(prediction, target));
    }
    let agents = batch * count;
    let said: Tensor<3> = prediction.payload.clone().restore([agents, modes, width]);
    let truth: Tensor<3> = target.payload.clone().restore([agents, steps, STEP]);
    let places = said.clone().narrow(2, 1, 2 * steps);
    let winners = winners(config.nearest, &places, &truth);
    let device = said.device();
    let counted = winners.iter().filter(|&&winner| winner != IGNORE).count();

    let chosen: Vec<i64> = winners.iter().map(|&winner| winner.max(0)).collect();
    let chosen = TensorData::new(chosen, [agents, 1, 1]);
    let chosen = Tensor::<3, Int>::from_data(chosen, (&device, DType::I64));
    let way = places.gather(1, chosen.expand([agents, 1, 2 * steps]));
    let known = truth.clone().narrow(2, 0, 1).greater_elem(0.5);
    let steps_known = known.clone().float().sum_dim(1).clamp_min(1.0);
    let unknown = known.bool_not().expand([agents, steps, 2]);
    let difference = way.reshape([agents, steps, 2]) - truth.narrow(2, 1, 2);
    let distance = huber(difference.mask_fill(unknown, 0.0), config.delta).sum_dim(2);
    let distance = (distance.sum_dim(1) / steps_known).sum() / counted.max(1) as f32;

    let logits = said.narrow(2, 0, 1).reshape([agents, modes]);
    let winners = TensorData::new(winners, [agents]);
    let winners = Tensor::<1, Int>::from_data(winners, (&device, DType::I64));
    let surprise = softmax_cross_entropy(logits, winners, Some(IGNORE), 0.0);
    let count = Tensor::<1>::from_data(TensorData::new(vec![counted as f32], [1]), &device);
    Ok(Loss {
        mean: distance + surprise * config.mode_weight,
        count: count.inner(),
    })
}

/// The nearest of each agent's ways, `[agents]`; [`IGNORE`] where no step is known. Of equally near ones
/// the first.
fn winners(nearest: Nearest, places: &Tensor<3>, truth: &Tensor<3>) -> Vec<i64> {
    let [_, modes, width] = places.dims();
    let [_, steps, _] = truth.dims();
    let places: Vec<f32> = places.to_data().iter().collect();
    let truth: Vec<f32> = truth.to_data().iter().collect();
    let agents = places.chunks(modes * width).zip(truth.chunks(steps * STEP));
    agents
        .map(|(ways, truth)| {
            let known = || truth.chunks(STEP).enumerate().filter(|(_, at)| at[0] > 0.5);
            let Some((last, _)) = known().next_back() else {
                return IGNORE;
            };
            let distance = |way: &[f32]| -> f32 {
                let steps = known().filter(|(step, _)| nearest == Nearest::Mean || *step == last);
                steps
                    .map(|(step, at)| (way[2 * step] - at[1]).hypot(way[2 * step + 1] - at[2]))
                    .sum()
            };
            let distances = ways.chunks(width).map(distance).enumerate();
            let first = (0, f32::INFINITY);
            let (winner, _) =
                distances.fold(first, |best, way| if way.1 < best.1 { way } else { best });
            winner as i64
        })
        .collect()
}

fn misshapen(prediction: &Value, target: &Value) -> String {
    let expected = "ways [B, N, M, 1 + 2 F] and futures [B, N, F, 4]";
    unfit(expected, prediction, target)
}
