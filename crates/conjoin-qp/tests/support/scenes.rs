//! Scenes for the planner.

use conjoin_qp::planner::{Obstacle, Scene, Vehicle, Wall, follow};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A straight road of 4 m to each side, the goal ahead at constant speed.
pub fn road(steps: usize, speed: f64) -> Scene {
    let wall = |side: f64| Wall {
        normal: [0.0, side],
        offset: 4.0,
        margin: 1.0,
    };
    Scene {
        start: [0.0, 0.0, 0.0, speed],
        current: [0.0, 0.0],
        reference: vec![[0.0, 0.0]; steps],
        state_weights: vec![0.0; 4 * steps],
        control_weights: vec![0.0; 2 * steps],
        goals: (1..=steps)
            .flat_map(|k| [speed * 0.1 * k as f64, 0.0, 0.0, speed])
            .collect(),
        linear: vec![0.0; 2 * steps],
        obstacles: Vec::new(),
        corridor: vec![[wall(1.0), wall(-1.0)]; steps],
        edges: Vec::new(),
    }
}

pub fn standing(steps: usize, x: f64, y: f64) -> Obstacle {
    Obstacle {
        poses: vec![Some([x, y, 0.0]); steps],
        length: 0.0,
        width: 2.0,
        margin: 0.5,
        standoff: 0.0,
    }
}

/// Scenes of cars around the vehicle, some of which its goals drive into.
pub fn crowded(seed: u64) -> Scene {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut scene = road(20, rng.random_range(2.0..12.0));
    let speed = scene.start[3];
    for goal in scene.goals.as_chunks_mut::<4>().0 {
        goal[1] += rng.random_range(-0.5..0.5);
    }
    for _ in 0..8 {
        let (x, y) = (rng.random_range(6.0..30.0), rng.random_range(-6.0..6.0));
        let (yaw, own): (f64, f64) = (rng.random_range(-0.3..0.3), rng.random_range(0.0..speed));
        let pose = |k: i32| {
            let moved = own * 0.1 * f64::from(k + 1);
            [x + moved * yaw.cos(), y + moved * yaw.sin(), yaw]
        };
        scene.obstacles.push(Obstacle {
            poses: (0..20).map(|k| Some(pose(k))).collect(),
            length: rng.random_range(0.5..6.0),
            width: rng.random_range(0.5..2.2),
            margin: rng.random_range(0.0..0.8),
            standoff: if seed.is_multiple_of(2) { 4.0 } else { 0.0 },
        });
    }
    scene.reference = follow(
        &Vehicle::default(),
        scene.start,
        scene.current,
        &scene.goals,
    );
    scene
}
