//! What an episode begins with: its family's roads, a route, traffic, people and what hides them.
//! Every draw comes from a stream named by what it is for.

use super::actor::{ActorKind, Body, Car, Pedestrian};
use super::idm::Idm;
use super::map::{Family, Layout, Path, RoadMap, layout};
use super::vehicle::{EgoState, LENGTH, REAR_TO_CENTRE, WIDTH};
use super::world::World;
use crate::geometry::{Obb, Pose, Vec2};
use crate::random::{WorldRng, stream};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::sync::Arc;

/// An episode's name: the same one is always the same episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EpisodeId {
    pub family: Family,
    pub seed: u64,
}

/// What hides others from the cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OccluderKind {
    Building,
    Van,
    Hedge,
}

/// Something that stands beside the road.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Occluder {
    pub kind: OccluderKind,
    pub footprint: Obb,
    /// Metres.
    pub height: f64,
    /// Picks its colour and texture.
    pub look: u32,
}

/// What stays the same over an episode.
#[derive(Debug, Clone)]
pub struct Scene {
    pub episode: EpisodeId,
    /// The family's roads, and every way that cars drive on them.
    pub layout: Arc<Layout>,
    /// The ego's way; it starts and has arrived at these arc lengths.
    pub route: Path,
    pub start: f64,
    pub goal: f64,
    /// Seconds after which the episode is over.
    pub time_limit: f64,
    pub occluders: Vec<Occluder>,
    /// Direction from which the sun shines, and its height over the horizon, radians.
    pub sun: (f64, f64),
}

impl Scene {
    pub fn map(&self) -> &RoadMap {
        &self.layout.map
    }

    /// Every way that cars drive.
    pub fn paths(&self) -> &[Path] {
        &self.layout.paths
    }

    /// Numbers of cars that entered later begin here.
    pub const FIRST_RENEWED: u32 = 100;
    /// Numbers of what never moves begin here.
    pub const FIRST_STATIC: u32 = 10_000;

    pub fn statics(&self) -> impl Iterator<Item = Body> + '_ {
        self.occluders
            .iter()
            .zip(Self::FIRST_STATIC..)
            .map(|(o, id)| Body {
                id,
                kind: ActorKind::Static,
                footprint: o.footprint,
                velocity: Vec2::default(),
                height: o.height,
            })
    }
}

/// The world of an episode at its start.
pub fn begin(episode: EpisodeId) -> World {
    let layout = layout(episode.family);
    let draw = |purpose: &str| {
        let family = episode.family;
        stream(
            episode.seed,
            purpose,
            &[family.kind as u64, u64::from(family.variant)],
        )
    };
    let mut rng = draw("route");
    let way = &layout.routes[rng.random_range(0..layout.routes.len())];
    let route = Path::new(&layout.map, way);
    let start = rng.random_range(14.0..24.0);
    let goal = (route.line.length() - 8.0).min(start + 170.0);
    let sun = (rng.random_range(-PI..PI), rng.random_range(0.35..1.3));
    let pose = route.line.at(start - REAR_TO_CENTRE);
    let ego = EgoState::at(
        pose,
        route.speed_at(start, 1.5) * rng.random_range(0.5..0.8),
    );
    let time_limit = 30.0 + (goal - start) / 4.0;
    let pedestrians = people(&layout.map, &route, start, &mut draw("pedestrians"));
    let occluders = occluders(&layout.map, &pedestrians, &mut draw("occluders"));
    let scene = Scene {
        episode,
        layout: layout.clone(),
        route,
        start,
        goal,
        time_limit,
        occluders,
        sun,
    };
    let cars = traffic(&scene, &layout, &ego, &mut draw("traffic"));
    let mut world = World {
        scene: Arc::new(scene),
        tick: 0,
        ego,
        ego_s: start,
        ego_d: 0.0,
        cars,
        pedestrians,
        rng: draw("renewal"),
    };
    world.locate_ego();
    world
}

fn car(id: u32, path: usize, s: f64, rng: &mut WorldRng) -> Car {
    let tall = rng.random_bool(0.2);
    Car {
        id,
        path,
        s,
        d: 0.0,
        drift: 0.0,
        change: None,
        speed: 0.0,
        acceleration: 0.0,
        idm: Idm {
            eagerness: rng.random_range(0.75..1.05),
            headway: rng.random_range(0.9..1.6),
            gap: rng.random_range(1.6..2.6),
            acceleration: rng.random_range(1.1..2.0),
            braking: rng.random_range(2.0..3.0),
        },
        length: rng.random_range(3.9..4.9) + if tall { 1.0 } else { 0.0 },
        width: rng.random_range(1.75..2.0),
        height: if tall { 2.2 } else { 1.5 },
        stopped: false,
        cuts_in: false,
        brakes: None,
        braking: 0.0,
        away: false,
    }
}

