//! Cells of predicted occupancy: they hold the plan where no agent does, and their probabilities get gradient.

use super::traffic::{Batch, FUTURES, STATE, loss, numbers, traffic};
use crate::harness::device;
use burn::tensor::{Tensor, TensorData};
use conjoin_nn::qp_planner::{Occupancy, PlannerOptions, PlannerOutput, plan};

#[test]
fn cells_that_no_agent_explains_hold_the_plan_and_have_their_gradient() {
    let options = PlannerOptions {
        occupancy_margin: 1.0,
        ..PlannerOptions::default()
    };
    let mut batch = traffic(1, 1, 8);
    batch.parts[STATE][..2].copy_from_slice(&[6.0, 0.0]);
    // A cell of 2 m by 1.5 m around (13, 0.75), at the first and the last of three times.
    let cells = |probabilities: [f32; 2]| {
        let mut grid = vec![0.1_f32; 20 * 8 * 3];
        let cell = (6 * 8 + 4) * 3;
        (grid[cell], grid[cell + 2]) = (probabilities[0], probabilities[1]);
        (grid, [cell, cell + 1, cell + 2])
    };
    let run = |batch: &Batch, probabilities: [f32; 2]| {
        let mut inputs = batch.inputs(&device(), true);
        let data = TensorData::new(cells(probabilities).0, [1, 20, 8, 3]);
        let grid = Tensor::<4>::from_data(data, &device()).require_grad();
        inputs.occupancy = Some(Occupancy {
            grid: grid.clone(),
            extent: [0.0, 40.0, -6.0, 6.0],
            times: vec![0.0, 1.0, 2.0],
        });
        (plan(&options, inputs).unwrap(), grid)
    };
    let dual = |found: &PlannerOutput| numbers(&found.occupancy_dual)[0];
    // The only agent is not there.
    batch.parts[5][0] = 0.0;
    let (free, _) = run(&batch, [0.4, 0.4]);
    assert_eq!(dual(&free), 0.0);
    let (found, grid) = run(&batch, [0.6, 0.9]);
    assert!(dual(&found) > 1.0);
    assert_eq!(numbers(&found.duals), [0.0]);
    // The front bumper, 3.65 m ahead, stays before the circle in the cell and its margin, or passes beside it.
    let ends = |found: &PlannerOutput| numbers(&found.plan)[76..78].to_vec();
    let (with, without) = (ends(&found), ends(&free));
    assert!(
        with[0] < without[0] || with[1].abs() > without[1].abs() + 0.2,
        "{with:?} {without:?}"
    );
    assert!(numbers(&found.occupancy_slack)[0] < 1.0);

    let gradients = numbers(&grid.grad(&loss(&found).backward()).unwrap());
    let (_, [first, between, last]) = cells([0.0; 2]);
    assert_eq!(gradients[between], 0.0);
    let others = gradients.iter().filter(|x| **x != 0.0).count();
    assert_eq!(others, 2);
    for (entry, by) in [(first, [1.0, 0.0]), (last, [0.0, 1.0])] {
        let h = 2e-2_f32;
        let at = |h: f32| {
            let (found, _) = run(&batch, [0.6 + h * by[0], 0.9 + h * by[1]]);
            f64::from(numbers(&loss(&found))[0])
        };
        let expected = (at(h) - at(-h)) / f64::from(2.0 * h);
        let found = f64::from(gradients[entry]);
        assert!(
            (found - expected).abs() < 0.02 * expected.abs(),
            "{found} {expected}"
        );
    }

    // A car that is there after a second, and ahead of it after two: its cells are its own.
    let mut moving = batch.clone();
    moving.parts[5][..7].copy_from_slice(&[1.0, 5.0, 0.5, 1.0, 0.0, 4.0, 1.8]);
    moving.parts[5][7..9].copy_from_slice(&[8.0, 0.0]);
    for (step, pose) in moving.parts[FUTURES].chunks_exact_mut(4).enumerate() {
        pose.copy_from_slice(&[1.0, 5.0 + 0.8 * (step + 1) as f32, 0.5, 0.0]);
    }
    let mut inputs = moving.inputs(&device(), true);
    let mut grid = vec![0.0_f32; 20 * 8 * 3];
    for (time, first) in [(0, 1), (1, 5), (2, 9)] {
        // 4 m behind one another: three cells that it stands in or touches.
        for cell in first..first + 3 {
            grid[(cell * 8 + 4) * 3 + time] = 1.0;
        }
    }
    inputs.occupancy = Some(Occupancy {
        grid: Tensor::from_data(TensorData::new(grid, [1, 20, 8, 3]), &device()),
        extent: [0.0, 40.0, -6.0, 6.0],
        times: vec![0.0, 1.0, 2.0],
    });
    assert_eq!(dual(&plan(&options, inputs).unwrap()), 0.0);

    // Somebody stands there: that is one obstacle, not two.
    batch.parts[5][..7].copy_from_slice(&[1.0, 13.0, 0.5, 1.0, 0.0, 4.0, 1.8]);
    batch.parts[5][7..9].fill(0.0);
    for step in batch.parts[FUTURES].chunks_exact_mut(4) {
        step.copy_from_slice(&[1.0, 13.0, 0.5, 0.0]);
    }
    let (found, _) = run(&batch, [0.6, 0.9]);
    assert_eq!(dual(&found), 0.0);
    assert!(numbers(&found.duals)[0] > 1.0);
}
