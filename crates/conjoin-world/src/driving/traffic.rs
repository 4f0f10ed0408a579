//! One step of everybody but the ego: cars follow, give way, change lanes, cut in and brake; people
//! cross.

use super::actor::{Body, Car, Change, Pedestrian, free_lane};
use super::idm::{Idm, Lead, mobil};
use super::map::Path;
use super::perceive::{Place, Rival, follower, give_way, lead, stop_line};
use super::scene::Scene;
use super::vehicle::{LENGTH, STEP};
use super::world::{EGO, World};
use crate::geometry::Vec2;
use rand::Rng;

/// Seconds of a person's way that drivers keep off.
pub const CLAIM: f64 = 1.5;
/// What is kept before a car that will not move again, m: room to pull out.
pub const BERTH: f64 = 7.0;
/// How far drivers look, m.
const REACH: f64 = 60.0;

/// What drivers see: the ego, all cars, and the ground that people take.
pub fn obstacles(world: &World) -> Vec<Body> {
    let mut bodies = vec![world.ego_body()];
    let cars = world.cars.iter().filter(|car| !car.away);
    bodies.extend(cars.map(|car| car.body(&world.scene.paths()[car.path])));
    bodies.extend(world.pedestrians.iter().filter_map(|p| p.claim(CLAIM)));
    bodies
}

/// The same, but cars that stopped for good are longer by what is kept before them.
fn with_berth(world: &World, mut bodies: Vec<Body>) -> Vec<Body> {
    for body in &mut bodies {
        let stays = |car: &Car| car.stopped && car.id == body.id;
        if world.cars.iter().any(stays) {
            let back = Vec2::unit(body.footprint.pose.heading) * (-BERTH / 2.0);
            body.footprint.pose.at = body.footprint.pose.at + back;
            body.footprint.length += BERTH;
        }
    }
    bodies
}

/// Everybody who may have the right of way; the ego counts as on its route.
pub fn rivals(world: &World) -> Vec<(u32, Rival<'_>)> {
    let ego = Rival {
        path: world.route(),
        s: world.ego_s,
        half_length: LENGTH / 2.0,
        speed: world.ego.speed,
    };
    let cars = world.cars.iter().filter(|car| !car.away).map(|car| {
        let rival = Rival {
            path: &world.scene.paths()[car.path],
            s: car.s,
            half_length: car.length / 2.0,
            speed: car.speed,
        };
        (car.id, rival)
    });
    std::iter::once((EGO, ego)).chain(cars).collect()
}

pub fn step(world: &mut World) {
    let plain = obstacles(world);
    let bodies = with_berth(world, plain.clone());
    let accelerations: Vec<f64> = {
        let rivals = rivals(world);
        world
            .cars
            .iter()
            .map(|car| {
                // Who is pulling out passes close.
                let seen = if car.change.is_some() {
                    &plain
                } else {
                    &bodies
                };
                decide(world, car, seen, &rivals)
            })
            .collect()
    };
    let changes: Vec<Option<(usize, f64, f64, f64)>> = world
        .cars
        .iter()
        .map(|car| change_lane(world, car, &bodies))
        .collect();
    let scene = world.scene.clone();
    let ego = world.ego_body();
    let time = world.time();
    for ((car, acceleration), change) in world.cars.iter_mut().zip(accelerations).zip(changes) {
        if car.stopped || car.away {
            continue;
        }
        if let Some((path, s, from, duration)) = change {
            (car.path, car.s, car.d) = (path, s, from);
            car.change = Some(Change {
                from,
                elapsed: 0.0,
                duration,
            });
            if car.cuts_in {
                car.cuts_in = false;
                car.idm.eagerness *= 0.8;
            }
        }
        car.advance(acceleration);
        brake_before_ego(car, &scene, world.ego_s, time);
    }
    for person in &mut world.pedestrians {
        person.advance(time, ego.footprint.pose.at, &bodies);
    }
    renew(world);
}

