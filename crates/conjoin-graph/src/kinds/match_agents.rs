//! Node kind `match-agents`: predicted road users `[B, N, 12]`, true ones `[B, M, 12]` and their futures
//! `[B, M, F, 4]` to the true futures of the predicted ones `[B, N, F, 4]`.

use super::shared::{contract, known};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want, WantFrame};
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use conjoin_data::{Dim, Meaning};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Gives each predicted road user the true one that is nearest, pair by pair from the nearest pair on, so
/// that none is given twice. One without a true one nearby has an unknown future. There are no weights, and
/// no gradient flows: it makes the target of a prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchAgentsConfig {
    /// Metres up to which two are the same road user.
    #[serde(default = "default_distance")]
    pub distance: f64,
}

fn default_distance() -> f64 {
    3.0
}

#[derive(Module, Debug)]
struct MatchAgentsNode {
    distance: f64,
}

impl NodeConfig for MatchAgentsConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let number = [Meaning::Quantity];
        let port = |name, about, dims: &[Want]| {
            InputPort::new(name, about, &number, dims).in_frame(WantFrame::Same("frame"))
        };
        vec![
            port(
                "agents",
                "predicted road users: score, x, y, ..",
                &[Want::Any("B"), Want::Known("N"), Want::Exactly(12)],
            ),
            port(
                "truth",
                "true road users: present, x, y, ..",
                &[Want::Any("B"), Want::Known("M"), Want::Exactly(12)],
            ),
            port(
                "truth_futures",
                "futures of the true ones: known, x, y, heading at each step",
                &[
                    Want::Any("B"),
                    Want::Known("M"),
                    Want::Known("F"),
                    Want::Exactly(4),
                ],
            ),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        if !(self.distance > 0.0 && self.distance.is_finite()) {
            return Err(NodeError::Options(format!(
                "distance: expected metres above 0, found {}",
                self.distance
            )));
        }
        let mut futures = contract(inputs, "truth_futures")?.clone();
        futures.dims[1] = Dim::Fixed(known(inputs, "N")?);
        let about = "the true future of each predicted road user; known is 0 where there is none";
        Ok(vec![OutputPort::new("futures", about, futures)])
    }

    fn init(&self, _: &Bound, _: &Scope) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(MatchAgentsNode {
            distance: self.distance,
        }))
    }

    /// A distance for each pair.
    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        5.0 * (inputs.size("N").unwrap_or(0) * inputs.size("M").unwrap_or(0)) as f64
    }

    /// Road users have no order to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for MatchAgentsNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let agents: Tensor<3> = inputs.tensor("agents")?;
        let truth: Tensor<3> = inputs.tensor("truth")?;
        let futures: Tensor<4> = inputs.tensor("truth_futures")?;
        let ([batch, found, numbers], device) = (agents.dims(), agents.device());
        let [_, there, steps, values] = futures.dims();
        let host = |tensor: Tensor<3>| tensor.to_data().iter::<f32>().collect::<Vec<_>>();
        let size = steps * values;
        let (agents, truth) = (host(agents), host(truth));
        let futures = host(futures.reshape([batch, there, size]));
        let mut matched = vec![0.0_f32; batch * found * size];
        for row in 0..batch {
            let agents = &agents[row * found * numbers..][..found * numbers];
            let truth = &truth[row * there * numbers..][..there * numbers];
            for (agent, truth) in pairs(agents, truth, numbers, self.distance) {
                let (to, from) = ((row * found + agent) * size, (row * there + truth) * size);
                matched[to..to + size].copy_from_slice(&futures[from..from + size]);
            }
        }
        let matched = TensorData::new(matched, [batch, found, steps, values]);
        let futures = Tensor::<4>::from_data(matched, &device);
        Ok(Outputs::one("futures", futures))
    }
}

/// Pairs of a predicted and a true road user that are there, the nearest first, each in one pair at most.
fn pairs(agents: &[f32], truth: &[f32], numbers: usize, most: f64) -> Vec<(usize, usize)> {
    let there = |rows: &[f32]| -> Vec<(usize, [f32; 2])> {
        rows.chunks_exact(numbers)
            .enumerate()
            .filter(|(_, row)| row[0] > 0.0)
            .map(|(index, row)| (index, [row[1], row[2]]))
            .collect()
    };
    let (agents, truth) = (there(agents), there(truth));
    let mut all: Vec<(f64, usize, usize)> = Vec::new();
    for (agent, [x, y]) in &agents {
        for (other, [other_x, other_y]) in &truth {
            let distance = f64::from(x - other_x).hypot(f64::from(y - other_y));
            if distance <= most {
                all.push((distance, *agent, *other));
            }
        }
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, agent, other) in all {
        if pairs.iter().all(|(a, o)| *a != agent && *o != other) {
            pairs.push((agent, other));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, refusal};
    use burn::tensor::Device;
    use conjoin_data::Contract;

    fn contracts() -> [(&'static str, Contract); 3] {
        let contract = |sizes: &[usize]| {
            let sizes = sizes.iter().map(|&size| size.into());
            let dims = std::iter::once("B".into()).chain(sizes);
            Contract::new(Meaning::Quantity, dims).with_frame("ego")
        };
        [
            ("agents", contract(&[4, 12])),
            ("truth", contract(&[3, 12])),
            ("truth_futures", contract(&[3, 2, 4])),
        ]
    }

    fn users<const N: usize>(rows: [[f32; 3]; N]) -> Tensor<3> {
        let full = rows.map(|row| {
            let mut full = [0.5; 12];
            full[..3].copy_from_slice(&row);
            full
        });
        Tensor::<2>::from_floats(full, &Device::flex()).unsqueeze()
    }

    #[test]
    fn the_nearest_pairs_are_taken_first_and_once() {
        let config: MatchAgentsConfig = options("{}");
        let bound = bind(&config, &contracts());
        let contract = &config.outputs(&bound).unwrap()[0].contract;
        assert_eq!(contract.shape_text(), "[B, 4, 2, 4]");
        assert_eq!(contract.frame.as_deref(), Some("ego"));
        // The second is nearest to the first true one, which the first then cannot have; the third is too
        // far from any; the fourth and the third true one are not there.
        let agents = users([
            [0.9, 1.0, 0.0],
            [0.8, 0.2, 0.0],
            [0.7, 9.0, 9.0],
            [0.0, 5.0, 5.0],
        ]);
        let truth = users([[1.0, 0.0, 0.0], [1.0, 3.5, 0.0], [0.0, 5.0, 5.0]]);
        let futures: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let futures = Tensor::<1>::from_floats(futures.as_slice(), &Device::flex());
        let given = inputs([
            ("agents", agents.into()),
            ("truth", truth.into()),
            ("truth_futures", futures.reshape([1, 3, 2, 4]).into()),
        ]);
        let out = build(&config, &bound)
            .forward(&given, &mut Context::evaluation())
            .unwrap();
        let mut wanted: Vec<f32> = (8..16_u8).chain(0..8).map(f32::from).collect();
        wanted.resize(32, 0.0);
        assert_eq!(out.0["futures"].to_f32(), wanted);
    }

    #[test]
    fn refuses_a_distance_that_is_none() {
        let config: MatchAgentsConfig = options(r#"{"distance": 0}"#);
        assert_eq!(
            refusal(&config, &bind(&config, &contracts())),
            "distance: expected metres above 0, found 0"
        );
    }
}
