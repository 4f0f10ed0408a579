//! A planner: the linear time-varying kinematic bicycle around a reference, condensed to a program in the
//! controls alone, z = (acceleration 0, curvature 0, acceleration 1, ...) `[2 steps]`.
//!
//! Minimises `1/2 sum of weights (state - goal)^2 + 1/2 sum of weights control^2 + linear control`. Hard,
//! never slack and never learned: limits of acceleration, curvature, lateral acceleration, jerk and
//! curvature rate. Soft at an exact penalty: speed at least 0, the corridor, gaps to obstacles.
//!
//! Weights come as raw numbers, and count as `softplus(raw) + eps`. Gradients reach weights, goals, linear
//! terms, margins, the obstacles' predicted places and sizes, and the corridor.

pub mod model;
mod rows;

use crate::error::QpError;
use crate::linalg::{add_scaled, dot};
use crate::problem::{Penalty, Qp, finite, shape};
use crate::solution::{Solution, solve_from};
use model::{Control, State, condense, roll_out};
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
    /// Radius of the circle that stands for the vehicle, m.
    pub radius: f64,
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
            radius: 1.2,
            penalty: Penalty {
                linear: 100.0,
                quadratic: 10.0,
            },
        }
    }
}

/// One predicted obstacle: a circle that moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Obstacle {
    /// Where it is at the end of each step `[steps]`, m.
    pub centres: Vec<[f64; 2]>,
    /// Its radius, m.
    pub radius: f64,
    /// The gap to keep, m.
    pub margin: f64,
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
    /// The controls around which the model is linear `[steps]`, such as the last plan's. An obstacle is
    /// kept on the side on which the reference has it, so that one that drives through it asks for both.
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
    /// For each obstacle the centres' `[steps]`.
    pub centres: Vec<Vec<[f64; 2]>>,
    /// For each obstacle; radius and margin have the same.
    pub radii: Vec<f64>,
    /// Of the walls' offsets; the margins have its negative.
    pub offsets: Vec<[f64; 2]>,
}

