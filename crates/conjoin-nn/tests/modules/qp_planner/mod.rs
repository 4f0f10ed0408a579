//! The planner as an operation: against qpth (`golden/qp_planner.py`), against differences, where there is no
//! plan, on any number of threads, and as a layer through which networks are trained.

mod occupancy;
mod road;
mod traffic;

use crate::harness::{Golden, device};
use burn::tensor::Tensor;
use conjoin_nn::qp_planner::{
    AGENT, PlannerError, PlannerInputs, PlannerOptions, Reason, Road, plan,
};
use conjoin_qp::planner::Vehicle;
use traffic::{Batch, FUTURE, FUTURES, GOALS, MARGINS, STATE, loss, numbers, traffic};

const AGENTS: usize = 12;

#[test]
fn plans_and_gradients_equal_those_of_qpth() {
    let golden = Golden::read("qp-planner");
    let options = PlannerOptions {
        vehicle: Vehicle {
            dt: 0.2,
            ..Vehicle::default()
        },
        corridor: 2.5,
        standoff: 4.0,
        ..PlannerOptions::default()
    };
    let inputs = PlannerInputs {
        goals: golden.input("goals"),
        state_weights: golden.input("state_weights"),
        control_weights: golden.input("control_weights"),
        margins: golden.input("margins"),
        futures: golden.input("futures"),
        agents: golden.input("agents"),
        occupancy: None,
        road: Some(Road {
            map: golden.input("road"),
            extent: [-4.0, 32.0, -9.0, 9.0],
        }),
        state: golden.input("state"),
        route: Some(golden.input("route")),
        reference: Some(golden.input("reference")),
    };
    let found = plan(&options, inputs.clone()).unwrap();
    assert_eq!(numbers(&found.fallback), [0.0; 4]);
    let loss = golden.output("plan", found.plan) + golden.output("controls", found.controls);
    let gradients = loss.backward();
    golden.check_input_gradient("goals", &inputs.goals, &gradients);
    golden.check_input_gradient("state_weights", &inputs.state_weights, &gradients);
    golden.check_input_gradient("control_weights", &inputs.control_weights, &gradients);
    golden.check_input_gradient("margins", &inputs.margins, &gradients);
    golden.check_input_gradient("futures", &inputs.futures, &gradients);
    golden.check_input_gradient("agents", &inputs.agents, &gradients);
    let road = inputs.road.unwrap().map;
    golden.check_input_gradient("road", &road, &gradients);
    // The road holds some of the plans.
    let duals = numbers(&found.road_dual);
    assert!(duals.iter().any(|dual| *dual > 1.0), "{duals:?}");
    assert!(inputs.state.grad(&gradients).is_none());
}

/// The gradients of a batch's numbers.
fn gradients(options: &PlannerOptions, batch: &Batch, with_reference: bool) -> [Vec<f32>; 6] {
    let inputs = batch.inputs(&device(), with_reference);
    let found = loss(&plan(options, inputs.clone()).unwrap()).backward();
    [
        numbers(&inputs.goals.grad(&found).unwrap()),
        numbers(&inputs.state_weights.grad(&found).unwrap()),
        numbers(&inputs.control_weights.grad(&found).unwrap()),
        numbers(&inputs.margins.grad(&found).unwrap()),
        numbers(&inputs.futures.grad(&found).unwrap()),
        numbers(&inputs.agents.grad(&found).unwrap()),
    ]
}

#[test]
fn gradients_are_central_differences() {
    for relax in [None, Some(0.1)] {
        let options = PlannerOptions {
            relax,
            ..PlannerOptions::default()
        };
        let (mut compared, mut far, mut reached) = (0, Vec::new(), [0; 6]);
        for seed in 0..3 {
            // Differences need the reference where it is: it follows the goals without gradient.
            let batch = traffic(1, 4, seed);
            let found = gradients(&options, &batch, true);
            for (input, gradients) in found.iter().enumerate() {
                let size = gradients.iter().fold(0.5_f32, |most, x| most.max(x.abs()));
                for i in (0..gradients.len()).step_by(3) {
                    let is_flag =
                        (input == FUTURES && i % 4 == 0) || (input == 5 && i % AGENT == 0);
                    if is_flag {
                        continue;
                    }
                    let h = 2e-3_f32;
                    let at = |h: f32| {
                        let mut batch = batch.clone();
                        batch.parts[input][i] += h;
                        let moved = batch.parts[input][i];
                        let found = plan(&options, batch.inputs(&device(), true)).unwrap();
                        (f64::from(numbers(&loss(&found))[0]), f64::from(moved))
                    };
                    let ((up, high), (down, low)) = (at(h), at(-h));
                    let expected = (up - down) / (high - low);
                    compared += 1;
                    reached[input] += usize::from(gradients[i] != 0.0);
                    // Single precision outputs, and rows that come and go within the step.
                    if (f64::from(gradients[i]) - expected).abs() > 0.03 * f64::from(size) {
                        far.push((seed, input, i, gradients[i], expected));
                    }
                }
            }
        }
        println!("{relax:?}: {compared} compared, {reached:?} reached, far: {far:?}");
        assert!(reached.iter().all(|count| *count > 0), "{reached:?}");
        assert!(far.len() * 50 < compared, "{far:?}");
    }
}

