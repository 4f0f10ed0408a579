//! From rows of tensors to scenes of the planner, and gradients back. Shapes as in [`super`].

use super::cells::{Cell, Grid};
use super::road::{Lookup, Map};
use super::{AGENT, PlannerOptions};
use conjoin_qp::planner::model::{Control, State, roll_out};
use conjoin_qp::planner::{Line, Obstacle, Scene, SceneGradients, corridor, follow};

/// Places of length, width and velocity among an agent's numbers.
const LENGTH: usize = 5;
const WIDTH: usize = 6;
const VELOCITY: usize = 7;

/// An agent that is slower stands, m/s.
const STANDS: f64 = 0.5;
/// A vehicle that is slower keeps less of the standoff, m/s, and one that stands none: it is to pull out.
const PULLS_OUT: f64 = 2.0;

/// What an obstacle of a scene is.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// This agent.
    Agent(usize),
    /// A cell of occupancy, which these numbers of the grid say is taken.
    Cell(Vec<usize>),
}

/// Where the numbers of a scene come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Sources {
    /// What each obstacle is.
    pub obstacles: Vec<Source>,
    /// The cells of the road's map that each edge is read from.
    pub edges: Vec<Lookup>,
}

/// One row of each input, in the operation's order.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub goals: &'a [f32],
    pub state_weights: &'a [f32],
    pub control_weights: &'a [f32],
    pub margins: &'a [f32],
    pub futures: &'a [f32],
    pub agents: &'a [f32],
    pub occupancy: &'a [f32],
    pub road: &'a [f32],
    pub state: &'a [f32],
    pub route: &'a [f32],
    pub reference: &'a [f32],
}