/// The program of a scene, and what its numbers came from.
#[derive(Clone, Debug)]
struct Program {
    qp: Qp,
    bounds: Vec<Bound>,
    states: Vec<State>,
    effects: Vec<f64>,
    /// The states at z = 0.
    origin: Vec<f64>,
    weights: Vec<f64>,
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p() + EPS
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn build(vehicle: &Vehicle, scene: &Scene) -> Result<Program, QpError> {
    let steps = scene.reference.len();
    let width = 2 * steps;
    for (what, values, expected) in [
        ("state weights", &scene.state_weights, 4 * steps),
        ("control weights", &scene.control_weights, width),
        ("goals", &scene.goals, 4 * steps),
        ("linear", &scene.linear, width),
    ] {
        shape(what, values.len(), expected, || expected.to_string())?;
        finite(what, values)?;
    }
    for obstacle in &scene.obstacles {
        shape("centres", obstacle.centres.len(), steps, || {
            steps.to_string()
        })?;
    }
    if !scene.corridor.is_empty() {
        shape("corridor", scene.corridor.len(), steps, || {
            steps.to_string()
        })?;
    }
    finite("start", &scene.start)?;
    finite("current control", &scene.current)?;
    finite("reference", scene.reference.as_flattened())?;
    let (states, effects) = condense(scene.start, &scene.reference, vehicle.dt);
    let weights: Vec<f64> = scene.state_weights.iter().map(|x| softplus(*x)).collect();
    let controls: Vec<f64> = scene.control_weights.iter().map(|x| softplus(*x)).collect();
    let reference = scene.reference.as_flattened();
    let mut q = vec![0.0; width * width];
    let mut p = scene.linear.clone();
    let mut origin = Vec::with_capacity(4 * steps);
    for (row, effect) in effects.chunks_exact(width.max(1)).enumerate() {
        // What this control cannot reach yet is zero.
        let end = 2 * (row / 4 + 1);
        let at = states[row / 4][row % 4] - dot(effect, reference);
        origin.push(at);
        let distance = at - goal(scene, &states, row);
        add_scaled(&mut p, weights[row] * distance, effect);
        for i in 0..end {
            let factor = weights[row] * effect[i];
            if factor != 0.0 {
                add_scaled(&mut q[i * width..i * width + end], factor, &effect[..end]);
            }
        }
    }
    for (i, weight) in controls.iter().enumerate() {
        q[i * width + i] += weight;
    }
    let mut program = Program {
        qp: Qp::new(q, p)?,
        bounds: Vec::new(),
        states,
        effects,
        origin,
        weights,
    };
    program.add_rows(vehicle, scene)?;
    Ok(program)
}

/// The goal of a state; a yaw is taken the short way round from the reference.
fn goal(scene: &Scene, states: &[State], row: usize) -> f64 {
    let goal = scene.goals[row];
    if row % 4 != 2 {
        return goal;
    }
    let turn = std::f64::consts::TAU;
    let from = states[row / 4][2];
    from + (goal - from + 0.5 * turn).rem_euclid(turn) - 0.5 * turn
}

/// Plans, beginning with rows that are likely to bind, such as those of the last plan.
///
/// # Errors
/// [`PlanError::Contradiction`] where physical limits exclude each other, as when the current control lies
/// so far outside that its rate cannot bring it back; other errors of the program.
pub fn plan(vehicle: &Vehicle, scene: &Scene, active: &[usize]) -> Result<Plan, PlanError> {
    let program = build(vehicle, scene)?;
    match solve_from(&program.qp, active) {
        Ok(solution) => Ok(Plan::new(program, solution)),
        Err(QpError::Contradiction { rows }) => Err(PlanError::Contradiction {
            bounds: program.named(&rows),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Plans, or brakes where there is no plan.
pub fn plan_or_brake(vehicle: &Vehicle, scene: &Scene, active: &[usize]) -> Outcome {
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

/// The fallback: brakes as hard as limits and jerk allow until it stands, and turns the wheel towards
/// straight as far as its rate allows. Numbers that are not finite count as 0.
pub fn brake(vehicle: &Vehicle, scene: &Scene) -> (Vec<Control>, Vec<State>) {
    let sound = |x: f64| if x.is_finite() { x } else { 0.0 };
    let start = scene.start.map(sound);
    let [least, most] = vehicle.acceleration;
    let mut acceleration = sound(scene.current[0]).clamp(least, most);
    let mut curvature = sound(scene.current[1]).clamp(-vehicle.curvature, vehicle.curvature);
    let mut speed = start[3].max(0.0);
    let controls: Vec<Control> = (0..scene.reference.len())
        .map(|_| {
            acceleration = (acceleration - vehicle.jerk * vehicle.dt).max(least);
            let rate = vehicle.curvature_rate * vehicle.dt;
            curvature -= curvature.clamp(-rate, rate);
            // Braking ends where it stands.
            let applied = acceleration.max(-speed / vehicle.dt);
            speed = (speed + applied * vehicle.dt).max(0.0);
            [applied, curvature]
        })
        .collect();
    let states = roll_out(
        [start[0], start[1], start[2], start[3].max(0.0)],
        &controls,
        vehicle.dt,
    );
    (controls, states)
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
            centres: vec![vec![[0.0; 2]; width / 2]; scene.obstacles.len()],
            radii: vec![0.0; scene.obstacles.len()],
            offsets: vec![[0.0; 2]; scene.corridor.len()],
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
        program.rows_backward(scene, &found, &mut gradients);
        for values in [
            &gradients.state_weights,
            &gradients.control_weights,
            &gradients.goals,
            &gradients.radii,
        ] {
            finite("gradient of the scene", values)?;
        }
        Ok(gradients)
    }
}
