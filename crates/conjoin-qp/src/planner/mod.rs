//! A planner: the linear time-varying kinematic bicycle around a reference, condensed to a program in the
//! controls alone, z = (acceleration 0, curvature 0, acceleration 1, ...) `[2 steps]`.
//!
//! Minimises `1/2 sum of weights (state - goal)^2 + 1/2 sum of weights control^2 + linear control`. Hard,
//! never slack and never learned: limits of acceleration, curvature, lateral acceleration, jerk and
//! curvature rate. Soft at an exact penalty: speed at least 0, the corridor, edges, gaps to obstacles.
//!
//! Weights come as raw numbers, and count as `softplus(raw) + eps`. Gradients reach weights, goals, linear
//! terms, margins, the obstacles' predicted poses and sizes, the corridor, and the edges.

mod brake;
mod cover;
mod edge;
mod follow;
mod gaps;
mod line;
pub mod model;
mod program;
mod rows;

use crate::error::QpError;
use crate::linalg::{add_scaled, dot};
use crate::problem::{Penalty, finite, shape};
use crate::solution::{Solution, solve_from};
pub use brake::brake;
pub use edge::{Edge, EdgeGradients};
pub use follow::{corridor, follow};
pub use line::{Line, Place};
use model::{Control, State};
use program::{Program, goal, sigmoid};
pub use rows::{Bound, Side};

/// Added to weights, so that the program is strictly convex whatever the network says.
pub const EPS: f64 = 1e-3;

/// What the vehicle can do and how the planner looks ahead. Not learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vehicle {
    /// Length of a step, s.
    pub dt: f64,
    /// Least and greatest acceleration, m/s^2.
    pub acceleration: [f64; 2],
    /// Greatest change of acceleration, m/s^3.
    pub jerk: f64,
    /// Greatest curvature, 1/m.
    pub curvature: f64,
    /// Greatest change of curvature, 1/(m s).
    pub curvature_rate: f64,
    /// Greatest lateral acceleration at the reference's speed, m/s^2.
    pub lateral: f64,
    /// Its length and width, m.
    pub length: f64,
    /// As `length`.
    pub width: f64,
    /// From the rear axle, whose pose the state is, to the middle of its length, m.
    pub centre: f64,
    /// The most circles that cover the vehicle or an obstacle.
    pub circles: usize,
    /// What violations of soft rows cost, per metre or metre per second.
    pub penalty: Penalty,
}

impl Default for Vehicle {
    fn default() -> Self {
        Self {
            dt: 0.1,
            acceleration: [-3.5, 2.0],
            jerk: 8.0,
            curvature: 0.2,
            curvature_rate: 0.4,
            lateral: 3.0,
            length: 4.5,
            width: 1.9,
            centre: 1.4,
            circles: 3,
            penalty: Penalty {
                linear: 100.0,
                quadratic: 10.0,
            },
        }
    }
}

/// One predicted obstacle: a box that moves, covered by circles along its length.
#[derive(Clone, Debug, PartialEq)]
pub struct Obstacle {
    /// Where its middle is (x, y, m) and its heading (rad) at the end of each step `[steps]`; nothing is
    /// kept from it where that is not known.
    pub poses: Vec<Option<[f64; 3]>>,
    /// Its length, m; 0 makes it a circle.
    pub length: f64,
    /// Its width, m.
    pub width: f64,
    /// The gap to keep, m.
    pub margin: f64,
    /// What is kept more straight ahead, m: room to pull out. It counts by the eighth power of the cosine
    /// between the vehicle's heading and the direction to the obstacle, so that it hardly holds a plan that
    /// goes past (at 30 degrees 0.32 of it, at 45 degrees 0.06).
    pub standoff: f64,
}

/// The corridor at the end of a step: `normal . position <= offset - margin`, a side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wall {
    /// Unit normal, pointing out of the corridor.
    pub normal: [f64; 2],
    /// Offset along it, m.
    pub offset: f64,
    /// The gap to keep, m.
    pub margin: f64,
}

