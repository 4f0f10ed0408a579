//! The planner: limits, what binds, gradients towards the scene, the fallback.

mod support;

use conjoin_qp::planner::model::roll_out;
use conjoin_qp::planner::{
    Bound, Edge, Obstacle, Outcome, Plan, PlanError, Scene, SceneGradients, Vehicle, brake, plan,
    plan_or_brake, plan_with_all_rows,
};
use conjoin_qp::{Method, QpError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::scenes::{crowded, road, standing};

/// A vehicle that is a circle around its rear axle.
fn round() -> Vehicle {
    Vehicle {
        length: 0.0,
        width: 2.4,
        centre: 0.0,
        ..Vehicle::default()
    }
}

#[test]
fn a_free_road_is_driven_at_the_goal() {
    let plan = plan(&Vehicle::default(), &road(20, 8.0), &[]).unwrap();
    assert_eq!((plan.states.len(), plan.controls.len()), (20, 20));
    let last = plan.states[19];
    assert!(
        (last[0] - 16.0).abs() < 1e-6 && (last[3] - 8.0).abs() < 1e-6,
        "{last:?}"
    );
    assert!(plan.binding().is_empty());
}

#[test]
fn the_obstacle_that_holds_the_plan_is_named() {
    let mut scene = road(20, 8.0);
    scene.obstacles = vec![standing(20, 60.0, 2.0), standing(20, 17.0, 0.2)];
    let plan = plan(&round(), &scene, &[]).unwrap();
    let binding = plan.binding();
    assert!(!binding.is_empty());
    let gaps: Vec<usize> = (binding.iter())
        .filter_map(|held| match held.bound {
            Bound::Gap { obstacle, .. } => Some(obstacle),
            _ => None,
        })
        .collect();
    assert!(gaps.contains(&1) && !gaps.contains(&0), "{binding:?}");
    // Radii and margin are 2.7 m, and no slack was needed.
    for state in &plan.states {
        let distance = (state[0] - 17.0).hypot(state[1] - 0.2);
        assert!(distance > 2.7 - 1e-6, "{state:?}");
    }
    assert!(binding.iter().all(|held| held.slack < 1e-6));
}

#[test]
fn hard_limits_hold_in_every_scene() {
    let vehicle = Vehicle::default();
    let (mut planned, mut slack, mut warm) = (0, 0, Vec::new());
    for seed in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut scene = road(20, rng.random_range(0.0..15.0));
        scene.current = [rng.random_range(-3.5..2.0), rng.random_range(-0.01..0.01)];
        scene.reference.fill([0.0, rng.random_range(-0.01..0.01)]);
        for weight in &mut scene.state_weights {
            *weight = rng.random_range(-4.0..3.0);
        }
        for goal in &mut scene.goals {
            *goal += rng.random_range(-5.0..5.0);
        }
        for _ in 0..3 {
            let (x, y) = (rng.random_range(0.0..30.0), rng.random_range(-4.0..4.0));
            scene.obstacles.push(standing(20, x, y));
        }
        let plan = plan(&vehicle, &scene, &warm).unwrap();
        planned += usize::from(plan.solution.method == Method::ActiveSet);
        slack += usize::from(plan.solution.slacks.iter().any(|s| *s > 1e-3));
        let mut before = scene.current;
        for control in &plan.controls {
            assert!(
                (-3.5 - 1e-6..=2.0 + 1e-6).contains(&control[0]),
                "{control:?}"
            );
            assert!(control[1].abs() <= 0.2 + 1e-6);
            assert!((control[0] - before[0]).abs() <= 0.8 + 1e-6);
            assert!((control[1] - before[1]).abs() <= 0.04 + 1e-6);
            before = *control;
        }
        for (bound, slack) in plan.bounds.iter().zip(&plan.solution.slacks) {
            let soft = matches!(
                bound,
                Bound::Speed(_) | Bound::Corridor(..) | Bound::Gap { .. }
            );
            assert!(soft || *slack == 0.0, "{bound}");
        }
        warm = plan.active();
    }
    assert!(slack > 30, "{slack} scenes with a violated soft row");
    assert!(planned > 290, "{planned} by the active set");
}

