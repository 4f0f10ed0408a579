//! The referee on a straight road made by hand: two lanes along x, the left one in the middle at y = 0 and
//! the right one at y = -3.5, from x = -50 to 250. Arc length on the route is x + 50.

use super::*;
use crate::driving::actor::{Car, Pedestrian};
use crate::driving::idm::Idm;
use crate::driving::map::{Layout, LightProgram, MapBuilder, Path};
use crate::driving::scene::{EpisodeId, Occluder, OccluderKind, Scene};
use crate::driving::vehicle::{EgoState, REAR_TO_CENTRE};
use crate::geometry::{Obb, Pose, Tracer, Vec2};
use crate::random::stream;
use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

/// The light that stands at x = 50: green for 10 s, yellow for 3 s, red for 7 s.
const LIGHT: LightProgram = LightProgram {
    cycle: 20.0,
    start: 0.0,
    green: 10.0,
    yellow: 3.0,
};

/// An empty road, the ego's middle at (0, 0), 5 m/s fast; the way goes on to x = 150.
fn empty() -> World {
    let mut build = MapBuilder::new();
    let reference = Tracer::from(Pose::new(-50.0, 1.75, 0.0))
        .straight(300.0)
        .line();
    build.carriageway(&reference, 2, 3.5, 15.0);
    let light = build.light(LIGHT);
    let map = build.finish();
    let paths: Vec<Path> = [0, 1].map(|lane| Path::new(&map, &[lane])).into();
    let mut route = paths[0].clone();
    route.lights = vec![(100.0, light)];
    let layout = Layout {
        map,
        routes: vec![vec![0]],
        stopped: (0, 0),
        paths,
    };
    let scene = Scene {
        episode: EpisodeId {
            family: "straight-0".parse().unwrap(),
            seed: 0,
        },
        layout: Arc::new(layout),
        route,
        start: 50.0,
        goal: 200.0,
        time_limit: 60.0,
        occluders: Vec::new(),
        sun: (0.0, 1.0),
    };
    let world = World {
        scene: Arc::new(scene),
        tick: 0,
        ego: EgoState::default(),
        ego_s: 0.0,
        ego_d: 0.0,
        cars: Vec::new(),
        pedestrians: Vec::new(),
        rng: stream(0, "none", &[]),
    };
    at(&world, 0.0, 0.0)
}

/// The same with the ego's middle elsewhere.
fn at(world: &World, x: f64, y: f64) -> World {
    let mut moved = world.clone();
    moved.ego = EgoState::at(Pose::new(x - REAR_TO_CENTRE, y, 0.0), 5.0);
    moved.ego_s = x + 50.0;
    moved.locate_ego();
    moved
}

fn later(world: &World, seconds: f64) -> World {
    let mut later = world.clone();
    later.tick = (seconds / 0.1).round() as u32;
    later
}

/// A car in a lane, its middle at x.
fn car(lane: usize, x: f64, speed: f64) -> Car {
    Car {
        id: 3,
        path: lane,
        s: x + 50.0,
        d: 0.0,
        drift: 0.0,
        change: None,
        speed,
        acceleration: 0.0,
        idm: Idm::default(),
        length: 4.0,
        width: 1.8,
        height: 1.5,
        stopped: false,
        cuts_in: false,
        brakes: None,
        braking: 0.0,
        away: false,
    }
}

/// Someone who walks to the left along y, and is at this place now.
fn walker(x: f64, y: f64) -> Pedestrian {
    Pedestrian {
        id: 50,
        from: Vec2::new(x, y - 1.0),
        to: Vec2::new(x, y + 9.0),
        walked: 1.0,
        pace: 1.4,
        ego_distance: 0.0,
        at_time: 0.0,
        walking: true,
        waited: 0.0,
    }
}

/// What the referee says of one step, and what has been done wrong.
fn step(before: &World, now: &World) -> (Option<Ending>, Vec<Infraction>) {
    let mut referee = Referee::default();
    let ending = referee.watch(before, now);
    (ending, referee.infractions)
}

