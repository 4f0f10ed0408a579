//! The planner of `conjoin-qp` as a differentiable operation: goals, weights and predicted agents to a
//! plan that keeps the vehicle's limits.
//!
//! `S` steps, `N` agents, `F >= S` predicted steps, `P` points of a route; metres, radians and seconds in the
//! frame of the vehicle's rear axle now. Each row of a batch is one quadratic program in double precision;
//! the gradient is that of its solution by the implicit function theorem (Amos & Kolter 2017, "OptNet").
//! Rows are solved side by side, each by itself, so that nothing depends on the number of threads.

mod cells;
mod operation;
mod reason;
mod road;
mod scene;

use burn::tensor::{Tensor, TensorData};
use cells::Grid;
use conjoin_kernels::flex::{apply, on_flex};
pub use conjoin_qp::Penalty;
pub use conjoin_qp::planner::Vehicle;
use operation::Operation;
pub use reason::{Limits, Reason};
use road::Map;
use std::fmt;

/// Numbers of an agent: present, x, y, cosine and sine of the heading, length, width, velocity (x, y), vehicle,
/// pedestrian, static.
pub const AGENT: usize = 12;

/// What the planner is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannerOptions {
    /// What the vehicle can do.
    pub vehicle: Vehicle,
    /// Between the axles, m: makes a steering angle a curvature.
    pub wheelbase: f64,
    /// The most agents that count: those that come nearest to the reference.
    pub obstacles: usize,
    /// Agents whose first number is less do not count.
    pub threshold: f64,
    /// What is kept more before agents that stand on the route, straight ahead, m; by a vehicle slower than 2 m/s
    /// as much less of it, as it is to pull out.
    pub standoff: f64,
    /// From the route to the walls at its sides, m.
    pub corridor: f64,
    /// The most cells of predicted occupancy that count: those that come nearest to the reference.
    pub cells: usize,
    /// Cells whose probability is less do not count.
    pub occupancy_threshold: f64,
    /// The gap to keep from a cell that is surely taken, m; others have as much of it as their probability.
    pub occupancy_margin: f64,
    /// What the front corners keep of the road, m.
    pub road_margin: f64,
    /// Smooth the plan by a barrier of this parameter, so that rows which pin it let gradient through.
    pub relax: Option<f64>,
    /// Whether gradient flows back through the plan.
    pub gradient: bool,
}

impl Default for PlannerOptions {
    fn default() -> Self {
        Self {
            vehicle: Vehicle::default(),
            wheelbase: 2.8,
            obstacles: 8,
            threshold: 0.5,
            standoff: 0.0,
            corridor: 3.0,
            cells: 4,
            occupancy_threshold: 0.5,
            occupancy_margin: 0.2,
            road_margin: 0.3,
            relax: None,
            gradient: true,
        }
    }
}

impl PlannerOptions {
    /// An estimate of the multiply-adds for one plan, times two: the condensed model, its Hessian, and as
    /// many steps of the active set as there are controls.
    pub fn flops(&self, steps: usize, agents: usize, occupancy: bool, road: bool) -> f64 {
        let (s, n) = (steps as f64, 2.0 * steps as f64);
        let cells = if occupancy { self.cells } else { 0 };
        let gaps = s * (self.vehicle.circles * (agents.min(self.obstacles) + cells)) as f64;
        let model = 2.0 * (16.0 * s * n + 4.0 * s * n * n / 6.0);
        let edges = if road { 2.0 * s } else { 0.0 };
        let rows = 8.0 * s + 3.0 * s + gaps + edges;
        model + 2.0 * (gaps + edges) * n + n * (2.0 * rows * n + 10.0 * n * n)
    }
}

/// Predicted occupancy.
#[derive(Clone, Debug)]
pub struct Occupancy {
    /// Probability that a cell is taken, `[B, X, Y, T]`.
    pub grid: Tensor<4>,
    /// Metres that the cells cover: x from and to, y from and to.
    pub extent: [f64; 4],
    /// Seconds from now of each of the `T`.
    pub times: Vec<f64>,
}

/// A map of the road.
#[derive(Clone, Debug)]
pub struct Road {
    /// Metres from the middle of a cell to the road's edge, above 0 on the road, `[B, X, Y, 1]`.
    pub map: Tensor<4>,
    /// Metres that the cells cover: x from and to, y from and to.
    pub extent: [f64; 4],
}