fn loss(plan: &Plan, states: &[f64], controls: &[f64]) -> f64 {
    let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    sum(plan.states.as_flattened(), states) + sum(plan.controls.as_flattened(), controls)
}

/// A number of a scene, to be moved, and its gradient.
type Number<'a> = (&'a str, Change, f64);
type Change = Box<dyn Fn(&mut Scene, f64)>;

fn numbers(scene: &Scene, found: &SceneGradients) -> Vec<Number<'static>> {
    let steps = scene.reference.len();
    let mut all: Vec<Number> = Vec::new();
    for i in 0..4 * steps {
        let weights: Change = Box::new(move |s, h| s.state_weights[i] += h);
        all.push(("state weight", weights, found.state_weights[i]));
        all.push((
            "goal",
            Box::new(move |s, h| s.goals[i] += h),
            found.goals[i],
        ));
    }
    for i in 0..2 * steps {
        let weights: Change = Box::new(move |s, h| s.control_weights[i] += h);
        all.push(("control weight", weights, found.control_weights[i]));
        all.push((
            "linear",
            Box::new(move |s, h| s.linear[i] += h),
            found.linear[i],
        ));
    }
    for obstacle in 0..scene.obstacles.len() {
        let gradients = &found.obstacles[obstacle];
        for step in 0..steps {
            for number in 0..3 {
                let moves: Change = Box::new(move |s, h| {
                    if let Some(pose) = &mut s.obstacles[obstacle].poses[step] {
                        pose[number] += h;
                    }
                });
                all.push(("pose", moves, gradients.poses[step][number]));
            }
        }
        let longer: Change = Box::new(move |s, h| s.obstacles[obstacle].length += h);
        all.push(("length", longer, gradients.length));
        let wider: Change = Box::new(move |s, h| s.obstacles[obstacle].width += h);
        all.push(("width", wider, gradients.width));
        let margin: Change = Box::new(move |s, h| s.obstacles[obstacle].margin += h);
        all.push(("margin", margin, gradients.margin));
    }
    for step in 0..steps {
        for side in 0..2 {
            let moves: Change = Box::new(move |s, h| s.corridor[step][side].offset += h);
            all.push(("offset", moves, found.offsets[step][side]));
            let margin: Change = Box::new(move |s, h| s.corridor[step][side].margin += h);
            all.push(("wall's margin", margin, -found.offsets[step][side]));
        }
    }
    for (edge, gradients) in found.edges.iter().enumerate() {
        let moves: Change = Box::new(move |s, h| s.edges[edge].distance += h);
        all.push(("edge", moves, gradients.distance));
        let margin: Change = Box::new(move |s, h| s.edges[edge].margin += h);
        all.push(("edge's margin", margin, -gradients.distance));
        for axis in 0..2 {
            let turns: Change = Box::new(move |s, h| s.edges[edge].slope[axis] += h);
            all.push(("edge's slope", turns, gradients.slope[axis]));
        }
    }
    all
}

