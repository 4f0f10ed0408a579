//! Several plans of a planning transformer: the one nearest to the target is trained, the likeliest is driven.

use burn::tensor::{Device, Tensor, TensorData};
use conjoin_nn::driving::planning::{PlanningInputs, PlanningOptions, PlanningTransformer};
use conjoin_nn::{Init, Mode};

const MODES: usize = 4;
const STEPS: usize = 5;

/// A vehicle at 5 m/s on a straight route with points every 2 m.
fn scene(device: &Device, target: Option<Vec<f32>>) -> PlanningInputs {
    let tensor = |numbers: Vec<f32>| TensorData::new(numbers, [1, 4]);
    let route = TensorData::new(vec![2.0_f32, 0.0, 4.0, 0.0, 6.0, 0.0, 8.0, 0.0], [1, 4, 2]);
    PlanningInputs {
        state: Tensor::from_data(tensor(vec![5.0, 0.3, 0.1, 0.1]), device),
        route: Tensor::from_data(route, device),
        agents: None,
        futures: None,
        occupancy: None,
        map: None,
        light: None,
        target: target
            .map(|target| Tensor::from_data(TensorData::new(target, [1, STEPS, 4]), device)),
    }
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_to_vec().unwrap()
}

/// x and y of the goals at the last step.
fn end(goals: &Tensor<3>) -> [f32; 2] {
    let goals = values(goals);
    let last = 4 * (STEPS - 1);
    [goals[last], goals[last + 1]]
}

#[test]
fn the_nearest_mode_is_trained_and_the_likeliest_driven() {
    let device = Device::flex().autodiff();
    let module = PlanningTransformer::new(
        &Init::new(&device, 1),
        &PlanningOptions {
            route_points: 4,
            agents: false,
            futures: 0,
            grid: None,
            light: false,
            steps: STEPS,
            hidden: 8,
            layers: 1,
            heads: 2,
            dropout: 0.0,
            state_dropout: 0.0,
            modes: MODES,
        },
    );
    let free = module.forward(&scene(&device, None), &mut Mode::evaluation());
    let modal = free.modal.unwrap();
    assert_eq!(modal.dims(), [1, MODES, 1 + 2 * STEPS]);
    let rows: Vec<Vec<f32>> = values(&modal)
        .chunks(1 + 2 * STEPS)
        .map(<[f32]>::to_vec)
        .collect();
    let last = |mode: usize| [rows[mode][2 * STEPS - 1], rows[mode][2 * STEPS]];
    // Untrained they speed up, pass on the left, brake, pass on the right.
    assert!(
        last(0)[0] > last(1)[0] + 0.1 && last(1)[0] > last(2)[0] + 0.1,
        "{rows:?}"
    );
    assert!(last(1)[1] > 0.9 && last(3)[1] < -0.9, "{rows:?}");
    let likeliest = (0..MODES)
        .max_by(|&a, &b| rows[a][0].total_cmp(&rows[b][0]))
        .unwrap();
    assert_eq!(end(&free.goals), last(likeliest));

    for (wanted, row) in rows.iter().enumerate() {
        let target: Vec<f32> = row[1..]
            .chunks(2)
            .flat_map(|at| [at[0] + 0.05, at[1], 0.0, 5.0])
            .collect();
        let given = scene(&device, Some(target));
        let plan = module.forward(&given, &mut Mode::training(3));
        assert_eq!(end(&plan.goals), last(wanted));
        // In evaluation the target does not count.
        let plan = module.forward(&given, &mut Mode::evaluation());
        assert_eq!(end(&plan.goals), last(likeliest));
    }
}
