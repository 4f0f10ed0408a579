//! Prediction and planning on the road against PyTorch, forward and gradient (`golden/driving.py`), what
//! they promise before training, and that they learn.

use crate::harness::{Golden, device};
use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use conjoin_nn::driving::grid_sample::grid_sample;
use conjoin_nn::driving::planning::{PlanningInputs, PlanningOptions, PlanningTransformer};
use conjoin_nn::driving::prediction::{AgentPrediction, PredictionOptions};
use conjoin_nn::driving::{AGENT, GridOptions};
use conjoin_nn::{Init, Mode};

fn init() -> Init {
    Init::new(&device(), 1)
}

fn prediction_options() -> PredictionOptions {
    PredictionOptions {
        map: Some((2, [-4.0, 8.0, -6.0, 6.0])),
        state: true,
        modes: 3,
        steps: 4,
        hidden: 8,
        layers: 2,
        heads: 2,
        dropout: 0.5,
    }
}

fn planning_options() -> PlanningOptions {
    PlanningOptions {
        route_points: 4,
        agents: true,
        futures: 3,
        grid: Some(GridOptions {
            cells: [4, 6],
            occupancy: 2,
            map: 3,
            patch: 2,
        }),
        light: true,
        steps: 5,
        hidden: 8,
        layers: 2,
        heads: 2,
        dropout: 0.5,
        state_dropout: 0.5,
        modes: 1,
    }
}

#[test]
fn samples_of_a_grid() {
    let golden = Golden::read("grid-sample");
    let (map, places) = (golden.input::<4>("map"), golden.input::<3>("places"));
    let found = grid_sample(map.clone(), places.clone(), [-4.0, 8.0, -6.0, 6.0]);
    let gradients = golden.output("found", found).backward();
    golden.check_input_gradient("map", &map, &gradients);
    golden.check_input_gradient("places", &places, &gradients);
}

#[test]
fn prediction() {
    let golden = Golden::read("agent-prediction");
    let module = golden.load(AgentPrediction::new(&init(), &prediction_options()));
    let agents = golden.input::<3>("agents");
    let (map, state) = (golden.input::<4>("map"), golden.input::<2>("state"));
    let predicted = module.forward(
        agents.clone(),
        Some(map.clone()),
        Some(state.clone()),
        &mut Mode::evaluation(),
    );
    let loss = golden.output("modal", predicted.modal) + golden.output("likely", predicted.likely);
    let gradients = loss.backward();
    golden.check_input_gradient("agents", &agents, &gradients);
    golden.check_input_gradient("map", &map, &gradients);
    golden.check_input_gradient("state", &state, &gradients);
    golden.check_gradients(&module, &gradients);
}

#[test]
fn planning() {
    let golden = Golden::read("planning-transformer");
    let module = golden.load(PlanningTransformer::new(&init(), &planning_options()));
    let (state, route) = (golden.input::<2>("state"), golden.input::<3>("route"));
    let (agents, futures) = (golden.input::<3>("agents"), golden.input::<4>("futures"));
    let (occupancy, map) = (golden.input::<4>("occupancy"), golden.input::<4>("map"));
    let light = golden.input::<2>("light");
    let scene = PlanningInputs {
        state: state.clone(),
        route: route.clone(),
        agents: Some(agents.clone()),
        futures: Some(futures.clone()),
        occupancy: Some(occupancy.clone()),
        map: Some(map.clone()),
        light: Some(light.clone()),
        target: None,
    };
    let plan = module.forward(&scene, &mut Mode::evaluation());
    let loss = golden.output("goals", plan.goals)
        + golden.output("state_weights", plan.state_weights)
        + golden.output("control_weights", plan.control_weights)
        + golden.output("margins", plan.margins.unwrap());
    let gradients = loss.backward();
    golden.check_input_gradient("state", &state, &gradients);
    golden.check_input_gradient("route", &route, &gradients);
    golden.check_input_gradient("agents", &agents, &gradients);
    golden.check_input_gradient("futures", &futures, &gradients);
    golden.check_input_gradient("occupancy", &occupancy, &gradients);
    golden.check_input_gradient("map", &map, &gradients);
    golden.check_input_gradient("light", &light, &gradients);
    golden.check_gradients(&module, &gradients);
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().unwrap()
}

fn close(a: &[f32], b: &[f32], within: f32) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= within, "{i}: {a} and {b}");
    }
}

