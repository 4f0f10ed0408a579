//! What can be seen from the vehicle: rays from its cameras' place over the ground plan.
//!
//! Everything hides what is behind it, whatever its height.

use super::around::Around;
use crate::driving::actor::{ActorKind, Body};
use crate::driving::world::World;
use crate::geometry::{Obb, Vec2};

/// How far is seen, m.
const RANGE: f64 = 60.0;
/// Where rays begin, ahead of the rear axle, m.
const EYE: f64 = 1.5;
/// Rays, one a degree; the three cameras together see 95 degrees to either side.
const RAYS: usize = 191;
/// Neighbouring rays whose lengths differ by more than this have an edge between them, m.
const JUMP: f64 = 3.0;

fn angle(ray: usize) -> f64 {
    (ray as f64 - (RAYS / 2) as f64).to_radians()
}

/// The rays' nearest hits: the distance, and whose.
struct Hits([(f64, Option<usize>); RAYS]);

impl Hits {
    fn point(&self, ray: usize) -> Vec2 {
        Vec2::new(EYE, 0.0) + Vec2::unit(angle(ray)) * self.0[ray].0
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
    let mut around = Around::default();
    for (index, (body, footprint)) in bodies.iter().zip(&boxes).enumerate() {
        let seen = hits.0.iter().any(|hit| hit.1 == Some(index));
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
        if (here - there).abs() > JUMP && stands(nearer).is_some() {
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
        for ray in first..=last {
            if let Some(way) = meet(footprint, eye, Vec2::unit(angle(ray)))
                && way < hits.0[ray].0
            {
                hits.0[ray] = (way, Some(index));
            }
        }
    }
    hits
}

/// The way along a ray to a box (slabs).
fn meet(footprint: &Obb, from: Vec2, direction: Vec2) -> Option<f64> {
    let forward = Vec2::unit(footprint.pose.heading);
    let away = from - footprint.pose.at;
    let (mut enter, mut leave) = (0.0_f64, f64::INFINITY);
    for (at, way, half) in [
        (
            forward.dot(away),
            forward.dot(direction),
            footprint.length / 2.0,
        ),
        (
            forward.cross(away),
            forward.cross(direction),
            footprint.width / 2.0,
        ),
    ] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Pose;

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
}