fn stands(agent: &[f32]) -> bool {
    let [vx, vy] = [0, 1].map(|i| f64::from(agent[VELOCITY + i]));
    vx.hypot(vy) < STANDS
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Where the vehicle is, and the control in force. One beyond the limits, as a safety layer or the follower
/// of a plan may leave it, counts as the nearest within them: from beyond, no control might be within limits
/// and rates both.
fn now(options: &PlannerOptions, state: &[f32]) -> (State, Control) {
    let [speed, acceleration, steering, _] = [0, 1, 2, 3].map(|i| f64::from(state[i]));
    let vehicle = &options.vehicle;
    let [least, most] = vehicle.acceleration;
    let acceleration = acceleration.clamp(least, most);
    let turn = (vehicle.lateral / (speed * speed).max(1e-9)).min(vehicle.curvature);
    let curvature = (steering.tan() / options.wheelbase).clamp(-turn, turn);
    ([0.0, 0.0, 0.0, speed], [acceleration, curvature])
}

/// Controls that follow the goals `[B, S, 4]` from the states `[B, 4]`: `[B, S, 2]`, 0 where they would not be
/// finite.
pub fn references(
    options: &PlannerOptions,
    steps: usize,
    goals: &[f32],
    states: &[f32],
) -> Vec<f32> {
    let rows = goals.chunks_exact((4 * steps).max(1));
    (rows.zip(states.chunks_exact(4)))
        .flat_map(|(goals, state)| {
            let (start, current) = now(options, state);
            follow(&options.vehicle, start, current, &wide(goals))
        })
        .flatten()
        .map(|x| if x.is_finite() { x as f32 } else { 0.0 })
        .collect()
}

impl Row<'_> {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        let all = [
            self.goals,
            self.state_weights,
            self.control_weights,
            self.margins,
            self.futures,
            self.agents,
            self.occupancy,
            self.road,
            self.state,
            self.route,
            self.reference,
        ];
        all.iter().all(|part| part.iter().all(|x| x.is_finite()))
    }

    /// The scene, and where its numbers come from.
    pub fn scene(
        &self,
        options: &PlannerOptions,
        grid: Option<&Grid>,
        map: Option<&Map>,
    ) -> (Scene, Sources) {
        let (start, current) = now(options, self.state);
        let reference: Vec<Control> = wide(self.reference).as_chunks().0.to_vec();
        let states = roll_out(start, &reference, options.vehicle.dt);
        let route: Vec<[f64; 2]> = wide(self.route).as_chunks().0.to_vec();
        let chosen = self.nearest(options, &states);
        let turn = options.vehicle.curvature.recip();
        let cells = grid.map_or_else(Vec::new, |grid| {
            let is_known = |time: f64, at, half| {
                let step = (time / options.vehicle.dt).round() as usize;
                chosen
                    .iter()
                    .any(|agent| self.is_at(*agent, step, at, half))
            };
            grid.nearest(options, self.occupancy, &states, is_known)
        });
        let obstacles = chosen
            .iter()
            .map(|agent| self.obstacle(options, *agent, states.len()));
        let sources = chosen.iter().map(|agent| Source::Agent(*agent));
        let (circles, entries): (Vec<_>, Vec<_>) = (cells.into_iter())
            .map(|Cell { obstacle, entries }| (obstacle, Source::Cell(entries)))
            .unzip();
        let (edges, lookups) = map.map_or_else(Default::default, |map| {
            map.edges(options, self.road, &states)
        });
        let scene = Scene {
            start,
            current,
            state_weights: wide(self.state_weights),
            control_weights: wide(self.control_weights),
            goals: wide(self.goals),
            linear: vec![0.0; 2 * reference.len()],
            obstacles: obstacles.chain(circles).collect(),
            corridor: corridor(start, &states, &route, options.corridor, turn),
            edges,
            reference,
        };
        let sources = Sources {
            obstacles: sources.chain(entries).collect(),
            edges: lookups,
        };
        (scene, sources)
    }

    /// An agent as what the plan keeps its gap to.
    fn obstacle(&self, options: &PlannerOptions, agent: usize, steps: usize) -> Obstacle {
        let numbers = &self.agents[agent * AGENT..][..AGENT];
        let share = (f64::from(self.state[0]) / PULLS_OUT).clamp(0.0, 1.0);
        Obstacle {
            poses: self.poses(agent, steps).collect(),
            length: f64::from(numbers[LENGTH]),
            width: f64::from(numbers[WIDTH]),
            margin: f64::from(self.margins[agent]),
            standoff: if stands(numbers) && self.is_in_the_way(options, numbers) {
                options.standoff * share
            } else {
                0.0
            },
        }
    }

    /// Whether a place is as near as `half` to where an agent is after some steps, or now.
    fn is_at(&self, agent: usize, step: usize, at: [f64; 2], half: f64) -> bool {
        let numbers = &self.agents[agent * AGENT..][..AGENT];
        let pose = match step.checked_sub(1) {
            None => {
                let [x, y, cos, sin] = [1, 2, 3, 4].map(|i| f64::from(numbers[i]));
                Some([x, y, sin.atan2(cos)])
            }
            Some(step) => {
                let steps = self.futures.len() / (4 * self.margins.len());
                let mut poses = self.poses(agent, steps);
                poses.nth(step.min(steps.saturating_sub(1))).flatten()
            }
        };
        let Some([x, y, yaw]) = pose else {
            return false;
        };
        let (sin, cos) = yaw.sin_cos();
        let (dx, dy) = (at[0] - x, at[1] - y);
        let along = (dx * cos + dy * sin).abs() - 0.5 * f64::from(numbers[LENGTH]);
        let aside = (dy * cos - dx * sin).abs() - 0.5 * f64::from(numbers[WIDTH]);
        along < half && aside < half
    }

    /// Whether an agent is on the route, as wide as the vehicle, and ahead. What stands beside it, such as cars
    /// that wait where the route turns off, is driven past.
    fn is_in_the_way(&self, options: &PlannerOptions, agent: &[f32]) -> bool {
        let [x, y, width] = [1, 2, WIDTH].map(|i| f64::from(agent[i]));
        let room = 0.5 * (options.vehicle.width + width);
        let nearest = Line::new(wide(self.route).as_chunks().0).nearest([x, y], false);
        x > 0.0 && nearest.is_some_and(|place| place.distance < room)
    }

    /// Where an agent will be at each step, where that is known.
    fn poses(&self, agent: usize, steps: usize) -> impl Iterator<Item = Option<[f64; 3]>> {
        let future = self.futures.len() / self.margins.len();
        let steps = &self.futures[agent * future..][..4 * steps];
        (steps.as_chunks::<4>().0.iter()).map(|[known, x, y, heading]| {
            let pose = [*x, *y, *heading].map(f64::from);
            (*known >= 0.5).then_some(pose)
        })
    }

    /// The agents that are there and come nearest to the reference, in their order.
    fn nearest(&self, options: &PlannerOptions, states: &[State]) -> Vec<usize> {
        let mut found: Vec<(f64, usize)> = Vec::new();
        for (agent, numbers) in self.agents.as_chunks::<AGENT>().0.iter().enumerate() {
            if f64::from(numbers[0]) < options.threshold {
                continue;
            }
            let half = 0.5 * f64::from(numbers[LENGTH]).hypot(f64::from(numbers[WIDTH]));
            let nearest = (self.poses(agent, states.len()).zip(states))
                .filter_map(|(pose, [x, y, yaw, _])| {
                    let [ox, oy, _] = pose?;
                    let centre = options.vehicle.centre;
                    let (dx, dy) = (x + centre * yaw.cos() - ox, y + centre * yaw.sin() - oy);
                    Some(dx.hypot(dy) - half)
                })
                .reduce(f64::min);
            if let Some(nearest) = nearest {
                found.push((nearest, agent));
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found.truncate(options.obstacles);
        let mut agents: Vec<usize> = found.into_iter().map(|(_, agent)| agent).collect();
        agents.sort_unstable();
        agents
    }
}

/// Inputs that have a gradient: goals, state weights, control weights, margins, futures, agents, occupancy, road.
pub const GRADIENTS: usize = 8;

/// Gradients of a row.
pub type RowGradients = [Vec<f32>; GRADIENTS];

/// Gradients of a row from those of its scene, or zeros. `sizes` are the lengths of the inputs' rows.
pub fn row_gradients(
    options: &PlannerOptions,
    sizes: [usize; GRADIENTS],
    agents: usize,
    found: Option<(&SceneGradients, &Sources)>,
) -> RowGradients {
    let zeros = || sizes.map(|size| vec![0.0; size]);
    let Some((found, sources)) = found else {
        return zeros();
    };
    let mut row = zeros();
    let narrow = |to: &mut [f32], from: &[f64]| {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from as f32;
        }
    };
    narrow(&mut row[0], &found.goals);
    narrow(&mut row[1], &found.state_weights);
    narrow(&mut row[2], &found.control_weights);
    let future = sizes[4] / agents.max(1);
    for (gradients, lookup) in found.edges.iter().zip(&sources.edges) {
        lookup.backward(gradients, &mut row[7]);
    }
    for (gradients, source) in found.obstacles.iter().zip(&sources.obstacles) {
        let agent = match source {
            Source::Agent(agent) => agent,
            Source::Cell(entries) => {
                // Its margin is the mean of the probabilities times the whole margin.
                let each = options.occupancy_margin / entries.len().max(1) as f64;
                for entry in entries {
                    row[6][*entry] += (gradients.margin * each) as f32;
                }
                continue;
            }
        };
        row[3][*agent] = gradients.margin as f32;
        let steps = row[4][agent * future..][..future].as_chunks_mut::<4>().0;
        for (to, pose) in steps.iter_mut().zip(&gradients.poses) {
            narrow(&mut to[1..], pose);
        }
        let numbers = &mut row[5][agent * AGENT..][..AGENT];
        numbers[LENGTH] = gradients.length as f32;
        numbers[WIDTH] = gradients.width as f32;
    }
    // What does not fit into single precision is no direction to go.
    if row.iter().flatten().all(|x| x.is_finite()) {
        row
    } else {
        zeros()
    }
}