/// Agents `[1, N, 12]` at random places, driving at 5 m/s where they point.
fn driving(present: &[f32]) -> Tensor<3> {
    let mut numbers = Vec::new();
    for (i, &present) in present.iter().enumerate() {
        let angle = 0.7 * i as f32;
        let (cos, sin) = (angle.cos(), angle.sin());
        let place = [3.0 * i as f32 - 2.0, 4.0 - 2.0 * i as f32];
        numbers.extend([present, place[0], place[1], cos, sin, 4.5, 1.9]);
        numbers.extend([5.0 * cos, 5.0 * sin, 1.0, 0.0, 0.0]);
    }
    let data = TensorData::new(numbers, [1, present.len(), AGENT]);
    Tensor::from_data(data, &Device::flex())
}

#[test]
fn untrained_agents_drive_on() {
    let options = PredictionOptions {
        map: None,
        steps: 20,
        hidden: 32,
        ..prediction_options()
    };
    let module = AgentPrediction::new(&init(), &options).valid();
    let agents = driving(&[1.0; 4]);
    let state = Some(random([1, 4]));
    let found = module.forward(agents.clone(), None, state, &mut Mode::evaluation());
    let (likely, agents) = (values(found.likely), values(agents));
    for (agent, future) in agents.chunks(AGENT).zip(likely.chunks(20 * 4)) {
        let heading = agent[4].atan2(agent[3]);
        for (step, at) in future.chunks(4).enumerate() {
            let time = 0.1 * (step + 1) as f32;
            let expected = [
                1.0,
                agent[1] + agent[7] * time,
                agent[2] + agent[8] * time,
                heading,
            ];
            close(at, &expected, 0.15);
        }
    }
}

#[test]
fn absent_agents_are_seen_by_nobody() {
    let agents = driving(&[1.0, 0.8, 0.0]);
    let other = Tensor::cat(vec![agents.clone().narrow(1, 0, 2), absent()], 1);
    let module = AgentPrediction::new(&init(), &prediction_options()).valid();
    let (map, state) = (random([1, 4, 6, 2]), random([1, 4]));
    let predict = |agents: &Tensor<3>| {
        let found = module.forward(
            agents.clone(),
            Some(map.clone()),
            Some(state.clone()),
            &mut Mode::evaluation(),
        );
        values(found.modal.narrow(1, 0, 2))
    };
    assert_eq!(predict(&agents), predict(&other));

    let module = PlanningTransformer::new(&init(), &planning_options()).valid();
    let scene = scene(1);
    let plan = |agents: &Tensor<3>| {
        let scene = PlanningInputs {
            agents: Some(agents.clone()),
            ..scene.clone()
        };
        let plan = module.forward(&scene, &mut Mode::evaluation());
        [values(plan.goals), values(plan.state_weights)]
    };
    assert_eq!(plan(&agents), plan(&other));
}

/// One agent with any numbers, which is not there.
fn absent() -> Tensor<3> {
    let absent = Tensor::zeros([1, 1, 1], &Device::flex());
    Tensor::cat(vec![absent, random([1, 1, AGENT - 1])], 2)
}

/// A vehicle at 5 m/s on a straight route with points every 2 m.
fn scene(batch: usize) -> PlanningInputs {
    let device = Device::flex();
    let state = TensorData::new([5.0, 0.3, 0.1, 0.1].repeat(batch), [batch, 4]);
    let route = [2.0, 0.0, 4.0, 0.0, 6.0, 0.0, 8.0, 0.0].repeat(batch);
    PlanningInputs {
        state: Tensor::from_data(state, &device),
        route: Tensor::from_data(TensorData::new(route, [batch, 4, 2]), &device),
        agents: Some(random([batch, 3, AGENT])),
        futures: Some(random([batch, 3, 3, 4])),
        occupancy: Some(random([batch, 4, 6, 2])),
        map: Some(random([batch, 4, 6, 3])),
        light: Some(random([batch, 5])),
        target: None,
    }
}

#[test]
fn an_untrained_plan_keeps_its_speed_on_the_route() {
    let module = PlanningTransformer::new(&init(), &planning_options()).valid();
    let plan = module.forward(&scene(1), &mut Mode::evaluation());
    for (step, goal) in values(plan.goals).chunks(4).enumerate() {
        let x = 0.5 * (step + 1) as f32;
        close(goal, &[x, 0.0, 0.0, 5.0], 0.1);
    }
    let softplus = |raw: f32| raw.exp().ln_1p();
    for weights in values(plan.state_weights).chunks(4) {
        let weights: Vec<f32> = weights.iter().map(|&raw| softplus(raw)).collect();
        close(&weights, &[1.0, 1.0, 1.0, 0.5], 0.05);
    }
    close(&values(plan.margins.unwrap()), &[0.5; 3], 0.05);
}