/// The car's acceleration, m/s².
fn decide(world: &World, car: &Car, bodies: &[Body], rivals: &[(u32, Rival)]) -> f64 {
    if car.stopped || car.away {
        return 0.0;
    }
    let path = &world.scene.paths()[car.path];
    let half = car.width / 2.0 + 0.25;
    let place = Place {
        path,
        s: car.s,
        // While it changes lanes, part of the old lane still matters.
        corridor: ((0.4 * car.d).min(0.0) - half, (0.4 * car.d).max(0.0) + half),
        half_length: car.length / 2.0,
        speed: car.speed,
    };
    let others = bodies.iter().filter(|body| body.id != car.id);
    let mut ahead = lead(&place, others, REACH);
    let theirs: Vec<Rival> = if path.yields.is_empty() {
        Vec::new()
    } else {
        let others = rivals.iter().filter(|(id, _)| *id != car.id);
        others.map(|&(_, rival)| rival).collect()
    };
    let map = world.map();
    let stops = [
        stop_line(&place, map, world.time()),
        give_way(&place, map, world.time(), &theirs),
    ];
    for stop in stops.into_iter().flatten() {
        ahead = Some(stop.nearer(ahead));
    }
    let allowed = path.speed_at(car.s, 1.5);
    let wanted = car.idm.accelerate(car.speed, allowed, ahead);
    match car.brakes {
        Some((hard, _)) if car.braking > 0.0 => wanted.min(-hard),
        _ => wanted,
    }
}

/// Starts a hard braking once the car is ahead of the ego on its route.
fn brake_before_ego(car: &mut Car, scene: &Scene, ego_s: f64, time: f64) {
    let Some((_, seconds)) = car.brakes else {
        return;
    };
    if car.braking > 0.0 {
        car.braking -= STEP;
        if car.braking <= 0.0 {
            car.brakes = None;
        }
        return;
    }
    if time <= 2.0 || car.speed <= 4.0 {
        return;
    }
    let at = car.pose(&scene.paths()[car.path]).at;
    let on = scene.route.line.project_between(at, ego_s, ego_s + 40.0);
    let gap = on.s - ego_s;
    if on.d.abs() < 1.0 && (8.0..30.0).contains(&gap) {
        car.braking = seconds;
    }
}

