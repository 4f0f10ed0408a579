//! Node kind `qp-planner`: goals `[B, S, 4]`, weights, margins, predicted agents and occupancy to the plan `[B, S, 4]` that is
//! the solution of a quadratic program, with the controls `[B, S, 2]` that drive it and what holds it.

mod config;

use super::shared::{contract, known, optional};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want, WantFrame};
use burn::module::Module;
pub use config::QpPlannerConfig;
use conjoin_data::{Contract, Dim, Meaning, grid_frame};
use conjoin_nn::qp_planner::{AGENT, Occupancy, PlannerInputs, PlannerOptions, Road, plan};

/// The frame of everything that has one.
const FRAME: &str = "ego";

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
                "road",
                "metres to the road's edge, above 0 on it; what the front corners keep to if wired",
                &learned,
                &[b, Want::Any("I"), Want::Any("J"), exactly(1)],
            )
            .in_units("m")
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
        let mut more = |[dual, slack]: [(&'static str, &'static str); 2]| {
            for ((name, about), units) in [(dual, "1/m"), (slack, "m")] {
                let contract = quantity(std::slice::from_ref(&rows), units, false);
                ports.push(OutputPort::new(name, about, contract));
            }
        };
        if occupancy {
            more([
                (
                    "occupancy_dual",
                    "how strongly cells of the occupancy hold the plan, all together",
                ),
                (
                    "occupancy_slack",
                    "by how much the gap to one of them falls short",
                ),
            ]);
        }
        if inputs.contract("road").is_some() {
            more([
                ("road_dual", "how strongly the road's edge holds the plan"),
                (
                    "road_slack",
                    "by how much what is kept of the road falls short",
                ),
            ]);
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
        let [occupancy, road] = ["occupancy", "road"].map(|port| inputs.contract(port).is_some());
        (self.options()).map_or(0.0, |options| {
            options.flops(size("S"), size("N"), occupancy, road)
        })
    }

    /// Steps of a plan belong together.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for QpPlannerNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let occupancy = optional(inputs, "occupancy")?.map(|grid| Occupancy {
            grid,
            extent: self.extent,
            times: self.occupancy_times.clone(),
        });
        let road = optional(inputs, "road")?.map(|map| Road {
            map,
            extent: self.extent,
        });
        let [occupied, bordered] = [occupancy.is_some(), road.is_some()];
        let given = PlannerInputs {
            goals: inputs.tensor("goals")?,
            state_weights: inputs.tensor("state_weights")?,
            control_weights: inputs.tensor("control_weights")?,
            margins: inputs.tensor("margins")?,
            futures: inputs.tensor("futures")?,
            agents: inputs.tensor("agents")?,
            occupancy,
            road,
            state: inputs.tensor("state")?,
            route: optional(inputs, "route")?,
            reference: optional(inputs, "reference")?,
        };
        let found =
            plan(&self.options, given).map_err(|error| NodeError::Data(error.to_string()))?;
        let mut outputs = Outputs::one("plan", found.plan)
            .and("controls", found.controls)
            .and("duals", found.duals)
            .and("slacks", found.slacks)
            .and("fallback", found.fallback)
            .and("reason", found.reason);
        if occupied {
            outputs = outputs
                .and("occupancy_dual", found.occupancy_dual)
                .and("occupancy_slack", found.occupancy_slack);
        }
        if bordered {
            outputs = outputs
                .and("road_dual", found.road_dual)
                .and("road_slack", found.road_slack);
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests;