/// One planning problem. `steps` is the length of `reference`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Where the vehicle is.
    pub start: State,
    /// The control that is in force.
    pub current: Control,
    /// The controls around which the model is linear `[steps]`, such as those of [`follow`]. An obstacle
    /// is kept on the side on which the reference has it, at the first touch if it drives through.
    pub reference: Vec<Control>,
    /// Raw weights of the states' distances to the goals `[steps, 4]`.
    pub state_weights: Vec<f64>,
    /// Raw weights of the controls `[steps, 2]`.
    pub control_weights: Vec<f64>,
    /// Where the states should be `[steps, 4]`.
    pub goals: Vec<f64>,
    /// Linear cost of the controls `[steps, 2]`.
    pub linear: Vec<f64>,
    /// What is in the way.
    pub obstacles: Vec<Obstacle>,
    /// Left and right wall of each step: `[steps]`, or empty without a corridor.
    pub corridor: Vec<[Wall; 2]>,
    /// What points of the vehicle stay inside of.
    pub edges: Vec<Edge>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Hard rows contradict each other.
    #[error("hard rows contradict each other: {}", rows::list(.bounds))]
    Contradiction {
        /// Which, by what they bound.
        bounds: Vec<Bound>,
    },
    /// Any other error of the program.
    #[error(transparent)]
    Program(#[from] QpError),
}

/// A row that holds the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binding {
    /// What it bounds.
    pub bound: Bound,
    /// Its multiplier: what one more unit of room would save.
    pub dual: f64,
    /// By how much it is violated; 0 for hard rows.
    pub slack: f64,
}

/// A plan, ready for its gradient.
#[derive(Clone, Debug)]
pub struct Plan {
    /// States at the end of each step, by the linear model.
    pub states: Vec<State>,
    /// Controls of each step.
    pub controls: Vec<Control>,
    /// The solution of the program.
    pub solution: Solution,
    /// What each row of the program bounds.
    pub bounds: Vec<Bound>,
    program: Program,
}

/// What came of planning: a plan, or braking and why.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The plan.
    Planned(Box<Plan>),
    /// There is none: controls and states of [`brake`].
    Braked {
        /// Why.
        error: PlanError,
        /// Controls of each step.
        controls: Vec<Control>,
        /// States at the end of each step.
        states: Vec<State>,
    },
}

/// Gradients towards a scene, in its shapes; weights towards the raw numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneGradients {
    /// `[steps, 4]`.
    pub state_weights: Vec<f64>,
    /// `[steps, 2]`.
    pub control_weights: Vec<f64>,
    /// `[steps, 4]`.
    pub goals: Vec<f64>,
    /// `[steps, 2]`.
    pub linear: Vec<f64>,
    /// For each obstacle.
    pub obstacles: Vec<ObstacleGradients>,
    /// Of the walls' offsets; the margins have its negative.
    pub offsets: Vec<[f64; 2]>,
    /// For each edge.
    pub edges: Vec<EdgeGradients>,
}

/// Gradients towards an obstacle.
#[derive(Clone, Debug, PartialEq)]
pub struct ObstacleGradients {
    /// Of x, y and heading `[steps]`, 0 where they are not known.
    pub poses: Vec<[f64; 3]>,
    /// Of the length.
    pub length: f64,
    /// Of the width.
    pub width: f64,
    /// Of the margin.
    pub margin: f64,
}

/// Plans, beginning with bounds that are likely to hold the plan, such as [`Plan::active`] of the last one.
///
/// # Errors
/// [`PlanError::Contradiction`] where physical limits exclude each other, as when the current control lies
/// so far outside that its rate cannot bring it back; other errors of the program.
pub fn plan(vehicle: &Vehicle, scene: &Scene, active: &[Bound]) -> Result<Plan, PlanError> {
    planned(Program::new(vehicle, scene, false)?, active)
}

/// Plans with all rows, also those that cannot bind, which [`Plan::relax`] needs: a row that is left out
/// has no barrier, and where it comes in the smoothed plan would jump.
///
/// # Errors
/// As [`plan`].
pub fn plan_with_all_rows(vehicle: &Vehicle, scene: &Scene) -> Result<Plan, PlanError> {
    planned(Program::new(vehicle, scene, true)?, &[])
}

