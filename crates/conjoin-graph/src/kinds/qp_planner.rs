//! Node kind `qp-planner`: goals `[B, S, 4]`, weights, margins, predicted agents and occupancy to the plan `[B, S, 4]` that is
//! the solution of a quadratic program, with the controls `[B, S, 2]` that drive it and what holds it.

use super::shared::{contract, known};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want, WantFrame};
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Dim, Meaning, grid_frame};
use conjoin_nn::qp_planner::{
    AGENT, Occupancy, Penalty, PlannerInputs, PlannerOptions, Vehicle, plan,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The frame of everything that has one.
const FRAME: &str = "ego";

/// A planner: keeps the limits of the vehicle, and as far as it can a distance to walls, agents and what else is
/// predicted to be in the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QpPlannerConfig {
    /// Seconds a step.
    pub step: f64,
    /// Least and greatest acceleration, m/s^2. Never exceeded.
    pub acceleration: [f64; 2],
    /// Greatest change of acceleration, m/s^3. Never exceeded.
    pub jerk: f64,
    /// Greatest lateral acceleration, m/s^2. Never exceeded.
    pub lateral: f64,
    /// Greatest curvature, 1/m. Never exceeded.
    pub curvature: f64,
    /// Greatest change of curvature, 1/(m s). Never exceeded.
    pub curvature_rate: f64,
    /// The vehicle's length, m.
    pub length: f64,
    /// The vehicle's width, m.
    pub width: f64,
    /// From the rear axle to the middle of the vehicle's length, m.
    pub centre: f64,
    /// Between the axles, m.
    pub wheelbase: f64,
    /// The most circles that cover the vehicle or an agent.
    pub circles: usize,
    /// The most agents that are kept clear of: those that come nearest.
    pub obstacles: usize,
    /// Agents whose presence is less are left out.
    pub threshold: f64,
    /// What is kept more before agents that stand on the route, straight ahead, m: room to pull out (the `s0`
    /// of an intelligent driver). A vehicle slower than 2 m/s keeps less of it, one that stands none.
    pub standoff: f64,
    /// From the route to the walls at its sides, m.
    pub corridor: f64,
    /// Metres of the ego frame that the cells of `occupancy` cover: x from, x to, y from, y to.
    pub extent: [f64; 4],
    /// Seconds from now of each of the times of `occupancy`.
    pub occupancy_times: Vec<f64>,
    /// The most cells of `occupancy` that are kept clear of: those that come nearest and are no agent's.
    pub cells: usize,
    /// Cells whose probability is less are left out.
    pub occupancy_threshold: f64,
    /// The gap to keep from a cell that is surely taken, m; others have as much of it as their probability.
    pub occupancy_margin: f64,
    /// What each metre costs by which a wall or an agent is too near, in the cost's units: as long as they can
    /// be kept at less, they are.
    pub penalty: f64,
    /// By how much that grows with each metre.
    pub penalty_growth: f64,
    /// Smooth the plan by a barrier of this parameter, so that limits which hold it let gradient through
    /// (default: the plan itself).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relax: Option<f64>,
    /// Whether gradient flows back through the plan.
    pub gradient: bool,
}

impl Default for QpPlannerConfig {
    fn default() -> Self {
        let options = PlannerOptions::default();
        let vehicle = options.vehicle;
        Self {
            step: vehicle.dt,
            acceleration: vehicle.acceleration,
            jerk: vehicle.jerk,
            lateral: vehicle.lateral,
            curvature: vehicle.curvature,
            curvature_rate: vehicle.curvature_rate,
            length: vehicle.length,
            width: vehicle.width,
            centre: vehicle.centre,
            wheelbase: options.wheelbase,
            circles: vehicle.circles,
            obstacles: options.obstacles,
            threshold: options.threshold,
            standoff: options.standoff,
            corridor: options.corridor,
            extent: [-8.0, 40.0, -24.0, 24.0],
            occupancy_times: vec![0.0, 0.5, 1.0, 2.0],
            cells: options.cells,
            occupancy_threshold: options.occupancy_threshold,
            occupancy_margin: options.occupancy_margin,
            penalty: vehicle.penalty.linear,
            penalty_growth: vehicle.penalty.quadratic,
            relax: options.relax,
            gradient: options.gradient,
        }
    }
}