#[test]
fn gradients_towards_the_scene_are_central_differences() {
    let vehicle = Vehicle {
        dt: 0.2,
        ..Vehicle::default()
    };
    let mut near = 0;
    for seed in 0..8 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed + 40);
        let mut scene = road(8, 6.0);
        scene.start = [0.3, -0.2, 0.05, 6.0];
        scene.reference.fill([0.3, 0.01]);
        for weight in scene
            .state_weights
            .iter_mut()
            .chain(&mut scene.control_weights)
        {
            *weight = rng.random_range(-1.0..2.0);
        }
        for goal in &mut scene.goals {
            *goal += rng.random_range(-1.0..1.0);
        }
        scene.linear.fill(0.1);
        for walls in &mut scene.corridor {
            walls[0].offset = 1.1;
        }
        // One that stands aside, one that is passed, nearer than its gap in half of the scenes, one that the
        // reference drives through; not known at times.
        let beside = if seed < 4 { 3.4 } else { 2.3 };
        let car = |x: f64, y: f64, yaw: f64| Obstacle {
            poses: (0..8)
                .map(|k| (k != 5).then(|| [x + 0.1 * f64::from(k), y, yaw + 0.01 * f64::from(k)]))
                .collect(),
            length: 4.2,
            width: 1.8,
            margin: 0.4,
            standoff: 0.6,
        };
        scene.obstacles = vec![
            standing(8, 9.0, -3.5),
            car(5.0, beside, 0.2),
            car(13.0, 0.4, -0.3),
        ];
        // Both front corners, on a road that is hardly wide enough.
        scene.edges = (0..16)
            .map(|i| Edge {
                step: i / 2,
                point: [3.65, if i % 2 == 0 { 0.95 } else { -0.95 }],
                distance: rng.random_range(0.2..1.2),
                slope: [0.2, if i % 2 == 0 { -0.9 } else { 1.1 }],
                margin: 0.3,
            })
            .collect();
        let towards: Vec<f64> = (0..32).map(|_| rng.random_range(-1.0..1.0)).collect();
        let exact = plan(&vehicle, &scene, &[]).unwrap();
        let held = |obstacle: usize| {
            let names =
                |bound: &Bound| matches!(bound, Bound::Gap { obstacle: o, .. } if *o == obstacle);
            exact.binding().iter().any(|held| names(&held.bound))
        };
        let edges = (exact.binding().iter())
            .filter(|held| matches!(held.bound, Bound::Edge { .. }))
            .count();
        println!("{seed} {:?} {edges}", [held(0), held(1), held(2)]);
        assert!(edges > 0, "{seed}: no edge holds the plan");
        near += usize::from(seed >= 4 && held(1));
        for barrier in [None, Some(0.05)] {
            let way = |scene: &Scene| match barrier {
                None => plan(&vehicle, scene, &[]).unwrap(),
                Some(barrier) => {
                    let all = plan_with_all_rows(&vehicle, scene).unwrap();
                    all.relax(barrier).unwrap()
                }
            };
            let found = way(&scene)
                .backward(&vehicle, &scene, &towards, &towards[..16])
                .unwrap();
            let (mut far, mut reached) = (0, 0);
            for (name, change, gradient) in numbers(&scene, &found) {
                let at = |h: f64| {
                    let mut scene = scene.clone();
                    change(&mut scene, h);
                    loss(&way(&scene), &towards, &towards[..16])
                };
                let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                reached += usize::from(gradient != 0.0);
                let off = (gradient - expected).abs() / (1.0 + expected.abs());
                if off > 1e-4 {
                    far += 1;
                    println!("{seed} {barrier:?} {name}: found {gradient}, expected {expected}");
                }
            }
            assert!(reached > 90, "{reached}");
            assert_eq!(far, 0, "{seed} {barrier:?}");
        }
    }
    assert!(
        near > 0,
        "no plan is held by a gap that is too small already"
    );
}

#[test]
fn rows_that_cannot_bind_change_nothing() {
    let vehicle = Vehicle::default();
    let towards: Vec<f64> = (0..80).map(|i| f64::from(i).sin()).collect();
    let (mut rows, mut of) = (0, 0);
    for seed in 0..100 {
        let scene = crowded(seed);
        let few = plan(&vehicle, &scene, &[]).unwrap();
        let all = plan_with_all_rows(&vehicle, &scene).unwrap();
        (rows, of) = (rows + few.bounds.len(), of + all.bounds.len());
        let states = few
            .states
            .as_flattened()
            .iter()
            .zip(all.states.as_flattened());
        for (few, all) in states {
            assert!((few - all).abs() < 1e-6, "{seed}: {few} {all}");
        }
        let gradients = |plan: &Plan| {
            let found = plan
                .backward(&vehicle, &scene, &towards, &towards[..40])
                .unwrap();
            (numbers(&scene, &found).into_iter())
                .map(|number| number.2)
                .collect::<Vec<f64>>()
        };
        let (few, all) = (gradients(&few), gradients(&all));
        let size = all.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
        for (few, all) in few.iter().zip(&all) {
            assert!((few - all).abs() < 1e-5 * size, "{seed}: {few} {all}");
        }
    }
    println!("{rows} of {of} rows can bind");
    assert!(2 * rows < of);
}

