//! How long prediction and planning take, forward and backward, at the sizes of a small system: 12
//! agents, 20 steps, grids of 32 x 32 cells with 32 channels.
//!
//!     cargo run --release --example driving_speed -- [batch] [passes]

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use conjoin_nn::driving::planning::{PlanningInputs, PlanningOptions, PlanningTransformer};
use conjoin_nn::driving::prediction::{AgentPrediction, PredictionOptions};
use conjoin_nn::driving::{AGENT, GridOptions};
use conjoin_nn::{Init, Mode};
use std::time::Instant;

/// Median time of a call, ms.
fn milliseconds(passes: usize, mut call: impl FnMut()) -> f64 {
    call();
    let mut times: Vec<f64> = (0..passes)
        .map(|_| {
            let start = Instant::now();
            call();
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let batch: usize = arguments.next().unwrap_or(32);
    let passes: usize = arguments.next().unwrap_or(30);
    let device = Device::flex().autodiff();
    let init = Init::new(&device, 1);
    let prediction = PredictionOptions {
        map: Some((32, [-8.0, 40.0, -24.0, 24.0])),
        state: true,
        modes: 3,
        steps: 20,
        hidden: 64,
        layers: 2,
        heads: 4,
        dropout: 0.0,
    };
    let planning = PlanningOptions {
        route_points: 20,
        agents: true,
        futures: 20,
        grid: Some(GridOptions {
            cells: [32, 32],
            occupancy: 4,
            map: 32,
            patch: 8,
        }),
        light: true,
        steps: 20,
        hidden: 64,
        layers: 2,
        heads: 4,
        dropout: 0.0,
        state_dropout: 0.0,
        modes: 1,
    };
    let predict = AgentPrediction::new(&init.child("prediction"), &prediction);
    let plan = PlanningTransformer::new(&init.child("planning"), &planning);
    fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(0.0, 1.0), device)
    }
    let scene = |device: &Device| PlanningInputs {
        state: random([batch, 4], device),
        route: random([batch, 20, 2], device) * 20.0,
        agents: Some(random([batch, 12, AGENT], device)),
        futures: Some(random([batch, 12, 20, 4], device)),
        occupancy: Some(random([batch, 32, 32, 4], device)),
        map: Some(random([batch, 32, 32, 32], device)),
        light: Some(random([batch, 5], device)),
        target: None,
    };
    let here = scene(&device);
    // A map from a backbone, which wants a gradient.
    let map = here.map.clone().map(Tensor::require_grad);
    let here = PlanningInputs {
        map: map.clone(),
        ..here
    };
    let mut mode = Mode::training(1);
    let training = milliseconds(passes, || {
        let agents = here
            .agents
            .clone()
            .unwrap_or_else(|| random([1, 1, AGENT], &device));
        let found = predict.forward(agents, map.clone(), Some(here.state.clone()), &mut mode);
        (found.modal.sum() + found.likely.sum()).backward();
    });
    println!("prediction, batch {batch}: forward and backward {training:.2} ms");
    let training = milliseconds(passes, || {
        let found = plan.forward(&here, &mut mode);
        let weights = found.state_weights.sum() + found.control_weights.sum();
        let loss = found.goals.sum() + weights;
        match found.margins {
            Some(margins) => (loss + margins.sum()).backward(),
            None => loss.backward(),
        };
    });
    println!("planning, batch {batch}: forward and backward {training:.2} ms");

    let (predict, plan) = (predict.valid(), plan.valid());
    let here = scene(&Device::flex());
    let mut mode = Mode::evaluation();
    let inference = milliseconds(passes, || {
        if let Some(agents) = here.agents.clone() {
            predict.forward(
                agents,
                here.map.clone(),
                Some(here.state.clone()),
                &mut mode,
            );
        }
    });
    println!("prediction, batch {batch}: forward alone {inference:.2} ms");
    let inference = milliseconds(passes, || {
        plan.forward(&here, &mut mode);
    });
    println!("planning, batch {batch}: forward alone {inference:.2} ms");
}