#[test]
fn rows_without_a_plan_brake_and_have_no_gradient() {
    let mut batch = traffic(4, 3, 5);
    // A vehicle whose acceleration and wheel can hardly be changed, so that it gets too fast for its bend; goals
    // and margins that are not finite.
    batch.parts[STATE][4..7].copy_from_slice(&[10.0, 2.0, 1.0]);
    batch.parts[GOALS][2 * 80 + 5] = f32::NAN;
    batch.parts[MARGINS][3 * 3] = f32::INFINITY;
    let mut options = PlannerOptions::default();
    (options.vehicle.jerk, options.vehicle.curvature_rate) = (0.1, 0.001);
    let inputs = batch.inputs(&device(), false);
    let found = plan(&options, inputs.clone()).unwrap();
    assert_eq!(numbers(&found.fallback), [0.0, 1.0, 1.0, 1.0]);
    let reasons: Vec<_> = (numbers(&found.reason).into_iter())
        .map(Reason::from_number)
        .collect();
    let not_finite = Some(Reason::NotFinite);
    assert_eq!((reasons[0], &reasons[2..]), (None, &[not_finite; 2][..]));
    // The wheel cannot be turned back in time: neither limit is in the way without the other.
    let why = reasons[1].unwrap().to_string();
    assert!(
        why.contains("contradict each other: limits of lateral acceleration"),
        "{why}"
    );
    assert!(why.ends_with("curvature rate"), "{why}");
    // The same wheel, turned as far, is no reason where it can be turned back.
    let free = plan(&PlannerOptions::default(), inputs.clone()).unwrap();
    assert_eq!(numbers(&free.fallback), [0.0, 0.0, 1.0, 1.0]);
    let plans = numbers(&found.plan);
    assert!(plans.iter().all(|x| x.is_finite()));
    assert!(numbers(&found.controls).iter().all(|x| x.is_finite()));
    let plans = numbers(&free.plan);
    for row in 2..4 {
        let speeds: Vec<f32> = (0..20).map(|k| plans[row * 80 + 4 * k + 3]).collect();
        assert!(
            speeds.windows(2).skip(2).all(|pair| pair[1] <= pair[0]),
            "{speeds:?}"
        );
        assert!(speeds[19] < speeds[0]);
    }
    let [
        goals,
        state_weights,
        control_weights,
        margins,
        futures,
        agents,
    ] = gradients(&options, &batch, false);
    for (gradients, row) in [
        (&goals, 80),
        (&state_weights, 80),
        (&control_weights, 40),
        (&margins, 3),
        (&futures, 3 * FUTURE * 4),
        (&agents, 3 * AGENT),
    ] {
        assert!(gradients[row..].iter().all(|x| *x == 0.0));
        assert!(gradients.iter().all(|x| x.is_finite()));
    }
    // Where the limits leave something to choose.
    let [goals, ..] = gradients(&PlannerOptions::default(), &batch, false);
    assert!(goals[..80].iter().any(|x| *x != 0.0));
    assert!(goals[160..].iter().all(|x| *x == 0.0));
}

#[test]
fn agents_that_are_not_there_or_not_known_do_not_count() {
    let options = PlannerOptions::default();
    let mut batch = traffic(1, 2, 8);
    batch.parts[STATE][0] = 6.0;
    // Both stand where the vehicle cannot stop any more.
    for agent in 0..2 {
        for k in 0..FUTURE {
            let at = (agent * FUTURE + k) * 4;
            batch.parts[FUTURES][at..at + 4].copy_from_slice(&[1.0, 7.0, 0.0, 0.0]);
        }
    }
    let duals = |batch: &Batch| {
        numbers(
            &plan(&options, batch.inputs(&device(), false))
                .unwrap()
                .duals,
        )
    };
    let both = duals(&batch);
    assert!(both[0] > 0.0 && both[1] > 0.0, "{both:?}");
    batch.parts[5][0] = 0.49;
    for k in 0..FUTURE {
        batch.parts[FUTURES][(FUTURE + k) * 4] = 0.0;
    }
    assert_eq!(duals(&batch), [0.0, 0.0]);
}