#[test]
fn lateral_acceleration_holds_at_the_plans_own_speed() {
    let vehicle = Vehicle::default();
    let mut held = 0;
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut scene = road(20, rng.random_range(2.0..13.0));
        scene.corridor.clear();
        // A bend that the goals take too fast, from a reference that drives straight on at its speed.
        let turn = rng.random_range(-0.15..0.15);
        let faster = rng.random_range(0.0..6.0);
        for (k, goal) in scene.goals.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let speed = scene.start[3] + faster;
            let way = speed * 0.1 * (k + 1) as f64;
            *goal = [
                (way * turn).sin() / turn,
                (1.0 - (way * turn).cos()) / turn,
                way * turn,
                speed,
            ];
        }
        scene.state_weights.fill(3.0);
        scene.control_weights.fill(-4.0);
        let plan = plan(&vehicle, &scene, &[]).unwrap();
        let before = std::iter::once(scene.start[3]).chain(plan.states.iter().map(|s| s[3]));
        for (control, speed) in plan.controls.iter().zip(before) {
            let lateral = speed * speed * control[1].abs();
            assert!(lateral <= vehicle.lateral + 1e-6, "{seed}: {lateral}");
        }
        let binds = |bound: &Bound| matches!(bound, Bound::Lateral(..));
        held += usize::from(plan.active().iter().any(binds));
    }
    assert!(held > 50, "{held} plans held by it");
}

#[test]
fn contradicting_limits_are_named_and_answered_by_braking() {
    let vehicle = Vehicle::default();
    let mut scene = road(20, 8.0);
    // The acceleration in force is so far above its limit that one step's jerk cannot bring it back.
    scene.current = [4.0, 0.1];
    match plan_or_brake(&vehicle, &scene, &[]) {
        Outcome::Braked {
            error,
            controls,
            states,
        } => {
            let PlanError::Contradiction { bounds } = &error else {
                panic!("{error}");
            };
            assert!(!bounds.is_empty());
            assert!(error.to_string().contains("at step 0"), "{error}");
            assert_eq!((controls.clone(), states.clone()), brake(&vehicle, &scene));
            assert_eq!((controls.len(), states.len()), (20, 20));
            assert!((controls[0][0] - 1.2).abs() < 1e-12);
            assert!((controls[0][1] - 0.06).abs() < 1e-12);
            assert_eq!(controls[10], [-3.5, 0.0]);
            assert_eq!(states, roll_out(scene.start, &controls, 0.1));
            assert!(
                states
                    .windows(2)
                    .skip(3)
                    .all(|pair| pair[1][3] <= pair[0][3])
            );
        }
        Outcome::Planned(plan) => panic!("{:?}", plan.binding()),
    }
    // It stands at the end and does not drive backward, and numbers that are none become 0.
    scene.start = [f64::NAN, 0.0, 0.0, 1.0];
    scene.current = [f64::NAN, 0.0];
    let (controls, states) = brake(&vehicle, &scene);
    assert!(controls.iter().all(|control| control[0] <= 0.0));
    assert!(states[19][3].abs() < 1e-12 && states[19][0].is_finite());
    let Err(PlanError::Program(QpError::NotFinite { what, .. })) = plan(&vehicle, &scene, &[])
    else {
        panic!("a start that is not finite");
    };
    assert_eq!(what, "start");
    scene.start = [0.0; 4];
    scene.goals.pop();
    let error = plan(&vehicle, &scene, &[]).unwrap_err();
    assert_eq!(error.to_string(), "goals: found 79 numbers, expected 80");
}
