//! The planner as one node of Burn's graph. The output is one row `[6 S + 2 N + 5]` a plan: states, controls,
//! duals, slacks, dual and slack of occupancy and of the road, the reason without a plan. Shapes as in [`super`].

use super::cells::Grid;
use super::road::Map;
use super::scene::{GRADIENTS, Row, RowGradients, Source, Sources, row_gradients};
use super::{AGENT, PlannerOptions, Reason};
use burn::backend::flex::FlexTensor;
use conjoin_kernels::flex::{Dense, Fused, tensor};
use conjoin_qp::planner::{Bound, Plan, PlanError, Scene, brake, plan, plan_with_all_rows};
use rayon::prelude::*;
use std::sync::Arc;

/// Goals, state weights, control weights, margins, futures, agents, occupancy, road, state, route, reference.
pub const INPUTS: usize = 11;

#[derive(Clone, Debug)]
pub struct Operation {
    options: PlannerOptions,
    rows: usize,
    steps: usize,
    agents: usize,
    /// Lengths of the inputs' rows.
    sizes: [usize; INPUTS],
    future: usize,
    grid: Option<Grid>,
    map: Option<Map>,
}

/// A row's plan, as the backward pass needs it.
#[derive(Clone, Debug)]
pub struct Planned {
    scene: Scene,
    plan: Plan,
    sources: Sources,
}

impl Operation {
    pub fn new(
        options: PlannerOptions,
        [rows, steps, agents, future]: [usize; 4],
        route: usize,
        grid: Option<Grid>,
        map: Option<Map>,
    ) -> Self {
        let sizes = [
            4 * steps,
            4 * steps,
            2 * steps,
            agents,
            agents * future * 4,
            agents * AGENT,
            grid.as_ref().map_or(0, Grid::size),
            map.as_ref().map_or(0, Map::size),
            4,
            2 * route,
            2 * steps,
        ];
        Self {
            options,
            rows,
            steps,
            agents,
            sizes,
            future,
            grid,
            map,
        }
    }

    fn width(&self) -> usize {
        6 * self.steps + 2 * self.agents + 5
    }

    /// Plans all rows side by side.
    fn run(&self, inputs: &[Dense; INPUTS]) -> (FlexTensor, Vec<Option<Planned>>) {
        let values = inputs.each_ref().map(Dense::values);
        let found: Vec<(Vec<f32>, Option<Planned>)> = (0..self.rows)
            .into_par_iter()
            .map(|row| {
                let part = |input: usize| {
                    let size = self.sizes[input];
                    &values[input][row * size..(row + 1) * size]
                };
                self.row(Row {
                    goals: part(0),
                    state_weights: part(1),
                    control_weights: part(2),
                    margins: part(3),
                    futures: part(4),
                    agents: part(5),
                    occupancy: part(6),
                    road: part(7),
                    state: part(8),
                    route: part(9),
                    reference: part(10),
                })
            })
            .collect();
        let mut output = Vec::with_capacity(self.rows * self.width());
        let mut plans = Vec::with_capacity(self.rows);
        for (numbers, plan) in found {
            output.extend(numbers);
            plans.push(plan);
        }
        (tensor(output, [self.rows, self.width()]), plans)
    }

