//! The layer before things that a blind driver does not see, and behind a driver who needs it rarely.

use super::*;
use crate::driving::drive::drive;
use crate::driving::expert::Expert;
use crate::driving::map::{Family, LayoutKind, Split};
use crate::driving::scene::{EpisodeId, begin};
use crate::driving::score::closed_loop::Ending;
use crate::geometry::{Obb, Pose, Vec2};

/// Keeps to its lane and its speed, whatever stands there.
fn blind(world: &World) -> Control {
    let steering = crate::driving::baseline::follow_lane(world).steering;
    Control {
        acceleration: 1.5 * (world.route().speed_at(world.ego_s, 1.5) - world.ego.speed),
        steering,
    }
}

/// The world with a car that stands on the ego's way, this far ahead of its middle.
fn stopped(ahead: f64) -> World {
    let mut world = begin(EpisodeId {
        family: "straight-0".parse().unwrap(),
        seed: 2,
    });
    world.pedestrians.clear();
    world.cars.truncate(1);
    let path = world.scene.paths().iter();
    let own = path.clone().position(|p| p.lanes == world.route().lanes);
    let car = &mut world.cars[0];
    (car.path, car.s, car.d) = (own.unwrap(), world.ego_s + ahead, 0.0);
    (car.speed, car.stopped, car.change) = (0.0, true, None);
    world
}

#[test]
fn it_brakes_in_time_before_a_car_that_stands() {
    for ahead in [30.0, 45.0, 60.0] {
        let run = |on: bool| {
            let mut world = stopped(ahead);
            let mut driver = Guarded {
                driver: blind,
                guard: Guard::new(GuardConfig {
                    on,
                    ..GuardConfig::default()
                }),
            };
            for _ in 0..150 {
                let control = driver.control(&world);
                world.step(control);
                if world.collision().is_some() {
                    return (true, world, driver.guard.interventions());
                }
            }
            (false, world, driver.guard.interventions())
        };
        let (crashed, _, would) = run(false);
        assert!(crashed && would.detected > 0, "{would:?}");
        let (crashed, world, did) = run(true);
        assert!(!crashed && world.ego.speed < 0.3, "{ahead}: {did:?}");
        // It stops near to it, not far away: the driver is not replaced before it must be.
        let gap = world.cars[0].s - world.ego_s - 0.5 * (world.cars[0].length + LENGTH);
        assert!((0.1..4.0).contains(&gap), "{ahead}: {gap} {did:?}");
        assert!(did.detected > 3 && did.stopping == 0, "{did:?}");
    }
}

#[test]
fn a_command_that_is_no_number_ends_in_a_stop() {
    let mut guard = Guard::new(GuardConfig::default());
    let mut ego = EgoState::at(Pose::default(), 8.0);
    let asked = Control {
        acceleration: f64::NAN,
        steering: 0.0,
    };
    for _ in 0..40 {
        let control = guard.filter(&ego, &Around::default(), asked);
        assert!(control.acceleration.is_finite() && control.steering.is_finite());
        ego = ego.step(control);
    }
    assert_eq!(ego.speed, 0.0);
    let counts = guard.interventions();
    assert_eq!((counts.steps, counts.stopping, counts.times), (40, 40, 1));
    assert!(guard.restart());
    guard.filter(&ego, &Around::default(), Control::default());
    assert!(!guard.brakes());
}

#[test]
fn who_drives_beside_is_no_reason_to_brake() {
    let ego = EgoState::at(Pose::default(), 10.0);
    let mut guard = Guard::new(GuardConfig::default());
    let mut brakes = |y: f64, x: f64, speed: f64| {
        let mut around = Around::default();
        around.add(
            Obb::new(Pose::new(x, y, 0.0), 4.5, 1.9),
            Vec2::new(speed, 0.0),
            true,
        );
        guard.filter(&ego, &around, Control::default());
        guard.brakes()
    };
    assert!(!brakes(3.4, 12.0, -10.0));
    assert!(!brakes(-3.4, 12.0, 8.0));
    assert!(!brakes(0.0, 28.0, 10.0));
    assert!(brakes(0.0, 12.0, 0.0));
}

#[test]
fn behind_the_expert_it_would_rarely_brake() {
    let kind = LayoutKind::Junction;
    let family = Family::of(Split::HeldOut).find(|f| f.kind == kind).unwrap();
    let mut counts = Interventions::default();
    for seed in 0..3 {
        let mut driver = Guarded {
            driver: Expert::default(),
            guard: Guard::new(GuardConfig {
                on: false,
                ..GuardConfig::default()
            }),
        };
        let score = drive(EpisodeId { family, seed }, &mut driver, false);
        assert_eq!(score.ending, Ending::Goal, "{family} {seed}");
        counts = counts.and(driver.guard.interventions());
    }
    assert!(counts.steps > 300 && counts.share() < 0.03, "{counts:?}");
}