/// What a plan is made from. Gradient flows to all but state, route and reference.
#[derive(Clone, Debug)]
pub struct PlannerInputs {
    /// Where the vehicle should be, `[B, S, 4]`: x, y, heading, speed.
    pub goals: Tensor<3>,
    /// Raw weights of the distances to the goals, `[B, S, 4]`; they count as `softplus(raw) + 0.001`.
    pub state_weights: Tensor<3>,
    /// Raw weights of acceleration and curvature, `[B, S, 2]`.
    pub control_weights: Tensor<3>,
    /// The gap to keep from each agent, m `[B, N]`.
    pub margins: Tensor<2>,
    /// Where agents will be, `[B, N, F, 4]`: known, x, y, heading.
    pub futures: Tensor<4>,
    /// What they are, `[B, N, 12]` ([`AGENT`]); length and width get gradient.
    pub agents: Tensor<3>,
    /// Speed, acceleration, steering angle, yaw rate, `[B, 4]`.
    pub state: Tensor<2>,
    /// What is in the way besides the agents, through whose probabilities the gap to keep has its gradient.
    pub occupancy: Option<Occupancy>,
    /// What the front corners stay on, where it is known.
    pub road: Option<Road>,
    /// Points ahead, `[B, P, 2]`; without them there are no walls.
    pub route: Option<Tensor<3>>,
    /// Controls around which the model is linear, `[B, S, 2]`; those that follow the goals where there are none.
    pub reference: Option<Tensor<3>>,
}

/// What comes out; gradient flows through plan and controls alone.
#[derive(Clone, Debug)]
pub struct PlannerOutput {
    /// x, y, heading, speed at the end of each step, `[B, S, 4]`.
    pub plan: Tensor<3>,
    /// Acceleration and curvature during each step, `[B, S, 2]`.
    pub controls: Tensor<3>,
    /// How strongly each agent holds the plan: what one more metre of room would save, `[B, N]`.
    pub duals: Tensor<2>,
    /// By how much the gap to each agent falls short at most, m `[B, N]`.
    pub slacks: Tensor<2>,
    /// How strongly cells of occupancy hold the plan, all together, `[B]`.
    pub occupancy_dual: Tensor<1>,
    /// By how much the gap to a cell falls short at most, m `[B]`.
    pub occupancy_slack: Tensor<1>,
    /// How strongly the road's edge holds the plan, `[B]`.
    pub road_dual: Tensor<1>,
    /// By how much what is kept of the road falls short at most, m `[B]`.
    pub road_slack: Tensor<1>,
    /// 1 where there was no plan and the vehicle brakes, `[B]`; no gradient flows there.
    pub fallback: Tensor<1>,
    /// Why there was no plan, [`Reason::number`], or 0, `[B]`.
    pub reason: Tensor<1>,
}

/// Why nothing was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannerError {
    /// The tensors are on another device, or not in single precision.
    Device(String),
    /// An input's shape does not fit the goals'.
    Shape {
        /// The input.
        input: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// What it should be.
        expected: String,
    },
}

impl fmt::Display for PlannerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(input) => write!(
                f,
                "{input}: found a tensor on another device, expected single precision on the CPU, \
                 where this planner runs"
            ),
            Self::Shape {
                input,
                found,
                expected,
            } => write!(f, "{input}: found shape {found:?}, expected {expected}"),
        }
    }
}

impl std::error::Error for PlannerError {}

fn fits<const D: usize>(
    input: &'static str,
    tensor: &Tensor<D>,
    expected: [usize; D],
) -> Result<(), PlannerError> {
    if tensor.dims() != expected {
        return Err(PlannerError::Shape {
            input,
            found: tensor.dims().to_vec(),
            expected: format!("{expected:?}"),
        });
    }
    if !on_flex(tensor) {
        return Err(PlannerError::Device(input.to_owned()));
    }
    Ok(())
}