    fn row(&self, row: Row<'_>) -> (Vec<f32>, Option<Planned>) {
        let (scene, sources) = row.scene(&self.options, self.grid.as_ref(), self.map.as_ref());
        let found = if row.is_finite() {
            self.plan(&scene).map_err(|error| Reason::of(&error))
        } else {
            Err(Reason::NotFinite)
        };
        let mut numbers = Vec::with_capacity(self.width());
        let mut duals = vec![0.0; self.agents];
        let mut slacks = vec![0.0_f64; self.agents];
        let (mut occupancy, mut road) = ([0.0_f64; 2], [0.0_f64; 2]);
        let plan = match found {
            Ok(plan) => plan,
            Err(reason) => {
                let (controls, states) = brake(&self.options.vehicle, &scene);
                numbers.extend(states.iter().flatten());
                numbers.extend(controls.iter().flatten());
                numbers.extend(duals.iter().chain(&slacks).chain(&occupancy).chain(&road));
                numbers.push(f64::from(reason.number()));
                return (narrow(&numbers), None);
            }
        };
        for (row, bound) in plan.bounds.iter().enumerate() {
            let [dual, slack] = match *bound {
                Bound::Gap { obstacle, .. } => match sources.obstacles[obstacle] {
                    Source::Agent(agent) => [&mut duals[agent], &mut slacks[agent]],
                    Source::Cell(_) => occupancy.each_mut(),
                },
                Bound::Edge { .. } => road.each_mut(),
                _ => continue,
            };
            *dual += plan.solution.duals[row];
            *slack = slack.max(plan.solution.slacks[row]);
        }
        numbers.extend(plan.states.iter().flatten());
        numbers.extend(plan.controls.iter().flatten());
        numbers.extend(duals.iter().chain(&slacks).chain(&occupancy).chain(&road));
        numbers.push(0.0);
        let planned = Planned {
            scene,
            plan,
            sources,
        };
        (narrow(&numbers), Some(planned))
    }

    fn plan(&self, scene: &Scene) -> Result<Plan, PlanError> {
        let vehicle = &self.options.vehicle;
        match self.options.relax {
            None => plan(vehicle, scene, &[]),
            Some(barrier) => Ok(plan_with_all_rows(vehicle, scene)?.relax(barrier)?),
        }
    }
}

fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|x| *x as f32).collect()
}

impl Fused<INPUTS> for Operation {
    type Saved = Arc<Vec<Option<Planned>>>;

    fn forward(&self, inputs: &[Dense; INPUTS]) -> (FlexTensor, Self::Saved) {
        let (output, plans) = self.run(inputs);
        (output, Arc::new(plans))
    }

    fn backward(
        &self,
        saved: Self::Saved,
        gradient: Dense,
        wanted: [bool; INPUTS],
    ) -> [Option<FlexTensor>; INPUTS] {
        let sizes: [usize; GRADIENTS] = std::array::from_fn(|input| self.sizes[input]);
        let rows = gradient.values().par_chunks_exact(self.width());
        let found: Vec<RowGradients> = (saved.par_iter().zip(rows))
            .map(|(planned, gradient)| {
                let found = planned.as_ref().and_then(|planned| {
                    let towards: Vec<f64> = gradient.iter().map(|x| f64::from(*x)).collect();
                    let (states, rest) = towards.split_at(4 * self.steps);
                    let controls = &rest[..2 * self.steps];
                    let Planned { scene, plan, .. } = planned;
                    (plan.backward(&self.options.vehicle, scene, states, controls)).ok()
                });
                let sources = planned.as_ref().map(|planned| &planned.sources);
                let found = found.as_ref().zip(sources);
                row_gradients(&self.options, sizes, self.agents, found)
            })
            .collect();
        let gather = |input: usize| -> Vec<f32> {
            let mut all = Vec::with_capacity(self.rows * sizes[input]);
            for row in &found {
                all.extend(&row[input]);
            }
            all
        };
        let (rows, steps, agents) = (self.rows, self.steps, self.agents);
        [
            wanted[0].then(|| tensor(gather(0), [rows, steps, 4])),
            wanted[1].then(|| tensor(gather(1), [rows, steps, 4])),
            wanted[2].then(|| tensor(gather(2), [rows, steps, 2])),
            wanted[3].then(|| tensor(gather(3), [rows, agents])),
            wanted[4].then(|| tensor(gather(4), [rows, agents, self.future, 4])),
            wanted[5].then(|| tensor(gather(5), [rows, agents, AGENT])),
            wanted[6].then(|| {
                let [x, y] = self.grid.as_ref().map_or([0; 2], |grid| grid.cells);
                let times = self.grid.as_ref().map_or(0, |grid| grid.times.len());
                tensor(gather(6), [rows, x, y, times])
            }),
            wanted[7].then(|| {
                let [x, y] = self.map.as_ref().map_or([0; 2], |map| map.cells);
                tensor(gather(7), [rows, x, y, 1])
            }),
            // State, route and reference count as given.
            None,
            None,
            None,
        ]
    }
}
