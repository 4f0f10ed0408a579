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
    // For what is seen, and for what may hide besides.
    let steps = counts.steps as f64;
    assert!(steps > 300.0 && counts.share() < 0.04, "{counts:?}");
    assert!(counts.detected as f64 / steps < 0.03, "{counts:?}");
}

/// The steps of a drive at 8 m/s until it stands: what each is told, by how late it comes, as the age of
/// the input, where there is one.
fn stops(when: impl Fn(usize) -> (f64, Option<f64>)) -> Interventions {
    let mut guard = Guard::new(GuardConfig::default());
    let mut ego = EgoState::at(Pose::default(), 8.0);
    let around = Around::default();
    for step in 0..60 {
        let (late, age) = when(step);
        let told = age.map(|age| Told {
            ego: &ego,
            around: &around,
            asked: Control::default(),
            age,
        });
        let control = guard.step(late, told);
        if step < 10 {
            assert!(!guard.brakes() && control.acceleration == 0.0, "{step}");
        }
        ego = ego.step(control);
        assert!((-3.5 - 1e-9..=0.0).contains(&ego.acceleration), "{ego:?}");
    }
    let counts = guard.interventions();
    assert!(ego.speed == 0.0 || counts.stopping == 0);
    counts
}

#[test]
fn what_is_old_or_late_or_missing_ends_in_a_stop() {
    let now = (0.0, Some(0.0));
    let stopping = |at: (f64, Option<f64>)| {
        // Once is enough, and what follows is good again.
        let counts = stops(|step| if step == 10 { at } else { now });
        (counts.stopping, counts.times)
    };
    assert_eq!(stopping(now), (0, 0));
    // Nothing came, it was measured before the last one, it comes late, from the future, or no age is known.
    for wrong in [
        (0.0, None),
        (0.0, Some(0.1)),
        (0.0, Some(f64::NAN)),
        (0.0, Some(-0.01)),
        (0.03, Some(0.0)),
        (1e300, Some(0.0)),
        (0.0, Some(1e300)),
    ] {
        assert_eq!(stopping(wrong), (50, 1), "{wrong:?}");
    }
    // An input may be old by what is left of 80 ms behind the last cycle of the step.
    assert_eq!(stopping((0.0, Some(0.000_001))), (50, 1));
    assert_eq!(stopping((f64::NAN, Some(0.0))), (0, 0));
    assert_eq!(stopping((-5.0, Some(0.0))), (0, 0));
}

#[test]
fn a_stop_keeps_the_wheels_where_they_were() {
    let mut guard = Guard::new(GuardConfig::default());
    let mut ego = EgoState::at(Pose::default(), 5.0);
    let turn = Control {
        acceleration: 0.0,
        steering: 0.1,
    };
    for _ in 0..10 {
        ego = ego.step(guard.filter(&ego, &Around::default(), turn));
    }
    let control = guard.step(0.0, None);
    assert!((control.steering - 0.1).abs() < 1e-9 && control.acceleration < 0.0);
    // The layer is off: what is asked for is passed on, and where nothing is, the layer says what to do.
    let mut off = Guard::new(GuardConfig {
        on: false,
        ..GuardConfig::default()
    });
    assert_eq!(off.filter(&ego, &Around::default(), turn), turn);
    for _ in 0..10 {
        off.step(0.0, None);
    }
    assert!(off.step(0.0, None).acceleration < -3.4 && off.brakes());
    assert_eq!(off.filter(&ego, &Around::default(), turn), turn);
}

#[test]
fn what_may_hide_makes_it_brake_only_where_that_is_asked_for() {
    let ego = EgoState::at(Pose::default(), 10.0);
    let mut around = Around::default();
    // The corner of a van beside the lane, 2 m from the middle of the way.
    around.stand(Vec2::new(14.0, 2.0), 1.5);
    let mut guard = Guard::new(GuardConfig::default());
    guard.filter(&ego, &around, Control::default());
    assert_eq!((guard.brakes(), guard.interventions().hidden), (true, 1));
    let mut around = Around::default();
    around.stand(Vec2::new(14.0, 2.0), 0.0);
    let mut guard = Guard::new(GuardConfig::default());
    guard.filter(&ego, &around, Control::default());
    assert!(!guard.brakes());
}
