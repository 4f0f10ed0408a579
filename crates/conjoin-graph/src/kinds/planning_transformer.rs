//! Node kind `planning-transformer`: the own state `[B, 4]`, the route `[B, P, 2]` and, if wired, agents
//! `[B, N, 12]` with their futures `[B, N, F, 4]`, occupancy `[B, X, Y, T]`, a map `[B, X, Y, C]` and the
//! light `[B, 5]`, to goals `[B, S, 4]`, raw weights `[B, S, 4]` and `[B, S, 2]`, and margins `[B, N]`.

use super::driving::{agents_port, ego, heads_fit, state_port};
use super::shared::{at_least_one, dropout_probability, extent, init, known, mode, optional};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::tensor::Tensor;
use conjoin_data::{Contract, Dim, Meaning};
use conjoin_nn::driving::GridOptions;
use conjoin_nn::driving::planning::{PlanningInputs, PlanningOptions, PlanningTransformer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Transformer layers with a query a step over tokens of all that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanningTransformerConfig {
    /// Steps of 0.1 s that are planned.
    pub steps: usize,
    /// Features of a token.
    pub hidden: usize,
    /// Layers in which the steps attend to each other and to the scene.
    pub layers: usize,
    /// Heads of attention, among which the features are split.
    pub heads: usize,
    /// Cells along each side of a patch of the grids.
    pub patch: usize,
    /// Probability of dropping, in training, a weight of attention or an element inside a layer.
    pub dropout: f64,
    /// Probability, in training, that the network does not see the own vehicle's state in a sample, so
    /// that it learns what to do from the scene rather than from what it does already.
    pub state_dropout: f64,
    /// Plans among which the likeliest one is chosen; in training, where `target` is wired, the one nearest to it.
    pub modes: usize,
}

impl Default for PlanningTransformerConfig {
    fn default() -> Self {
        Self {
            steps: 20,
            hidden: 64,
            layers: 2,
            heads: 4,
            patch: 8,
            dropout: 0.0,
            state_dropout: 0.0,
            modes: 1,
        }
    }
}

impl PlanningTransformerConfig {
    /// The module's options for the inputs at hand, or what does not fit.
    fn options(&self, inputs: &Bound) -> Result<PlanningOptions, NodeError> {
        at_least_one("steps", self.steps)?;
        at_least_one("layers", self.layers)?;
        at_least_one("patch", self.patch)?;
        at_least_one("modes", self.modes)?;
        heads_fit(self.hidden, self.heads)?;
        dropout_probability(self.dropout)?;
        let refuse = |message: String| Err(NodeError::Options(message));
        if !(0.0..=1.0).contains(&self.state_dropout) {
            return refuse(format!(
                "state_dropout: expected 0 to 1, found {}",
                self.state_dropout
            ));
        }
        let route_points = known(inputs, "P")?;
        if route_points == 0 || !route_points.is_multiple_of(2) {
            return refuse(format!(
                "input \"route\": expected an even number of points, found {route_points}"
            ));
        }
        let agents = inputs.contract("agents").is_some();
        if inputs.contract("futures").is_some() && !agents {
            return refuse(
                "input \"futures\": expected with input \"agents\", whose futures they are; it is \
                 not wired"
                    .to_owned(),
            );
        }
        Ok(PlanningOptions {
            route_points,
            agents,
            futures: inputs.size("F").unwrap_or(0),
            grid: self.grid(inputs)?,
            light: inputs.contract("light").is_some(),
            steps: self.steps,
            hidden: self.hidden,
            layers: self.layers,
            heads: self.heads,
            dropout: self.dropout,
            state_dropout: self.state_dropout,
            modes: self.modes,
        })
    }

    /// The grids, if there are any.
    fn grid(&self, inputs: &Bound) -> Result<Option<GridOptions>, NodeError> {
        let frame = |port| inputs.contract(port).map(|grid| grid.frame.as_deref());
        if let (Some(Some(occupancy)), Some(Some(map))) = (frame("occupancy"), frame("map"))
            && occupancy != map
        {
            return Err(NodeError::Options(format!(
                "input \"map\": expected the grid of input \"occupancy\", {occupancy}, found {map}"
            )));
        }
        let (Some(x), Some(y)) = (inputs.size("X"), inputs.size("Y")) else {
            return Ok(None);
        };
        let options = GridOptions {
            cells: [x, y],
            occupancy: inputs.size("T").unwrap_or(0),
            map: inputs.size("C").unwrap_or(0),
            patch: self.patch,
        };
        if options.tokens() == 0 {
            return Err(NodeError::Options(format!(
                "patch: expected a divisor of the grid's cells, {x} and {y}, found {}",
                self.patch
            )));
        }
        Ok(Some(options))
    }
}

impl NodeConfig for PlanningTransformerConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let port = |name, about, meanings: &[Meaning], dims: &[Want]| {
            let dims: Vec<Want> = [Want::Any("B")].iter().chain(dims).copied().collect();
            InputPort::new(name, about, meanings, &dims)
        };
        let plain = [Meaning::Quantity, Meaning::Features];
        let grid = |last| [Want::Known("X"), Want::Known("Y"), Want::Known(last)];
        vec![
            state_port(),
            port(
                "route",
                "points to drive through, x, y",
                &plain,
                &[Want::Known("P"), Want::Exactly(2)],
            ),
            agents_port().optional_part(),
            port(
                "futures",
                "known, x, y, heading of each agent at each step",
                &plain,
                &[Want::Any("N"), Want::Known("F"), Want::Exactly(4)],
            )
            .optional_part(),
            port(
                "occupancy",
                "share of each cell that is taken, at some times",
                &plain,
                &grid("T"),
            )
            .optional_part(),
            port("map", "features of the ground", &plain, &grid("C")).optional_part(),
            port(
                "light",
                "none, green, yellow, red, and the distance to the stop line",
                &plain,
                &[Want::Exactly(5)],
            )
            .optional_part(),
            port(
                "target",
                "x, y, heading, speed at each step as they should be: in training the nearest of several modes is chosen",
                &plain,
                &[Want::Any("S"), Want::Exactly(4)],
            )
            .optional(),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let options = self.options(inputs)?;
        let batch = inputs.dim("B");
        let steps = |last: usize| [batch.clone(), options.steps.into(), last.into()];
        let raw = |last| Contract::new(Meaning::Quantity, steps(last));
        let mut outputs = vec![
            OutputPort::new("goals", "x, y, heading, speed at each step", ego(steps(4))),
            OutputPort::new(
                "state_weights",
                "what a distance from each goal costs, before softplus",
                raw(4),
            ),
            OutputPort::new(
                "control_weights",
                "what acceleration and curvature cost, before softplus",
                raw(2),
            ),
        ];
        if options.agents {
            let mut margins = ego([batch.clone(), inputs.dim("N")]);
            margins.units = Some("m".to_owned());
            outputs.push(OutputPort::new(
                "margins",
                "gap to keep to each agent",
                margins,
            ));
        }
        let target = inputs.contract("target");
        if let Some(found) = target.and(inputs.size("S")).filter(|s| *s != options.steps) {
            return Err(NodeError::Options(format!(
                "input \"target\": expected as many steps as `steps`, {}, found {found}",
                options.steps
            )));
        }
        if options.modes > 1 {
            let (one, numbers) = (Dim::from(1), (1 + 2 * options.steps).into());
            let modal = [batch.clone(), one.clone(), options.modes.into(), numbers];
            outputs.push(OutputPort::new(
                "modal",
                "of each mode a logit, then x and y at each step",
                ego(modal),
            ));
            if target.is_some() {
                outputs.push(OutputPort::new(
                    "taken",
                    "the target as the way of one agent: known, x, y, heading",
                    ego([batch.clone(), one, options.steps.into(), 4.into()]),
                ));
            }
        }
        Ok(outputs)
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let options = self.options(inputs)?;
        Ok(Box::new(PlanningTransformer::new(&init(scope), &options)))
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let agents = match inputs.contract("agents") {
            Some(_) => extent(&inputs.dim("N"), size),
            None => 0.0,
        };
        self.options(inputs)
            .map_or(0.0, |options| options.flops(agents))
    }

    /// All steps are planned at once.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for PlanningTransformer {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let scene = PlanningInputs {
            state: inputs.tensor("state")?,
            route: inputs.tensor("route")?,
            agents: optional(inputs, "agents")?,
            futures: optional(inputs, "futures")?,
            occupancy: optional(inputs, "occupancy")?,
            map: optional(inputs, "map")?,
            light: optional(inputs, "light")?,
            target: optional(inputs, "target")?,
        };
        let taken = scene.target.as_ref().map(taken);
        let plan = PlanningTransformer::forward(self, &scene, &mut mode(context));
        let outputs = Outputs::one("goals", plan.goals)
            .and("state_weights", plan.state_weights)
            .and("control_weights", plan.control_weights);
        let outputs = match plan.margins {
            Some(margins) => outputs.and("margins", margins),
            None => outputs,
        };
        let Some(modal) = plan.modal else {
            return Ok(outputs);
        };
        let outputs = outputs.and("modal", modal.unsqueeze_dim::<4>(1));
        Ok(match taken {
            Some(taken) => outputs.and("taken", taken),
            None => outputs,
        })
    }
}

/// A plan `[B, S, 4]` of x, y, heading, speed as an agent's way `[B, 1, S, 4]` of known, x, y, heading.
fn taken(target: &Tensor<3>) -> Tensor<4> {
    let way = target.clone().narrow(2, 0, 3);
    let known = Tensor::ones_like(&target.clone().narrow(2, 0, 1));
    Tensor::cat(vec![known, way], 2).unsqueeze_dim(1)
}

#[cfg(test)]
mod tests;