/// Whether the car changes lanes now: the new path, its place on it, the offset and the duration.
fn change_lane(world: &World, car: &Car, bodies: &[Body]) -> Option<(usize, f64, f64, f64)> {
    // Everybody considers it once a second, cars that cut in at every step.
    let due = (world.tick + car.id * 3).is_multiple_of(10) || car.cuts_in;
    if car.stopped || car.away || !due {
        return None;
    }
    let scene = &world.scene;
    let own = &scene.paths()[car.path];
    let lane = free_lane(car, own, scene.map())?;
    let pose = car.pose(own);
    let neighbours = [scene.map().lanes[lane].left, scene.map().lanes[lane].right];
    for neighbour in neighbours.into_iter().flatten() {
        // The first of the ways that take the neighbouring lane.
        let Some(target) = scene
            .paths()
            .iter()
            .position(|p| p.start_of(neighbour).is_some())
        else {
            continue;
        };
        let path = &scene.paths()[target];
        let on = path.line.project(pose.at);
        if path.lane_at(on.s).0 != neighbour {
            continue;
        }
        let at = |path, s| Place {
            path,
            s,
            corridor: (-car.width / 2.0 - 0.3, car.width / 2.0 + 0.3),
            half_length: car.length / 2.0,
            speed: car.speed,
        };
        let others = || bodies.iter().filter(|body| body.id != car.id);
        let ahead = lead(&at(path, on.s), others(), REACH);
        let behind = follower(&at(path, on.s), others(), 40.0);
        if cuts_in(world, car, neighbour, on.s, path, ahead) {
            return Some((target, on.s, on.d, 2.2));
        }
        if car.cuts_in || behind.is_some_and(|b| b.gap < 2.0) || ahead.is_some_and(|l| l.gap < 4.0)
        {
            continue;
        }
        let accelerate =
            |path: &Path, s, ahead| car.idm.accelerate(car.speed, path.speed_at(s, 1.5), ahead);
        let held = lead(&at(own, car.s), others(), REACH);
        // There must be room to pull out behind whoever is ahead.
        let closing = |l: Lead| (car.speed - l.speed).max(0.0) * 2.6;
        if held.is_some_and(|l| {
            l.speed > 0.1 && l.gap < closing(l) + 4.0 || l.gap + BERTH < closing(l)
        }) {
            continue;
        }
        let now = accelerate(own, car.s, held);
        let then = accelerate(path, on.s, ahead);
        let theirs = behind.map_or((0.0, 0.0), |behind| {
            let idm = Idm::default();
            let own = Lead {
                gap: behind.gap,
                speed: car.speed,
            };
            let beyond = ahead.map(|lead| Lead {
                gap: lead.gap + behind.gap + car.length,
                speed: lead.speed,
            });
            let allowed = path.speed_at(on.s, 1.5);
            (
                idm.accelerate(behind.speed, allowed, beyond),
                idm.accelerate(behind.speed, allowed, Some(own)),
            )
        });
        // Who stands behind something that stays is let in.
        let stuck = car.speed < 1.0 && held.is_some_and(|l| l.speed < 0.1);
        let let_in = stuck && theirs.1 > -4.0 && then > now + 0.3;
        if mobil((now, then), theirs) || let_in {
            return Some((target, on.s, on.d, 3.0));
        }
    }
    None
}

/// Whether a car that cuts in has the ego where it wants it.
fn cuts_in(
    world: &World,
    car: &Car,
    lane: usize,
    s: f64,
    path: &Path,
    ahead: Option<Lead>,
) -> bool {
    let Some(start) = world.route().start_of(lane).filter(|_| car.cuts_in) else {
        return false;
    };
    let on_route = start + s - path.start_of(lane).unwrap_or(0.0);
    let gap = on_route - world.ego_s - f64::midpoint(car.length, LENGTH);
    let room = ahead.is_none_or(|lead| lead.gap > 6.0);
    (5.0..12.0).contains(&gap) && room && car.speed > world.ego.speed - 1.5 && world.ego.speed > 3.0
}

/// Cars that left the world come back at the start of a way where nobody is.
fn renew(world: &mut World) {
    let scene = world.scene.clone();
    for i in 0..world.cars.len() {
        let car = &world.cars[i];
        if !car.away && car.s + 1.0 < scene.paths()[car.path].line.length() {
            continue;
        }
        let fresh = world.rng.random_range(0..scene.paths().len());
        let car = &mut world.cars[i];
        car.away = true;
        let start = scene.paths()[fresh].line.at(3.0).at;
        let near = |at: Vec2| (at - start).squared() < 25.0 * 25.0;
        let bodies = world.actors();
        if near(world.ego.pose.at) || bodies.iter().any(|body| near(body.footprint.pose.at)) {
            continue;
        }
        let number = world.cars.iter().map(|car| car.id).max().unwrap_or(0) + 1;
        let car = &mut world.cars[i];
        // A new number: to everybody else it is another car.
        car.id = number.max(Scene::FIRST_RENEWED);
        (car.path, car.s, car.d, car.change) = (fresh, 3.0, 0.0, None);
        car.speed = scene.paths()[fresh].speed_at(3.0, 1.5) * 0.8;
        car.away = false;
    }
}

/// People who are on the road or about to be.
pub fn walkers(world: &World) -> impl Iterator<Item = &Pedestrian> {
    world.pedestrians.iter().filter(|p| p.walking)
}