impl QpPlannerConfig {
    /// The module's options, or what makes no sense.
    fn options(&self) -> Result<PlannerOptions, NodeError> {
        let refuse = |message: String| Err(NodeError::Options(message));
        for (option, found) in [
            ("step", self.step),
            ("jerk", self.jerk),
            ("lateral", self.lateral),
            ("curvature", self.curvature),
            ("curvature_rate", self.curvature_rate),
            ("length", self.length),
            ("width", self.width),
            ("wheelbase", self.wheelbase),
            ("corridor", self.corridor),
            ("penalty", self.penalty),
            ("penalty_growth", self.penalty_growth),
            ("relax", self.relax.unwrap_or(1.0)),
        ] {
            if !(found.is_finite() && found > 0.0) {
                return refuse(format!("{option}: expected more than 0, found {found}"));
            }
        }
        let [least, most] = self.acceleration;
        if !(least.is_finite() && most.is_finite() && least < 0.0 && most > 0.0) {
            return refuse(format!(
                "acceleration: expected the least, below 0, and the greatest, above 0, \
                 found [{least}, {most}]"
            ));
        }
        if self.centre.is_nan() || self.centre.abs() > self.length {
            return refuse(format!(
                "centre: expected a place within a length of the rear axle, found {} m for a vehicle of {} m",
                self.centre, self.length
            ));
        }
        for (option, found) in [
            ("standoff", self.standoff),
            ("occupancy_margin", self.occupancy_margin),
        ] {
            if !(found.is_finite() && found >= 0.0) {
                return refuse(format!("{option}: expected 0 or more, found {found}"));
            }
        }
        for (option, found) in [
            ("threshold", self.threshold),
            ("occupancy_threshold", self.occupancy_threshold),
        ] {
            if !(0.0..=1.0).contains(&found) {
                return refuse(format!(
                    "{option}: expected a number from 0 to 1, found {found}"
                ));
            }
        }
        if let Some(time) = (self.occupancy_times.iter()).find(|t| !(t.is_finite() && **t >= 0.0)) {
            return refuse(format!(
                "occupancy_times: expected seconds of 0 or more, found {time}"
            ));
        }
        let [x0, x1, y0, y1] = self.extent;
        if !(x0 < x1 && y0 < y1 && self.extent.iter().all(|at| at.is_finite())) {
            return refuse(format!(
                "extent: expected x from, x to, y from, y to, each from below its to, found {:?}",
                self.extent
            ));
        }
        if !(1..=8).contains(&self.circles) {
            return refuse(format!("circles: expected 1 to 8, found {}", self.circles));
        }
        Ok(PlannerOptions {
            vehicle: Vehicle {
                dt: self.step,
                acceleration: self.acceleration,
                jerk: self.jerk,
                curvature: self.curvature,
                curvature_rate: self.curvature_rate,
                lateral: self.lateral,
                length: self.length,
                width: self.width,
                centre: self.centre,
                circles: self.circles,
                penalty: Penalty {
                    linear: self.penalty,
                    quadratic: self.penalty_growth,
                },
            },
            wheelbase: self.wheelbase,
            obstacles: self.obstacles,
            threshold: self.threshold,
            standoff: self.standoff,
            corridor: self.corridor,
            cells: self.cells,
            occupancy_threshold: self.occupancy_threshold,
            occupancy_margin: self.occupancy_margin,
            relax: self.relax,
            gradient: self.gradient,
        })
    }
}

#[derive(Module, Debug)]
struct QpPlannerNode {
    #[module(skip)]
    options: PlannerOptions,
    #[module(skip)]
    extent: [f64; 4],
    #[module(skip)]
    occupancy_times: Vec<f64>,
}