#[test]
fn a_red_light_is_run_once_and_only_by_crossing_the_line() {
    // The front is half of 4.5 m before the middle.
    let line = 50.0 - LENGTH / 2.0;
    let (before, behind) = (at(&empty(), line - 0.3, 0.0), at(&empty(), line + 0.3, 0.0));
    let ran = |seconds: f64| {
        let (ending, wrong) = step(&before, &later(&behind, seconds));
        assert_eq!(ending, None);
        wrong
    };
    // Green, yellow, red, and green again.
    assert!(ran(1.0).is_empty());
    assert!(ran(12.9).is_empty());
    assert_eq!(ran(13.0), [Infraction::RedLight]);
    assert_eq!(ran(19.9), [Infraction::RedLight]);
    assert!(ran(20.0).is_empty());
    // Waiting before the line, or having gone over it before, is right.
    let nearer = at(&empty(), line - 0.1, 0.0);
    assert!(step(&before, &later(&nearer, 15.0)).1.is_empty());
    let further = at(&empty(), line + 0.9, 0.0);
    assert!(step(&behind, &later(&further, 15.0)).1.is_empty());
}

#[test]
fn a_departure_from_the_road_counts_once_and_costs_its_share() {
    // The left side of the ego is 0.95 m from its middle, the road ends at y = 1.75.
    let road = empty();
    let mut referee = Referee::default();
    let ways = [0.0, 0.79, 0.81, 1.2, 0.5, 0.9, 0.7];
    let mut before = at(&road, 0.0, ways[0]);
    for (step, y) in ways.into_iter().enumerate().skip(1) {
        let now = at(&before, step as f64, y);
        assert_eq!(referee.watch(&before, &now), None);
        before = now;
    }
    assert_eq!(referee.infractions, [Infraction::OffRoad; 2]);
    let score = referee.finish(Ending::TimeLimit, &before, None);
    // Three of the six steps ended outside.
    let length = |a: f64, b: f64| 1.0_f64.hypot(a - b);
    let outside = length(0.79, 0.81) + length(0.81, 1.2) + length(0.5, 0.9);
    let metres: f64 = ways.windows(2).map(|pair| length(pair[0], pair[1])).sum();
    assert!((score.metres - metres).abs() < 1e-9);
    assert!((score.off_road_share - outside / metres).abs() < 1e-9);
    assert!(!score.success);
    let expected = score.completion * (1.0 - outside / metres);
    assert!((score.driving_score - expected).abs() < 1e-12);
    assert!((score.infractions_per_km() - 2000.0 / metres).abs() < 1e-9);
}

#[test]
fn who_has_no_corner_on_the_road_has_left_it() {
    let road = at(&empty(), 0.0, 0.8);
    // The right side comes off the road where the middle is 0.95 m beyond its edge.
    assert_eq!(step(&road, &at(&road, 0.0, 2.69)).0, None);
    let (ending, wrong) = step(&road, &at(&road, 0.0, 2.71));
    assert_eq!(ending, Some(Ending::LeftRoad));
    assert_eq!(wrong, [Infraction::OffRoad]);
}

#[test]
fn whose_fault_a_collision_is() {
    let road = empty();
    let ends = |world: &World| {
        let (ending, wrong) = step(&road, world);
        match ending {
            Some(Ending::Collision { at_fault }) => (at_fault, wrong),
            other => panic!("{other:?}"),
        }
    };
    let with = |car: Car| World {
        cars: vec![car],
        ..road.clone()
    };
    // The bumpers are 2.25 m ahead of the ego's middle, and 2 m behind the car's.
    assert_eq!(step(&road, &with(car(0, 4.26, 0.0))), (None, vec![]));
    let vehicle = vec![Infraction::VehicleCollision];
    assert_eq!(ends(&with(car(0, 4.2, 0.0))), (true, vehicle.clone()));
    assert_eq!(ends(&with(car(0, 4.2, 4.0))), (true, vehicle.clone()));
    // From behind it is the other's, and nothing was done wrong.
    assert_eq!(ends(&with(car(0, -4.2, 9.0))), (false, vec![]));
    // So it is while the ego stands.
    let mut waits = with(car(0, 4.2, 4.0));
    waits.ego.speed = 0.0;
    assert_eq!(ends(&waits), (false, vec![]));
    // From the side: while the ego is within its lane the other's, between two lanes its own.
    let mut aside = car(0, 0.0, 5.0);
    aside.d = -1.84;
    assert_eq!(ends(&with(aside.clone())), (false, vec![]));
    let between = at(&with(car(1, 0.0, 5.0)), 0.0, -1.75);
    assert_eq!(ends(&between), (true, vehicle));
    // One that is away is not there.
    aside.away = true;
    assert_eq!(step(&road, &with(aside)), (None, vec![]));
}

