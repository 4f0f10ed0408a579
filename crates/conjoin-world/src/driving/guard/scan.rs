//! What can be seen from the vehicle: rays from its cameras' place over the ground plan.
//!
//! Everything hides what is behind it, whatever its height.

use super::around::Around;
use crate::driving::actor::{ActorKind, Body};
use crate::driving::world::World;
use crate::geometry::{Obb, Vec2};
use std::sync::OnceLock;

/// How far is seen, m.
const RANGE: f64 = 60.0;
/// Where rays begin, ahead of the rear axle, m.
const EYE: f64 = 1.5;
/// Rays, one a degree; the three cameras together see 95 degrees to either side.
const RAYS: usize = 191;
/// Neighbouring rays whose lengths differ by more than this have an edge between them, m.
const JUMP: f64 = 3.0;

/// The unit vector of each ray.
fn directions() -> &'static [Vec2; RAYS] {
    static DIRECTIONS: OnceLock<[Vec2; RAYS]> = OnceLock::new();
    let direction = |ray: usize| Vec2::unit((ray as f64 - (RAYS / 2) as f64).to_radians());
    DIRECTIONS.get_or_init(|| std::array::from_fn(direction))
}

/// The rays' nearest hits: the distance, and whose.
struct Hits([(f64, Option<usize>); RAYS]);

impl Hits {
    fn point(&self, ray: usize) -> Vec2 {
        Vec2::new(EYE, 0.0) + directions()[ray] * self.0[ray].0
    }
}

/// What the ego sees of the true world: actors that a ray reaches, the surfaces of what never moves, and
/// the edges behind which something may hide that comes out at `hidden` m/s (none for 0).
pub fn scan(world: &World, hidden: f64) -> Around {
    let ego = world.ego.pose;
    let near = |body: &Body| (body.footprint.pose.at - ego.at).squared() < RANGE * RANGE;
    let bodies: Vec<Body> = world
        .actors()
        .into_iter()
        .chain(world.scene.statics())
        .filter(near)
        .collect();
    let boxes: Vec<Obb> = bodies
        .iter()
        .map(|body| Obb {
            pose: ego.pose_to_local(body.footprint.pose),
            ..body.footprint
        })
        .collect();
    let hits = cast(&boxes);
    let mut seen = vec![false; bodies.len()];
    for index in hits.0.iter().filter_map(|hit| hit.1) {
        seen[index] = true;
    }
    let mut around = Around::default();
    for ((body, footprint), seen) in bodies.iter().zip(&boxes).zip(seen) {
        if seen && body.kind != ActorKind::Static {
            let forward = Vec2::unit(ego.heading);
            let (along, across) = (forward.dot(body.velocity), forward.cross(body.velocity));
            let wheels = body.kind == ActorKind::Vehicle;
            around.add(*footprint, Vec2::new(along, across), wheels);
        }
    }
    let stands = |ray: usize| {
        let body = hits.0[ray].1.map(|index| &bodies[index]);
        body.filter(|body| body.speed() < 0.1)
    };
    for ray in 0..RAYS {
        if stands(ray).is_some_and(|body| body.kind == ActorKind::Static) {
            around.stand(hits.point(ray), 0.0);
        }
        let next = ray + 1;
        if hidden <= 0.0 || next == RAYS {
            continue;
        }
        let (here, there) = (hits.0[ray].0, hits.0[next].0);
        let nearer = if here < there { ray } else { next };
        // A person is too narrow to hide anybody for long.
        let hides = stands(nearer).is_some_and(|body| body.kind != ActorKind::Pedestrian);
        if (here - there).abs() > JUMP && hides {
            around.stand(hits.point(nearer), hidden);
        }
    }
    around
}