impl NodeConfig for QpPlannerConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let learned = [Meaning::Quantity, Meaning::Features];
        let given = [Meaning::Quantity];
        let (b, s, n) = (Want::Any("B"), Want::Known("S"), Want::Known("N"));
        let exactly = Want::Exactly;
        vec![
            InputPort::new(
                "goals",
                "x, y, heading and speed to be at, at the end of each step",
                &learned,
                &[b, s, exactly(4)],
            ),
            InputPort::new(
                "state_weights",
                "raw weights of the distances to the goals: softplus makes them positive",
                &learned,
                &[b, s, exactly(4)],
            ),
            InputPort::new(
                "control_weights",
                "raw weights of acceleration and curvature: softplus makes them positive",
                &learned,
                &[b, s, exactly(2)],
            ),
            InputPort::new(
                "margins",
                "the gap to keep from each agent, m",
                &learned,
                &[b, n],
            ),
            InputPort::new(
                "futures",
                "of each agent at each step: known, x, y, heading",
                &given,
                &[b, n, Want::Known("F"), exactly(4)],
            ),
            InputPort::new(
                "agents",
                "of each agent: present, x, y, cosine and sine of the heading, length, width, ...",
                &given,
                &[b, n, exactly(AGENT)],
            ),
            InputPort::new(
                "state",
                "the vehicle's speed, acceleration, steering angle and yaw rate",
                &given,
                &[b, exactly(4)],
            ),
            InputPort::new(
                "route",
                "points ahead, x and y, between walls; no walls if not wired",
                &given,
                &[b, Want::Any("P"), exactly(2)],
            )
            .optional(),
            InputPort::new(
                "occupancy",
                "probability that a cell is taken, at some times; where no agent is, it is kept clear of",
                &learned,
                &[b, Want::Any("X"), Want::Any("Y"), Want::Known("T")],
            )
            .in_frame(WantFrame::Exactly(grid_frame(self.extent)))
            .optional(),
            InputPort::new(
                "reference",
                "controls around which the vehicle's model is linear; those that follow the goals if not wired",
                &given,
                &[b, s, exactly(2)],
            )
            .optional(),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        self.options()?;
        let (steps, future) = (known(inputs, "S")?, known(inputs, "F")?);
        if future < steps {
            return Err(NodeError::Options(format!(
                "input \"futures\": expected at least as many steps as the {steps} of \"goals\", found {future}"
            )));
        }
        for port in ["goals", "futures", "agents", "route"] {
            if let Some(frame) = inputs.contract(port).and_then(|c| c.frame.as_deref())
                && frame != FRAME
            {
                return Err(NodeError::Options(format!(
                    "input {port:?}: expected the frame {FRAME:?}, found {frame:?}"
                )));
            }
        }
        contract(inputs, "goals")?;
        let occupancy = inputs.contract("occupancy").is_some();
        if occupancy && inputs.size("T") != Some(self.occupancy_times.len()) {
            return Err(NodeError::Options(format!(
                "occupancy_times: expected as many as the {} times of input \"occupancy\", found {}",
                inputs.size("T").unwrap_or(0),
                self.occupancy_times.len()
            )));
        }
        let (rows, agents) = (inputs.dim("B"), inputs.dim("N"));
        let quantity = |dims: &[Dim], units: &str, in_frame: bool| Contract {
            units: Some(units.to_owned()),
            frame: in_frame.then(|| FRAME.to_owned()),
            ..Contract::new(Meaning::Quantity, dims.iter().cloned())
        };
        let along = |numbers: usize| [rows.clone(), steps.into(), numbers.into()];
        let an_agent = [rows.clone(), agents];
        let flag = Contract {
            range: Some((0.0, 1.0)),
            ..Contract::new(Meaning::Quantity, [rows.clone()])
        };
        let mut ports = vec![
            OutputPort::new(
                "plan",
                "x, y, heading and speed at the end of each step",
                quantity(&along(4), "m, m, rad, m/s", true),
            ),
            OutputPort::new(
                "controls",
                "acceleration and curvature during each step",
                quantity(&along(2), "m/s^2, 1/m", false),
            ),
            OutputPort::new(
                "duals",
                "how strongly each agent holds the plan: what one more metre of room would save",
                quantity(&an_agent, "1/m", false),
            ),
            OutputPort::new(
                "slacks",
                "by how much the gap to each agent falls short",
                quantity(&an_agent, "m", false),
            ),
            OutputPort::new("fallback", "1 where there is no plan but braking", flag),
            OutputPort::new(
                "reason",
                "why there is none: 1 an input is not finite, 2 hard rows contradict each other (and 4 times their limits), 3 not solved",
                Contract::new(Meaning::Quantity, [rows.clone()]),
            ),
        ];
        if occupancy {
            ports.push(OutputPort::new(
                "occupancy_dual",
                "how strongly cells of the occupancy hold the plan, all together",
                quantity(std::slice::from_ref(&rows), "1/m", false),
            ));
            ports.push(OutputPort::new(
                "occupancy_slack",
                "by how much the gap to one of them falls short",
                quantity(&[rows], "m", false),
            ));
        }
        Ok(ports)
    }

    fn init(&self, _: &Bound, _: &Scope) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(QpPlannerNode {
            options: self.options()?,
            extent: self.extent,
            occupancy_times: self.occupancy_times.clone(),
        }))
    }

    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        let size = |dim| inputs.size(dim).unwrap_or(0);
        let occupancy = inputs.contract("occupancy").is_some();
        (self.options()).map_or(0.0, |options| {
            options.flops(size("S"), size("N"), occupancy)
        })
    }

    /// Steps of a plan belong together.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for QpPlannerNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let optional = |port: &str| -> Result<Option<Tensor<3>>, NodeError> {
            let wired = inputs.find(port).is_some();
            wired.then(|| inputs.tensor(port)).transpose()
        };
        let occupied = inputs.find("occupancy").is_some();
        let occupancy = occupied
            .then(|| -> Result<Occupancy, NodeError> {
                Ok(Occupancy {
                    grid: inputs.tensor("occupancy")?,
                    extent: self.extent,
                    times: self.occupancy_times.clone(),
                })
            })
            .transpose()?;
        let given = PlannerInputs {
            goals: inputs.tensor("goals")?,
            state_weights: inputs.tensor("state_weights")?,
            control_weights: inputs.tensor("control_weights")?,
            margins: inputs.tensor("margins")?,
            futures: inputs.tensor("futures")?,
            agents: inputs.tensor("agents")?,
            occupancy,
            state: inputs.tensor("state")?,
            route: optional("route")?,
            reference: optional("reference")?,
        };
        let found =
            plan(&self.options, given).map_err(|error| NodeError::Data(error.to_string()))?;
        let outputs = Outputs::one("plan", found.plan)
            .and("controls", found.controls)
            .and("duals", found.duals)
            .and("slacks", found.slacks)
            .and("fallback", found.fallback)
            .and("reason", found.reason);
        if !occupied {
            return Ok(outputs);
        }
        Ok(outputs
            .and("occupancy_dual", found.occupancy_dual)
            .and("occupancy_slack", found.occupancy_slack))
    }
}

#[cfg(test)]
mod tests;
