//! Traffic at random, as the planner's inputs.

use crate::harness::device;
use burn::tensor::{Device, Tensor, TensorData};
use conjoin_nn::qp_planner::{AGENT, PlannerInputs, PlannerOutput};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Steps that are predicted.
pub const FUTURE: usize = 20;

pub fn numbers<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.to_data().try_to_vec().unwrap()
}

/// The numbers of a batch, in the order of [`PlannerInputs`].
#[derive(Clone)]
pub struct Batch {
    pub rows: usize,
    pub steps: usize,
    pub agents: usize,
    pub parts: [Vec<f32>; 9],
}

pub const GOALS: usize = 0;
pub const MARGINS: usize = 3;
pub const FUTURES: usize = 4;
pub const STATE: usize = 6;

/// Traffic at random: roads straight on, goals ahead, `agents` cars around.
pub fn traffic(rows: usize, agents: usize, seed: u64) -> Batch {
    let steps = 20;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut parts: [Vec<f32>; 9] = Default::default();
    for _ in 0..rows {
        let speed = rng.random_range(2.0..12.0_f32);
        let aim = speed + rng.random_range(-2.0..2.0);
        for k in 1..=steps {
            let time = 0.1 * k as f32;
            let aside: f32 = rng.random_range(-0.3..0.3);
            parts[0].extend([0.5 * (speed + aim) * time, aside, 0.02 * aside, aim]);
        }
        parts[1].extend((0..4 * steps).map(|_| rng.random_range(-1.0..1.0_f32)));
        parts[2].extend((0..2 * steps).map(|_| rng.random_range(-1.0..1.0_f32)));
        for _ in 0..agents {
            parts[3].push(rng.random_range(0.2..0.8));
            let (x, y) = (
                rng.random_range(5.0..30.0_f32),
                rng.random_range(-7.0..7.0_f32),
            );
            let (yaw, own) = (
                rng.random_range(-0.3..0.3_f32),
                rng.random_range(0.0..speed),
            );
            for k in 0..FUTURE {
                let moved = own * 0.1 * (k + 1) as f32;
                parts[4].extend([1.0, x + moved * yaw.cos(), y + moved * yaw.sin(), yaw]);
            }
            let (length, width) = (rng.random_range(0.6..5.0), rng.random_range(0.6..2.0));
            parts[5].extend([1.0, x, y, yaw.cos(), yaw.sin(), length, width]);
            parts[5].extend([own * yaw.cos(), own * yaw.sin(), 1.0, 0.0, 0.0]);
        }
        let steering = rng.random_range(-0.02..0.02_f32);
        parts[6].extend([speed, rng.random_range(-1.0..1.0), steering, 0.0]);
        parts[7].extend((0..20).flat_map(|k| [2.0 * k as f32 - 2.0, 0.0]));
        parts[8].extend((0..steps).flat_map(|_| [0.1_f32, 0.0]));
    }
    Batch {
        rows,
        steps,
        agents,
        parts,
    }
}

impl Batch {
    pub fn inputs(&self, device: &Device, with_reference: bool) -> PlannerInputs {
        fn tensor<const D: usize>(x: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
            Tensor::from_data(TensorData::new(x.to_vec(), shape), device)
        }
        let (b, s, n, p) = (self.rows, self.steps, self.agents, &self.parts);
        PlannerInputs {
            goals: tensor(&p[0], [b, s, 4], device).require_grad(),
            state_weights: tensor(&p[1], [b, s, 4], device).require_grad(),
            control_weights: tensor(&p[2], [b, s, 2], device).require_grad(),
            margins: tensor(&p[3], [b, n], device).require_grad(),
            futures: tensor(&p[4], [b, n, FUTURE, 4], device).require_grad(),
            agents: tensor(&p[5], [b, n, AGENT], device).require_grad(),
            occupancy: None,
            road: None,
            state: tensor(&p[6], [b, 4], device),
            route: Some(tensor(&p[7], [b, 20, 2], device)),
            reference: with_reference.then(|| tensor(&p[8], [b, s, 2], device)),
        }
    }
}

fn probe<const D: usize>(like: &Tensor<D>) -> Tensor<D> {
    let count = like.dims().iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| (1.3 * i as f32 + 0.2).sin()).collect();
    Tensor::from_data(TensorData::new(values, like.dims()), &device())
}

/// A loss over everything that gradient flows through.
pub fn loss(found: &PlannerOutput) -> Tensor<1> {
    let plan = (found.plan.clone() * probe(&found.plan)).sum();
    plan + (found.controls.clone() * probe(&found.controls)).sum()
}
