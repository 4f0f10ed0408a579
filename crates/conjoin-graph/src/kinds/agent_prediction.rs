//! Node kind `agent-prediction`: agents `[B, N, 12]`, and if wired a map `[B, X, Y, C]` and the own
//! vehicle's state `[B, 4]`, to ways of each agent `[B, N, M, 1 + 2 F]` and its most probable future
//! `[B, N, F, 4]`.

use super::driving::{agents_port, ego, heads_fit, state_port};
use super::shared::{at_least_one, dropout_probability, extent, init, mode, optional};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use conjoin_data::Meaning;
use conjoin_data::contract::grid_frame;
use conjoin_nn::driving::prediction::{AgentPrediction, PredictionOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ways of each agent as displacements from driving on as it does, from a transformer over the agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentPredictionConfig {
    /// Ways of each agent.
    pub modes: usize,
    /// Steps of 0.1 s into the future.
    pub steps: usize,
    /// Features of an agent's token.
    pub hidden: usize,
    /// Layers in which agents attend to each other.
    pub layers: usize,
    /// Heads of attention, among which the features are split.
    pub heads: usize,
    /// Probability of dropping, in training, a weight of attention or an element inside a layer.
    pub dropout: f64,
    /// What the map covers, in metres: x from and to, y from and to.
    pub extent: [f64; 4],
}

impl Default for AgentPredictionConfig {
    fn default() -> Self {
        Self {
            modes: 3,
            steps: 20,
            hidden: 64,
            layers: 2,
            heads: 4,
            dropout: 0.0,
            extent: [-8.0, 40.0, -24.0, 24.0],
        }
    }
}

impl AgentPredictionConfig {
    /// The module's options for the inputs at hand, or what does not fit.
    fn options(&self, inputs: &Bound) -> Result<PredictionOptions, NodeError> {
        at_least_one("modes", self.modes)?;
        at_least_one("steps", self.steps)?;
        at_least_one("layers", self.layers)?;
        heads_fit(self.hidden, self.heads)?;
        dropout_probability(self.dropout)?;
        let map = match inputs.size("C") {
            None => None,
            Some(channels) => Some((channels, self.covered(inputs)?)),
        };
        Ok(PredictionOptions {
            map,
            state: inputs.contract("state").is_some(),
            modes: self.modes,
            steps: self.steps,
            hidden: self.hidden,
            layers: self.layers,
            heads: self.heads,
            dropout: self.dropout,
        })
    }

    /// The extent, if it makes sense and is that of the map.
    fn covered(&self, inputs: &Bound) -> Result<[f64; 4], NodeError> {
        let [x0, x1, y0, y1] = self.extent;
        let finite = self.extent.iter().all(|bound| bound.is_finite());
        if !(finite && x0 < x1 && y0 < y1) {
            return Err(NodeError::Options(format!(
                "extent: expected [x from, x to, y from, y to], each from below its to, found {:?}",
                self.extent
            )));
        }
        let frame = inputs.contract("map").and_then(|map| map.frame.as_deref());
        let expected = grid_frame(self.extent);
        match frame {
            Some(found) if found != expected => Err(NodeError::Options(format!(
                "extent: expected that of input \"map\", {found}, found {expected}"
            ))),
            _ => Ok(self.extent),
        }
    }
}

impl NodeConfig for AgentPredictionConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let map = InputPort::new(
            "map",
            "features of the ground, read where agents are and will be; none if not wired",
            &[Meaning::Features, Meaning::Quantity],
            &[
                Want::Any("B"),
                Want::Any("X"),
                Want::Any("Y"),
                Want::Known("C"),
            ],
        );
        vec![
            agents_port(),
            map.optional_part(),
            state_port().optional_part(),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let options = self.options(inputs)?;
        let (batch, agents) = (inputs.dim("B"), inputs.dim("N"));
        let ways = [
            batch.clone(),
            agents.clone(),
            options.modes.into(),
            (1 + 2 * options.steps).into(),
        ];
        let likely = [batch, agents, options.steps.into(), 4.into()];
        Ok(vec![
            OutputPort::new(
                "modal",
                "each way's logit, then x, y at each step",
                ego(ways),
            ),
            OutputPort::new(
                "likely",
                "the most probable way: how much the agent is there, x, y, heading at each step",
                ego(likely),
            ),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let options = self.options(inputs)?;
        Ok(Box::new(AgentPrediction::new(&init(scope), &options)))
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let agents = extent(&inputs.dim("N"), size);
        self.options(inputs)
            .map_or(0.0, |options| options.flops(agents))
    }

    /// Agents are no sequence.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for AgentPrediction {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let predicted = AgentPrediction::forward(
            self,
            inputs.tensor("agents")?,
            optional(inputs, "map")?,
            optional(inputs, "state")?,
            &mut mode(context),
        );
        Ok(Outputs::one("modal", predicted.modal).and("likely", predicted.likely))
    }
}

#[cfg(test)]
mod tests;
