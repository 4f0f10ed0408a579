//! The planner's gaps: to who stands ahead, with room to pull out, and where there is less than should be kept.

mod support;

use conjoin_qp::planner::{Bound, Obstacle, Vehicle, follow, plan};
use support::scenes::{road, standing};

#[test]
fn a_stopped_car_in_the_way_stops_the_plan_before_it() {
    let vehicle = Vehicle::default();
    for distance in [16.0, 18.0, 21.0] {
        let mut scene = road(40, 6.0);
        scene.obstacles = vec![
            standing(40, 12.0, 5.5),
            Obstacle {
                poses: vec![Some([distance, 0.1, 0.0]); 40],
                length: 4.5,
                width: 1.8,
                margin: 0.5,
                standoff: 0.0,
            },
        ];
        // The goals drive through it.
        scene.reference = follow(&vehicle, scene.start, scene.current, &scene.goals);
        let plan = plan(&vehicle, &scene, &[]).unwrap();
        let last = plan.states[39];
        // From the rear axle to the front bumper are 3.65 m.
        // The side of the first touch is not exactly ahead: along it the plan still creeps.
        assert!(last[3] < 0.5, "{distance}: {last:?}");
        assert!(last[0] + 3.65 < distance - 2.25, "{distance}: {last:?}");
        let strongest = plan
            .binding()
            .into_iter()
            .find_map(|held| match held.bound {
                Bound::Gap { obstacle, .. } => Some(obstacle),
                _ => None,
            });
        assert_eq!(strongest, Some(1));
    }
}

#[test]
fn room_to_pull_out_is_kept_ahead_and_not_beside() {
    let vehicle = Vehicle::default();
    let stops = |standoff: f64, aside: f64| {
        let mut scene = road(40, 5.0);
        scene.corridor.clear();
        scene.obstacles = vec![Obstacle {
            poses: vec![Some([22.0, aside, 0.0]); 40],
            length: 4.4,
            width: 1.8,
            margin: 0.5,
            standoff,
        }];
        scene.reference = follow(&vehicle, scene.start, scene.current, &scene.goals);
        let plan = plan(&vehicle, &scene, &[]).unwrap();
        plan.states.iter().map(|state| state[0]).fold(0.0, f64::max)
    };
    // In the way: 4 m more, as far as the direction to it is straight ahead.
    let (near, far) = (stops(0.0, 0.0), stops(4.0, 0.0));
    assert!((near - far - 4.0).abs() < 0.2, "{near} {far}");
    // In the lane beside: it is driven past as fast.
    let (without, with) = (stops(0.0, 3.4), stops(4.0, 3.4));
    assert!(
        without > 19.9 && (without - with).abs() < 0.05,
        "{without} {with}"
    );
}

#[test]
fn a_gap_that_is_not_there_is_not_asked_for() {
    let vehicle = Vehicle::default();
    // It stands with 0.15 m to a car beside it, less than the margin, and the goals lead on.
    let mut scene = road(20, 0.0);
    for (k, goal) in scene.goals.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let time = 0.1 * (k + 1) as f64;
        *goal = [0.75 * time * time, 0.0, 0.0, 1.5 * time];
    }
    let beside = |x: f64, y: f64| Obstacle {
        poses: vec![Some([x, y, 0.0]); 20],
        length: 4.5,
        width: 1.9,
        margin: 0.5,
        standoff: 0.0,
    };
    scene.reference = follow(&vehicle, scene.start, scene.current, &scene.goals);
    let free = plan(&vehicle, &scene, &[]).unwrap().states[19];
    scene.obstacles = vec![beside(3.0, 2.05)];
    let on = plan(&vehicle, &scene, &[]).unwrap();
    assert!(
        free[0] > 2.0 && on.states[19][0] > free[0] - 0.1,
        "{free:?} {:?}",
        on.states[19]
    );
    assert!(on.states.iter().all(|state| state[1] < 0.01));
    // Straight ahead it comes no nearer than it is, and does not back off either.
    scene.obstacles = vec![beside(6.1, 0.0)];
    let stays = plan(&vehicle, &scene, &[]).unwrap();
    let last = stays.states[19];
    assert!(last[0].abs() < 0.01 && last[3].abs() < 0.05, "{last:?}");
}