#[test]
fn what_was_hit_is_named() {
    let road = empty();
    let ends = |world: &World| step(&road, world);
    let at_fault = Some(Ending::Collision { at_fault: true });
    let mut met = road.clone();
    met.pedestrians = vec![walker(2.4, 0.0)];
    let person = vec![Infraction::PedestrianCollision];
    assert_eq!(ends(&met), (at_fault, person));
    met.pedestrians = vec![walker(2.6, 0.0)];
    assert_eq!(ends(&met), (None, vec![]));
    let mut met = road.clone();
    let scene = Arc::make_mut(&mut met.scene);
    scene.occluders = vec![Occluder {
        kind: OccluderKind::Van,
        footprint: Obb::new(Pose::new(3.0, 1.5, FRAC_PI_2), 2.0, 2.0),
        height: 2.6,
        look: 0,
    }];
    assert_eq!(ends(&met), (at_fault, vec![Infraction::StaticCollision]));
    // A collision goes before the goal that was reached with it.
    scene_goal(&mut met, 10.0);
    assert_eq!(ends(&met).0, at_fault);
}

fn scene_goal(world: &mut World, goal: f64) {
    Arc::make_mut(&mut world.scene).goal = goal;
}

#[test]
fn an_episode_ends_at_the_goal_or_when_its_time_is_up() {
    let road = empty();
    let ending = |world: &World| step(&road, world).0;
    assert_eq!(ending(&at(&road, 149.9, 0.0)), None);
    assert_eq!(ending(&at(&road, 150.1, 0.0)), Some(Ending::Goal));
    assert_eq!(ending(&later(&road, 59.9)), None);
    assert_eq!(ending(&later(&road, 60.0)), Some(Ending::TimeLimit));
    // In time is in time.
    let last = later(&at(&road, 150.1, 0.0), 60.0);
    assert_eq!(ending(&last), Some(Ending::Goal));
}

#[test]
fn the_driving_score_is_completion_times_penalties() {
    use Infraction::{PedestrianCollision, RedLight, StaticCollision, VehicleCollision};
    let half = later(&at(&empty(), 75.0, 0.0), 20.0);
    let score = |ending, infractions: &[Infraction]| {
        let referee = Referee {
            infractions: infractions.to_vec(),
            metres: 75.0,
            ..Referee::default()
        };
        let score = referee.finish(ending, &half, None);
        assert_eq!((score.metres, score.seconds), (75.0, 20.0));
        (score.completion, score.success, score.driving_score)
    };
    let near = |found: (f64, bool, f64), expected: (f64, bool, f64)| {
        let [a, b] = [found.0 - expected.0, found.2 - expected.2];
        assert!(
            a.abs() < 1e-9 && b.abs() < 1e-9 && found.1 == expected.1,
            "{found:?}"
        );
    };
    near(score(Ending::Goal, &[]), (1.0, true, 1.0));
    near(score(Ending::TimeLimit, &[]), (0.5, false, 0.5));
    near(score(Ending::LeftRoad, &[]), (0.5, false, 0.5));
    // A red light costs, but the goal is a success all the same.
    near(score(Ending::Goal, &[RedLight]), (1.0, true, 0.7));
    near(
        score(Ending::Goal, &[RedLight, RedLight]),
        (1.0, true, 0.49),
    );
    let crash = Ending::Collision { at_fault: true };
    near(score(crash, &[PedestrianCollision]), (0.5, false, 0.25));
    near(score(crash, &[VehicleCollision]), (0.5, false, 0.3));
    near(score(crash, &[StaticCollision]), (0.5, false, 0.325));
    near(
        score(crash, &[RedLight, VehicleCollision]),
        (0.5, false, 0.21),
    );
    // Whoever was run into has done nothing wrong, but has not arrived.
    let struck = Ending::Collision { at_fault: false };
    near(score(struck, &[]), (0.5, false, 0.5));
    // An infraction a kilometre of one that never moved is a number.
    let still = Referee::default().finish(Ending::TimeLimit, &empty(), None);
    assert_eq!((still.metres, still.infractions_per_km()), (0.0, 0.0));
    assert_eq!(still.off_road_share, 0.0);
}