fn planned(program: Program, active: &[Bound]) -> Result<Plan, PlanError> {
    let rows: Vec<usize> = if active.is_empty() {
        Vec::new()
    } else {
        let is_active = |row: &usize| active.contains(&program.bounds[*row]);
        (0..program.bounds.len()).filter(is_active).collect()
    };
    match solve_from(&program.qp, &rows) {
        Ok(solution) => Ok(Plan::new(program, solution)),
        Err(QpError::Contradiction { rows }) => Err(PlanError::Contradiction {
            bounds: program.named(&rows),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Plans, or brakes where there is no plan.
pub fn plan_or_brake(vehicle: &Vehicle, scene: &Scene, active: &[Bound]) -> Outcome {
    match plan(vehicle, scene, active) {
        Ok(plan) => Outcome::Planned(Box::new(plan)),
        Err(error) => {
            let (controls, states) = brake(vehicle, scene);
            Outcome::Braked {
                error,
                controls,
                states,
            }
        }
    }
}

impl Plan {
    fn new(program: Program, solution: Solution) -> Self {
        let width = solution.z.len();
        let states: Vec<f64> = (program
            .effects
            .chunks_exact(width.max(1))
            .zip(&program.origin))
        .map(|(effect, origin)| origin + dot(effect, &solution.z))
        .collect();
        Self {
            states: states.as_chunks().0.to_vec(),
            controls: solution.z.as_chunks().0.to_vec(),
            bounds: program.bounds.clone(),
            solution,
            program,
        }
    }

    /// What the rows bound that the solution lies on: what the next plan may begin with.
    pub fn active(&self) -> Vec<Bound> {
        let rows = self.solution.active.iter();
        rows.map(|row| self.bounds[*row]).collect()
    }

    /// The rows that hold the plan, the strongest first.
    pub fn binding(&self) -> Vec<Binding> {
        let solution = &self.solution;
        let mut found: Vec<Binding> = (self.bounds.iter().enumerate())
            .filter(|(row, _)| solution.duals[*row] > 1e-6)
            .map(|(row, bound)| Binding {
                bound: *bound,
                dual: solution.duals[row],
                slack: solution.slacks[row],
            })
            .collect();
        found.sort_by(|a, b| b.dual.total_cmp(&a.dual));
        found
    }

    /// The plan smoothed by a barrier, whose gradient is not zero where rows pin the plan
    /// ([`Solution::relax`]).
    ///
    /// # Errors
    /// As [`Solution::relax`].
    pub fn relax(&self, barrier: f64) -> Result<Self, QpError> {
        let solution = self.solution.relax(&self.program.qp, barrier)?;
        Ok(Self::new(self.program.clone(), solution))
    }

    /// Gradients of a loss towards the scene that was planned, from its gradients towards states
    /// `[steps, 4]` and controls `[steps, 2]`. Start, current control and reference count as given.
    ///
    /// # Errors
    /// As [`Solution::backward`].
    pub fn backward(
        &self,
        vehicle: &Vehicle,
        scene: &Scene,
        states: &[f64],
        controls: &[f64],
    ) -> Result<SceneGradients, QpError> {
        let program = &self.program;
        let width = self.solution.z.len();
        shape("gradient of states", states.len(), 2 * width, || {
            (2 * width).to_string()
        })?;
        shape("gradient of controls", controls.len(), width, || {
            width.to_string()
        })?;
        let effects = || program.effects.chunks_exact(width.max(1));
        let mut towards = controls.to_vec();
        for (gradient, effect) in states.iter().zip(effects()) {
            add_scaled(&mut towards, *gradient, effect);
        }
        let found = self.solution.backward(&program.qp, &towards)?;
        let mut gradients = SceneGradients {
            state_weights: Vec::with_capacity(2 * width),
            control_weights: Vec::with_capacity(width),
            goals: Vec::with_capacity(2 * width),
            linear: found.p.clone(),
            obstacles: vec![
                ObstacleGradients {
                    poses: vec![[0.0; 3]; width / 2],
                    length: 0.0,
                    width: 0.0,
                    margin: 0.0,
                };
                scene.obstacles.len()
            ],
            offsets: vec![[0.0; 2]; scene.corridor.len()],
            edges: vec![EdgeGradients::default(); scene.edges.len()],
        };
        // A state's weight enters Q as effect effect' and p as its distance times effect.
        for (row, effect) in effects().enumerate() {
            let change = dot(effect, &found.p);
            let distance = self.states[row / 4][row % 4] - goal(scene, &program.states, row);
            let slope = sigmoid(scene.state_weights[row]);
            gradients.state_weights.push(change * distance * slope);
            gradients.goals.push(-program.weights[row] * change);
        }
        for (i, raw) in scene.control_weights.iter().enumerate() {
            let change = found.p[i] * self.solution.z[i];
            gradients.control_weights.push(change * sigmoid(*raw));
        }
        program.rows_backward(vehicle, scene, &found, &mut gradients);
        for values in [
            &gradients.state_weights,
            &gradients.control_weights,
            &gradients.goals,
        ] {
            finite("gradient of the scene", values)?;
        }
        for obstacle in &gradients.obstacles {
            let sizes = [obstacle.length, obstacle.width, obstacle.margin];
            finite("gradient of an obstacle", &sizes)?;
            finite("gradient of an obstacle", obstacle.poses.as_flattened())?;
        }
        for edge in &gradients.edges {
            finite("gradient of an edge", &edge.slope)?;
            finite("gradient of an edge", &[edge.distance])?;
        }
        Ok(gradients)
    }
}
