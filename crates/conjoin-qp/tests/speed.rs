//! How long a solve and a backward pass take at the size of a planner: 40 variables, 260 rows; and the planner
//! itself, in traffic.
//! `cargo test --release -p conjoin-qp --test speed -- --ignored --nocapture`

mod support;

use conjoin_qp::planner::{Plan, Scene, Vehicle, plan, plan_with_all_rows};
use conjoin_qp::{Penalty, Qp, Solution, solve, solve_from};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;
use support::scenes::crowded;

/// A chain of 20 steps of two double integrators, condensed: limits on 40 controls and their rates
/// (160 rows, hard), and 100 rows on positions, soft, that leave at least so much room at the start.
fn program(seed: u64, least_room: f64) -> Qp {
    const STEPS: usize = 20;
    const N: usize = 2 * STEPS;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Position after step t from the control of step k, for unit time.
    let effect = |t: usize, k: usize| if k <= t { (t - k) as f64 + 0.5 } else { 0.0 };
    let goals: [f64; 2] = [rng.random_range(-40.0..40.0), rng.random_range(-8.0..8.0)];
    let (mut q, mut p) = (vec![0.0; N * N], vec![0.0; N]);
    for t in 0..STEPS {
        for axis in 0..2 {
            for i in 0..=t {
                p[2 * i + axis] -= 0.02 * goals[axis] * effect(t, i) * (t + 1) as f64 / 20.0;
                for j in 0..=t {
                    q[(2 * i + axis) * N + 2 * j + axis] += 0.02 * effect(t, i) * effect(t, j);
                }
            }
        }
    }
    (0..N).for_each(|i| q[i * N + i] += 0.1 + rng.random_range(0.0..0.5));
    let (mut g, mut h) = (Vec::new(), Vec::new());
    for i in 0..N {
        for sign in [1.0, -1.0] {
            g.extend((0..N).map(|j| if i == j { sign } else { 0.0 }));
            h.push(1.0);
            g.extend((0..N).map(|j| match () {
                () if i == j => sign,
                () if i == j + 2 => -sign,
                () => 0.0,
            }));
            h.push(0.4);
        }
    }
    let mut qp = Qp::new(q, p).unwrap().at_most(&g, &h).unwrap();
    let (mut g, mut h) = (Vec::new(), Vec::new());
    for row in 0..100 {
        let t = row / 5;
        let angle: f64 = rng.random_range(0.0..std::f64::consts::TAU);
        let normal = [angle.cos(), angle.sin()];
        g.extend((0..N).map(|j| normal[j % 2] * effect(t, j / 2)));
        h.push(rng.random_range(least_room..30.0));
    }
    let hard = qp.inequalities();
    qp = qp.at_most(&g, &h).unwrap();
    let penalty = Penalty {
        linear: 5.0,
        quadratic: 1.0,
    };
    for row in hard..hard + 100 {
        qp = qp.soften(row, penalty).unwrap();
    }
    qp
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
#[ignore = "a measurement, for a quiet machine"]
fn time_of_a_solve_and_a_backward_pass() {
    for least_room in [0.0, -1.0, -12.0] {
        measure(least_room);
    }
}

fn measure(least_room: f64) {
    let programs: Vec<Qp> = (0..200).map(|seed| program(seed, least_room)).collect();
    let towards: Vec<f64> = (0..40).map(|i| f64::from(i).sin()).collect();
    let time = |work: &mut dyn FnMut(usize)| {
        let mut times = Vec::new();
        for _ in 0..5 {
            for i in 0..programs.len() {
                let begun = Instant::now();
                work(i);
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        median(times)
    };
    let cold = time(&mut |i| drop(solve(&programs[i]).unwrap()));
    let found: Vec<Solution> = programs.iter().map(|qp| solve(qp).unwrap()).collect();
    let warm = time(&mut |i| drop(solve_from(&programs[i], &found[i].active).unwrap()));
    let backward = time(&mut |i| drop(found[i].backward(&programs[i], &towards).unwrap()));
    let relax = time(&mut |i| drop(found[i].relax(&programs[i], 1e-2).unwrap()));
    let relaxed = found[0].relax(&programs[0], 1e-2).unwrap();
    let relaxed_backward = time(&mut |_| drop(relaxed.backward(&programs[0], &towards).unwrap()));
    let sum = |of: &dyn Fn(&Solution) -> usize| found.iter().map(of).sum::<usize>() as f64 / 200.0;
    println!(
        "n = 40, m = {}: {:.1} rows bind, {:.1} slacks, {:.1} steps; median ms on one core: solve \
         {cold:.3}, warm {warm:.3}, backward {backward:.3}, relaxation {relax:.3}, backward of it \
         {relaxed_backward:.3}",
        programs[0].inequalities(),
        sum(&|found| found.active.len()),
        sum(&|found| found.slacks.iter().filter(|s| **s > 0.0).count()),
        sum(&|found| found.iterations)
    );
    assert!(cold < 9.0 && backward < 2.0, "far from the target");
}

/// 20 steps, eight cars, walls; the vehicle and each car are up to three circles.
#[test]
#[ignore = "a measurement, for a quiet machine"]
fn time_of_the_planner() {
    let vehicle = Vehicle::default();
    let scenes: Vec<Scene> = (0..200).map(crowded).collect();
    let towards: Vec<f64> = (0..80).map(|i| f64::from(i).sin()).collect();
    let time = |work: &mut dyn FnMut(usize)| {
        let mut times = Vec::new();
        for _ in 0..5 {
            for i in 0..scenes.len() {
                let begun = Instant::now();
                work(i);
                times.push(begun.elapsed().as_secs_f64() * 1e6);
            }
        }
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        (median(times), mean)
    };
    let plans: Vec<Plan> = (scenes.iter())
        .map(|scene| plan(&vehicle, scene, &[]).unwrap())
        .collect();
    let active: Vec<_> = plans.iter().map(Plan::active).collect();
    let cold = time(&mut |i| drop(plan(&vehicle, &scenes[i], &[]).unwrap()));
    let warm = time(&mut |i| drop(plan(&vehicle, &scenes[i], &active[i]).unwrap()));
    let all = time(&mut |i| drop(plan_with_all_rows(&vehicle, &scenes[i]).unwrap()));
    let backward = time(&mut |i| {
        let found = plans[i].backward(&vehicle, &scenes[i], &towards, &towards[..40]);
        drop(found.unwrap());
    });
    let relax = time(&mut |i| {
        let plan = plan_with_all_rows(&vehicle, &scenes[i]).unwrap();
        drop(plan.relax(0.05).unwrap());
    });
    let sum = |of: &dyn Fn(&Plan) -> usize| plans.iter().map(of).sum::<usize>() as f64 / 200.0;
    println!(
        "{:.0} rows, {:.1} bind, {:.1} steps; us on one core (median, mean): cold {cold:.0?}, warm {warm:.0?}, \
         with all rows {all:.0?}, backward {backward:.0?}, relaxed {relax:.0?}",
        sum(&|plan| plan.bounds.len()),
        sum(&|plan| plan.solution.active.len()),
        sum(&|plan| plan.solution.iterations)
    );
    assert!(cold.0 < 9e3 && backward.0 < 2e3, "far from the target");
}