/// Plans every row of a batch.
///
/// Rows without a plan, because hard limits contradict each other or a number is not finite, brake as hard as
/// the limits allow.
///
/// # Errors
/// [`PlannerError`]: shapes that do not fit, tensors that are not on the CPU.
pub fn plan(
    options: &PlannerOptions,
    inputs: PlannerInputs,
) -> Result<PlannerOutput, PlannerError> {
    let [rows, steps, _] = inputs.goals.dims();
    let [_, agents, future, _] = inputs.futures.dims();
    fits("goals", &inputs.goals, [rows, steps, 4])?;
    fits("state_weights", &inputs.state_weights, [rows, steps, 4])?;
    fits("control_weights", &inputs.control_weights, [rows, steps, 2])?;
    fits("margins", &inputs.margins, [rows, agents])?;
    fits(
        "futures",
        &inputs.futures,
        [rows, agents, future.max(steps), 4],
    )?;
    fits("agents", &inputs.agents, [rows, agents, AGENT])?;
    fits("state", &inputs.state, [rows, 4])?;
    let device = inputs.goals.device();
    let route = match inputs.route {
        Some(route) => {
            let [_, points, _] = route.dims();
            fits("route", &route, [rows, points, 2])?;
            route.detach()
        }
        None => Tensor::from_data(TensorData::new(Vec::<f32>::new(), [rows, 0, 2]), &device),
    };
    let (occupancy, grid) = if let Some(found) = inputs.occupancy {
        let [_, x, y, _] = found.grid.dims();
        fits("occupancy", &found.grid, [rows, x, y, found.times.len()])?;
        let grid = Grid {
            cells: [x, y],
            extent: found.extent,
            times: found.times,
        };
        (found.grid, Some(grid))
    } else {
        let nothing = TensorData::new(Vec::<f32>::new(), [rows, 0, 0, 0]);
        (Tensor::from_data(nothing, &device), None)
    };
    let (road, map) = if let Some(found) = inputs.road {
        let [_, x, y, _] = found.map.dims();
        fits("road", &found.map, [rows, x, y, 1])?;
        let map = Map {
            cells: [x, y],
            extent: found.extent,
        };
        (found.map, Some(map))
    } else {
        let nothing = TensorData::new(Vec::<f32>::new(), [rows, 0, 0, 1]);
        (Tensor::from_data(nothing, &device), None)
    };
    let state = inputs.state.detach();
    let reference = if let Some(reference) = inputs.reference {
        fits("reference", &reference, [rows, steps, 2])?;
        reference.detach()
    } else {
        let host = |data: TensorData| data.iter::<f32>().collect::<Vec<f32>>();
        let goals = host(inputs.goals.to_data());
        let found = scene::references(options, steps, &goals, &host(state.to_data()));
        Tensor::from_data(TensorData::new(found, [rows, steps, 2]), &device)
    };
    let sizes = [rows, steps, agents, future];
    let operation = Operation::new(*options, sizes, route.dims()[1], grid, map);
    let inputs = [
        inputs.goals.into_dispatch(),
        inputs.state_weights.into_dispatch(),
        inputs.control_weights.into_dispatch(),
        inputs.margins.into_dispatch(),
        inputs.futures.into_dispatch(),
        inputs.agents.into_dispatch(),
        occupancy.into_dispatch(),
        road.into_dispatch(),
        state.into_dispatch(),
        route.into_dispatch(),
        reference.into_dispatch(),
    ];
    let found: Tensor<2> = apply(operation, inputs);
    let found = if options.gradient {
        found
    } else {
        found.detach()
    };
    let fixed = found.clone().detach();
    let rest = 6 * steps;
    let columns = |from: &Tensor<2>, first: usize, count: usize| {
        from.clone().slice([0..rows, first..first + count])
    };
    let one = |column: usize| -> Tensor<1> {
        columns(&fixed, rest + 2 * agents + column, 1).reshape([rows])
    };
    let reason = one(4);
    Ok(PlannerOutput {
        plan: columns(&found, 0, 4 * steps).reshape([rows, steps, 4]),
        controls: columns(&found, 4 * steps, 2 * steps).reshape([rows, steps, 2]),
        duals: columns(&fixed, rest, agents),
        slacks: columns(&fixed, rest + agents, agents),
        occupancy_dual: one(0),
        occupancy_slack: one(1),
        road_dual: one(2),
        road_slack: one(3),
        fallback: reason.clone().clamp(0.0, 1.0),
        reason,
    })
}