fn cast(boxes: &[Obb]) -> Hits {
    let eye = Vec2::new(EYE, 0.0);
    let mut hits = Hits([(RANGE, None); RAYS]);
    for (index, footprint) in boxes.iter().enumerate() {
        let angles = footprint.corners().map(|corner| (corner - eye).heading());
        let least = angles.iter().copied().fold(f64::INFINITY, f64::min);
        let most = angles.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ray = |angle: f64| angle.to_degrees() + (RAYS / 2) as f64;
        // A box across the way back, where angles jump, is asked for by every ray.
        let (first, last) = if most - least > std::f64::consts::PI {
            (0, RAYS - 1)
        } else {
            let last = ray(most).floor();
            if last < 0.0 {
                continue;
            }
            (
                ray(least).ceil().max(0.0) as usize,
                (last as usize).min(RAYS - 1),
            )
        };
        if first > last {
            continue;
        }
        let shape = Shape::new(footprint, eye);
        for (hit, &direction) in hits.0[first..=last]
            .iter_mut()
            .zip(&directions()[first..=last])
        {
            if let Some(way) = shape.meet(direction)
                && way < hit.0
            {
                *hit = (way, Some(index));
            }
        }
    }
    hits
}

/// A box as it lies before the place where rays begin.
struct Shape {
    forward: Vec2,
    /// Where rays begin, in the axes of the box from its middle.
    from: [f64; 2],
    half: [f64; 2],
}

impl Shape {
    fn new(footprint: &Obb, eye: Vec2) -> Self {
        let forward = Vec2::unit(footprint.pose.heading);
        let away = eye - footprint.pose.at;
        Self {
            forward,
            from: [forward.dot(away), forward.cross(away)],
            half: [footprint.length / 2.0, footprint.width / 2.0],
        }
    }