/// An arm of an experiment may leave everything out but state and route.
#[test]
fn plans_without_what_is_not_given() {
    let options = PlanningOptions {
        agents: false,
        futures: 0,
        grid: None,
        light: false,
        ..planning_options()
    };
    let module = PlanningTransformer::new(&init(), &options).valid();
    let scene = PlanningInputs {
        agents: None,
        futures: None,
        occupancy: None,
        map: None,
        light: None,
        ..scene(2)
    };
    let plan = module.forward(&scene, &mut Mode::evaluation());
    assert_eq!(plan.goals.dims(), [2, 5, 4]);
    assert!(plan.margins.is_none());
    assert!(values(plan.goals).iter().all(|x| x.is_finite()));
}

/// Nobody there, a vehicle that stands, and a route that leads nowhere: numbers and gradients are finite.
#[test]
fn empty_scenes_have_finite_gradients() {
    let device = device();
    let lift = |x: Tensor<3>| Tensor::<3>::from_data(x.into_data(), &device).require_grad();
    let agents = lift(driving(&[0.0, 0.0, 0.0]) * 0.0);
    let options = PredictionOptions {
        map: None,
        state: false,
        ..prediction_options()
    };
    let module = AgentPrediction::new(&init(), &options);
    let found = module.forward(agents.clone(), None, None, &mut Mode::training(3));
    let gradients = (found.modal.sum() + found.likely.sum()).backward();
    let gradient = values(agents.grad(&gradients).unwrap());
    assert!(gradient.iter().all(|x| x.is_finite()));

    let module = PlanningTransformer::new(&init(), &planning_options());
    let zeros = scene(1);
    let state = Tensor::<2>::zeros([1, 4], &device).require_grad();
    let scene = PlanningInputs {
        state: state.clone(),
        route: lift(zeros.route * 0.0),
        agents: Some(agents.clone()),
        futures: Some(Tensor::zeros([1, 3, 3, 4], &device)),
        occupancy: Some(Tensor::zeros([1, 4, 6, 2], &device)),
        map: Some(Tensor::zeros([1, 4, 6, 3], &device)),
        light: Some(Tensor::zeros([1, 5], &device)),
        target: None,
    };
    let plan = module.forward(&scene, &mut Mode::training(3));
    let loss = plan.goals.sum() + plan.state_weights.sum() + plan.margins.unwrap().sum();
    let gradients = loss.backward();
    for gradient in [
        values(agents.grad(&gradients).unwrap()),
        values(state.grad(&gradients).unwrap()),
        values(scene.route.grad(&gradients).unwrap()),
    ] {
        assert!(gradient.iter().all(|x| x.is_finite()), "{gradient:?}");
    }
}

/// Where the state is hidden, plans differ by the speed that they begin with alone.
#[test]
fn a_hidden_state_moves_nothing_but_the_beginning() {
    let options = PlanningOptions {
        state_dropout: 1.0,
        dropout: 0.0,
        ..planning_options()
    };
    let module = PlanningTransformer::new(&init(), &options).valid();
    let scene = scene(1);
    let turning = PlanningInputs {
        state: Tensor::from_data([[5.0, -3.0, 0.4, 0.5]], &Device::flex()),
        ..scene.clone()
    };
    let plan = |scene: &PlanningInputs, mode: &mut Mode| values(module.forward(scene, mode).goals);
    let mut training = Mode::training(1);
    assert_eq!(
        plan(&scene, &mut training),
        plan(&turning, &mut training.clone())
    );
    let mut evaluation = Mode::evaluation();
    assert_ne!(
        plan(&scene, &mut evaluation),
        plan(&turning, &mut evaluation)
    );
}

/// Sizes of the default recipe: parameters that are known, so that a change is seen.
#[test]
fn the_default_sizes_are_small() {
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
    let prediction = AgentPrediction::new(&init(), &prediction).num_params();
    let planning = PlanningTransformer::new(&init(), &planning).num_params();
    assert!(prediction < 100_000, "{prediction}");
    assert!(planning < 200_000, "{planning}");
}