#[test]
fn results_do_not_depend_on_threads() {
    for relax in [None, Some(0.05)] {
        let options = PlannerOptions {
            relax,
            ..PlannerOptions::default()
        };
        let batch = traffic(9, 8, 3);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let found = plan(&options, batch.inputs(&device(), false)).unwrap();
                let mut all = numbers(&found.plan);
                all.extend(numbers(&found.duals));
                all.extend(gradients(&options, &batch, false).into_iter().flatten());
                all.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
            })
        };
        assert_eq!(on(1), on(2));
    }
}

#[test]
fn gradient_can_be_left_out_and_shapes_are_named() {
    let batch = traffic(2, 3, 4);
    let with = PlannerOptions::default();
    let without = PlannerOptions {
        gradient: false,
        ..with
    };
    let inputs = || batch.inputs(&device(), false);
    let found = plan(&without, inputs()).unwrap();
    let same = plan(&with, inputs()).unwrap();
    assert_eq!(numbers(&found.plan), numbers(&same.plan));
    let given = inputs();
    let through = plan(&without, given.clone()).unwrap().plan.sum() + given.margins.clone().sum();
    let gradients = through.backward();
    assert!(given.goals.grad(&gradients).is_none());
    assert_eq!(numbers(&given.margins.grad(&gradients).unwrap()), [1.0; 6]);

    let mut wrong = inputs();
    wrong.margins = wrong.margins.narrow(1, 0, 2);
    let error = plan(&with, wrong).unwrap_err();
    assert!(matches!(
        error,
        PlannerError::Shape {
            input: "margins",
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "margins: found shape [2, 2], expected [2, 3]"
    );
    // Nobody there, and nothing at all.
    let nobody = plan(&with, traffic(2, 0, 1).inputs(&device(), false)).unwrap();
    assert_eq!(nobody.duals.dims(), [2, 0]);
    assert_eq!(numbers(&nobody.fallback), [0.0; 2]);
    let nothing = plan(&with, traffic(0, 3, 1).inputs(&device(), false)).unwrap();
    assert_eq!(nothing.plan.dims(), [0, 20, 4]);
}

#[test]
fn two_linear_maps_are_trained_through_the_plan() {
    let device = device();
    let batch = traffic(16, AGENTS, 21);
    let options = PlannerOptions::default();
    let given = batch.inputs(&device, false);
    // An expert that goes slower and keeps a larger gap than what the maps begin with.
    let mut expert = given.clone();
    expert.goals = expert.goals * 0.8;
    expert.margins = expert.margins + 0.5;
    let expert = plan(&options, expert).unwrap().plan.detach();
    let features: Tensor<2> = Tensor::cat(
        vec![given.state.clone() / 10.0, Tensor::ones([16, 1], &device)],
        1,
    );
    let mut goals = Tensor::<2>::zeros([5, 80], &device).require_grad();
    let mut margins = Tensor::<2>::zeros([5, AGENTS], &device).require_grad();
    let mut losses = Vec::new();
    for _ in 0..60 {
        let mut inputs = given.clone();
        let moved = features.clone().matmul(goals.clone()).reshape([16, 20, 4]);
        inputs.goals = given.goals.clone().detach() + moved;
        let wider = features.clone().matmul(margins.clone());
        inputs.margins = given.margins.clone().detach() + wider;
        let found = plan(&options, inputs).unwrap().plan;
        let loss = (found - expert.clone()).powi_scalar(2).mean();
        let gradients = loss.backward();
        losses.push(numbers(&loss)[0]);
        let step = |x: Tensor<2>, rate: f32| {
            let gradient = x.grad(&gradients).unwrap();
            let moved = x.inner() - gradient * rate;
            Tensor::from_inner(moved).require_grad()
        };
        goals = step(goals, 4.0);
        margins = step(margins, 0.4);
    }
    println!("{losses:?}");
    assert!(losses[59] < 0.35 * losses[0], "{losses:?}");
    assert!(numbers(&margins).iter().any(|x| *x != 0.0));
}

#[test]
#[ignore = "a measurement, for a quiet machine"]
fn time_of_a_batch() {
    for (relax, rows) in [(None, 1), (None, 64), (Some(0.05), 64)] {
        let options = PlannerOptions {
            relax,
            ..PlannerOptions::default()
        };
        let batch = traffic(rows, AGENTS, 2);
        let inputs = batch.inputs(&device(), false);
        let (mut forward, mut both) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            let begun = std::time::Instant::now();
            let found = plan(&options, inputs.clone()).unwrap();
            forward.push(begun.elapsed().as_secs_f64() * 1e3);
            drop(loss(&found).backward());
            both.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        forward.sort_by(f64::total_cmp);
        both.sort_by(f64::total_cmp);
        println!(
            "relax {relax:?}, {rows} rows, {} threads: forward {:.2} ms, with backward {:.2} ms",
            rayon::current_num_threads(),
            forward[15],
            both[15]
        );
        assert!(both[15] < 1e4);
    }
}