    /// The way along a ray to the box (slabs).
    fn meet(&self, direction: Vec2) -> Option<f64> {
        let ways = [self.forward.dot(direction), self.forward.cross(direction)];
        let (mut enter, mut leave) = (0.0_f64, f64::INFINITY);
        for ((way, at), half) in ways.into_iter().zip(self.from).zip(self.half) {
            if way.abs() < 1e-9 {
                if at.abs() > half {
                    return None;
                }
                continue;
            }
            let (a, b) = ((-half - at) / way, (half - at) / way);
            enter = enter.max(a.min(b));
            leave = leave.min(a.max(b));
        }
        (enter <= leave).then_some(enter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::scene::{EpisodeId, Occluder, OccluderKind, begin};
    use crate::geometry::Pose;
    use rand::Rng;
    use std::sync::Arc;

    #[test]
    fn a_wall_hides_what_is_behind_it() {
        let wall = Obb::new(Pose::new(11.5, 0.0, 0.0), 1.0, 6.0);
        let hidden = Obb::new(Pose::new(21.5, 0.5, 0.3), 4.5, 1.9);
        let beside = Obb::new(Pose::new(21.5, 12.0, 0.0), 4.5, 1.9);
        let hits = cast(&[hidden, wall, beside]);
        let seen = |index| hits.0.iter().filter(|hit| hit.1 == Some(index)).count();
        assert_eq!(seen(0), 0);
        // The near face is 6 m wide at 9.5 m: atan(3 / 9.5) to either side is 17.5 degrees.
        assert_eq!(seen(1), 35);
        assert!(seen(2) > 5);
        assert!((hits.0[RAYS / 2].0 - 9.5).abs() < 1e-9);
        assert!((hits.point(RAYS / 2) - Vec2::new(11.0, 0.0)).length() < 1e-9);
        // To the left of straight ahead angles are positive.
        assert_eq!(hits.0[RAYS / 2 + 28].1, Some(2));
    }

    #[test]
    fn what_is_behind_is_not_seen() {
        let behind = Obb::new(Pose::new(-8.0, 0.0, 0.0), 4.5, 1.9);
        assert!(cast(&[behind]).0.iter().all(|hit| hit.1.is_none()));
    }

    /// A world with nothing around but one box that never moves, and one car.
    fn with_van(van: Obb) -> World {
        let mut world = begin(EpisodeId {
            family: "straight-0".parse().unwrap(),
            seed: 2,
        });
        world.pedestrians.clear();
        world.cars.truncate(1);
        world.cars[0].away = true;
        let scene = Arc::make_mut(&mut world.scene);
        scene.occluders = vec![Occluder {
            kind: OccluderKind::Van,
            footprint: Obb {
                pose: world.ego.pose.pose_to_world(van.pose),
                ..van
            },
            height: 2.6,
            look: 0,
        }];
        world
    }

    fn edges(around: &Around) -> Vec<[f64; 2]> {
        let comes = around.occlusions.iter().filter(|edge| edge.speed > 0.0);
        comes.map(|edge| edge.position).collect()
    }

    #[test]
    fn something_may_come_out_at_both_ends_of_what_stands() {
        // From x = 10 to 15 m, from y = 2 to 4 m.
        let world = with_van(Obb::new(Pose::new(12.5, 3.0, 0.0), 5.0, 2.0));
        assert!(edges(&scan(&world, 0.0)).is_empty());
        let around = scan(&world, 1.4);
        assert!(
            around
                .occlusions
                .iter()
                .all(|e| [0.0, 1.4].contains(&e.speed))
        );
        let found = edges(&around);
        let [right, left] = found[..] else {
            panic!("{found:?}");
        };
        // The rays that just meet it: at the rear corner on its far side, at the front one on its near side.
        assert!(
            (left[0] - 10.0).abs() < 1e-6 && (3.7..4.0).contains(&left[1]),
            "{left:?}"
        );
        assert!(
            (right[1] - 2.0).abs() < 1e-6 && (13.5..15.0).contains(&right[0]),
            "{right:?}"
        );
        // Its surface stands, whatever hides behind it.
        let surface = |around: &Around| around.occlusions.iter().filter(|e| e.speed == 0.0).count();
        assert_eq!(surface(&around), surface(&scan(&world, 0.0)));
    }

    #[test]
    fn who_drives_hides_nobody_and_who_stands_does() {
        let mut world = with_van(Obb::new(Pose::new(-30.0, 30.0, 0.0), 5.0, 2.0));
        let own = world
            .scene
            .paths()
            .iter()
            .position(|p| p.lanes == world.route().lanes);
        let car = &mut world.cars[0];
        (car.away, car.change, car.drift, car.d) = (false, None, 0.0, 3.0);
        (car.path, car.s, car.speed) = (own.unwrap(), world.ego_s + 15.0, 5.0);
        assert!(edges(&scan(&world, 1.4)).is_empty());
        world.cars[0].speed = 0.0;
        assert_eq!(edges(&scan(&world, 1.4)).len(), 2);
    }

    #[test]
    fn rays_meet_what_every_ray_finds_alone() {
        // The same by looking at every box along every ray, in small steps.
        let mut rng = crate::random::stream(5, "boxes", &[]);
        for _ in 0..15 {
            let boxes: Vec<Obb> = (0..rng.random_range(1..12))
                .map(|_| {
                    let [x, y] = [rng.random_range(-20.0..60.0), rng.random_range(-25.0..25.0)];
                    let pose = Pose::new(x, y, rng.random_range(-3.1..3.1));
                    Obb::new(
                        pose,
                        rng.random_range(0.5..12.0),
                        rng.random_range(0.5..8.0),
                    )
                })
                .filter(|b| b.distance(Vec2::new(EYE, 0.0)) > 0.1)
                .collect();
            let hits = cast(&boxes);
            for (ray, direction) in directions().iter().enumerate() {
                let at = |step: usize| Vec2::new(EYE, 0.0) + *direction * (step as f64 * 0.05);
                let whose = |step: usize| boxes.iter().position(|b| b.distance(at(step)) == 0.0);
                let first =
                    (0..(RANGE / 0.05) as usize).find_map(|step| Some((step, whose(step)?)));
                let (way, index) = hits.0[ray];
                match first {
                    // A corner may lie between two steps, and two boxes within one.
                    Some((step, _)) => {
                        let walked = step as f64 * 0.05;
                        assert!(way <= walked + 1e-6, "{ray}: {way} {walked}");
                        let touched = at(step) - *direction * (walked - way);
                        let own = boxes[index.unwrap()].distance(touched);
                        assert!(own < 1e-6, "{ray}: {own}");
                    }
                    None => assert!(index.is_none_or(|i| {
                        let middle = Vec2::new(EYE, 0.0) + *direction * way;
                        boxes[i].distance(middle) < 1e-6
                    })),
                }
            }
        }
    }
}