/// Six to twelve moving cars and the stopped ones.
fn traffic(scene: &Scene, layout: &Layout, ego: &EgoState, rng: &mut WorldRng) -> Vec<Car> {
    let moving = rng.random_range(6..=12);
    let stopped = rng.random_range(layout.stopped.0..=layout.stopped.1);
    let mut cars: Vec<Car> = Vec::new();
    let ego_box = ego.footprint();
    let zone = Obb::new(ego_box.pose, LENGTH + 16.0, WIDTH);
    let taken = |cars: &[Car], candidate: &Car| {
        let own = candidate.body(&scene.paths()[candidate.path]).footprint;
        let room = Obb::new(own.pose, own.length + 10.0, own.width + 0.3);
        zone.intersects(&room)
            || cars
                .iter()
                .any(|c| c.body(&scene.paths()[c.path]).footprint.intersects(&room))
    };
    // A lane that something stopped on must have another beside it.
    let avoidable: Vec<usize> = (0..scene.paths().len())
        .filter(|&p| {
            let lane = &scene.map().lanes[scene.paths()[p].lanes[0]];
            lane.left.is_some() || lane.right.is_some()
        })
        .collect();
    let mut last_stop = scene.start + 25.0;
    for _ in 0..stopped {
        if avoidable.is_empty() {
            break;
        }
        // Most stand in the ego's own lane, each well behind the one before.
        let own = scene
            .paths()
            .iter()
            .position(|p| p.lanes == scene.route.lanes);
        let path = match own {
            Some(own) if rng.random_bool(0.6) => own,
            _ => avoidable[rng.random_range(0..avoidable.len())],
        };
        let s = last_stop + rng.random_range(22.0..45.0);
        let mut made = car(1 + cars.len() as u32, path, s, rng);
        made.stopped = true;
        made.d = rng.random_range(-1.1..0.2);
        if s < scene.paths()[path].line.length() - 30.0 && !taken(&cars, &made) {
            last_stop = s;
            cars.push(made);
        }
    }
    let count = cars.len() + moving;
    for attempt in 0..400 {
        if cars.len() >= count {
            break;
        }
        // The first ones are placed around the ego, the others anywhere.
        let near = attempt < 6;
        let path = rng.random_range(0..scene.paths().len());
        let line = &scene.paths()[path].line;
        let s = if near {
            line.project(ego_box.pose.at).s + rng.random_range(-25.0..45.0)
        } else {
            rng.random_range(2.0..line.length() - 4.0)
        };
        if s < 2.0 || s > line.length() - 4.0 {
            continue;
        }
        let mut made = car(1 + cars.len() as u32, path, s, rng);
        made.cuts_in = rng.random_bool(0.35);
        if rng.random_bool(0.3) {
            made.brakes = Some((rng.random_range(3.5..6.0), rng.random_range(1.0..2.2)));
        }
        made.speed = scene.paths()[path].speed_at(s, 1.5) * rng.random_range(0.5..0.85);
        if !taken(&cars, &made) {
            cars.push(made);
        }
    }
    cars
}

/// One to three people; most set out when the ego comes near.
fn people(map: &RoadMap, route: &Path, start: f64, rng: &mut WorldRng) -> Vec<Pedestrian> {
    if map.crossings.is_empty() {
        return Vec::new();
    }
    let count = rng.random_range(1..=3);
    let mut found = Vec::new();
    for i in 0..count {
        let crossing = map.crossings[rng.random_range(0..map.crossings.len())];
        let along = Vec2::unit((crossing.to - crossing.from).heading()).left();
        let aside = along * rng.random_range(-0.5..0.5) * crossing.width;
        let (from, to) = if rng.random_bool(0.5) {
            (crossing.from, crossing.to)
        } else {
            (crossing.to, crossing.from)
        };
        let middle = crossing.from.lerp(crossing.to, 0.5);
        // Whoever waits on the ego must be met well after its start.
        let met = route.line.project(middle).s > start + 20.0;
        found.push(Pedestrian {
            id: 50 + i,
            from: from + aside,
            to: to + aside,
            walked: 0.0,
            pace: rng.random_range(1.0..1.8),
            ego_distance: if met {
                rng.random_range(24.0..36.0)
            } else {
                0.0
            },
            at_time: rng.random_range(2.0..25.0),
            walking: false,
            waited: 0.0,
        });
    }
    found
}

/// Buildings, hedges and parked vans along the roads, none of them on a lane or in a person's way.
fn occluders(map: &RoadMap, people: &[Pedestrian], rng: &mut WorldRng) -> Vec<Occluder> {
    let mut found: Vec<Occluder> = Vec::new();
    let outer = map
        .lanes
        .iter()
        .filter(|lane| lane.right.is_none() && !lane.connector);
    for lane in outer {
        let mut s = rng.random_range(2.0..10.0);
        while s < lane.centre.length() - 4.0 {
            let edge = -lane.width / 2.0;
            let kind = match rng.random_range(0..10) {
                0..3 => OccluderKind::Van,
                3..6 => OccluderKind::Hedge,
                _ => OccluderKind::Building,
            };
            let (length, width, height, away) = match kind {
                OccluderKind::Van => (5.6, 2.1, 2.6, 0.7),
                OccluderKind::Hedge => (rng.random_range(5.0..12.0), 0.9, 1.4, 3.2),
                OccluderKind::Building => (
                    rng.random_range(9.0..16.0),
                    rng.random_range(7.0..11.0),
                    rng.random_range(4.0..11.0),
                    rng.random_range(4.5..9.0),
                ),
            };
            let pose: Pose = lane
                .centre
                .beside(s + length / 2.0, edge - away - width / 2.0);
            let footprint = Obb::new(pose, length, width);
            let clear = !map.blocks_lane(&footprint, 0.3)
                && !found
                    .iter()
                    .any(|o| o.footprint.inflated(0.4).intersects(&footprint))
                && !people.iter().any(|person| {
                    (0..=20).any(|k| {
                        let point = person.from.lerp(person.to, f64::from(k) / 20.0);
                        footprint.distance(point) < 0.7
                    })
                });
            if clear {
                found.push(Occluder {
                    kind,
                    footprint,
                    height,
                    look: rng.random(),
                });
            }
            s += length + rng.random_range(1.5..14.0);
        }
    }
    found
}
