//! The families' roads. Traffic keeps to the right; each layout says which ways the ego may be given.

use super::family::PerFamily;
use super::{Family, LaneId, LayoutKind, LightProgram, MapBuilder, Marking, Path, RoadMap};
use crate::geometry::{Pose, Tracer, Vec2};
use std::f64::consts::{FRAC_PI_2, PI, TAU};
use std::sync::Arc;

/// A family's map with the ways that are driven on it.
#[derive(Debug)]
pub struct Layout {
    pub map: RoadMap,
    /// Ways of the ego, by lanes.
    pub routes: Vec<Vec<LaneId>>,
    /// Stopped cars an episode has, at least and at most.
    pub stopped: (usize, usize),
    /// Every way that cars drive.
    pub paths: Vec<Path>,
}

impl Layout {
    fn new(map: RoadMap, routes: Vec<Vec<LaneId>>, stopped: (usize, usize)) -> Self {
        let paths = map.ways().iter().map(|way| Path::new(&map, way)).collect();
        Self {
            map,
            routes,
            stopped,
            paths,
        }
    }
}

/// A family's map, which is drawn once.
pub fn layout(family: Family) -> Arc<Layout> {
    static DRAWN: PerFamily<Layout> = PerFamily::new();
    let variant = family.variant;
    DRAWN.get(family, || match family.kind {
        LayoutKind::Straight => straight(variant),
        LayoutKind::Curve => curve(variant),
        LayoutKind::Merge => merge(variant),
        LayoutKind::Roundabout => roundabout(variant),
        LayoutKind::Junction => junction(variant),
    })
}

fn straight(variant: u8) -> Layout {
    let (count, width, limit) = match variant {
        0 => ((2, 2), 3.5, 11.0),
        1 => ((2, 1), 3.3, 9.0),
        2 => ((3, 0), 3.5, 12.0),
        _ => ((3, 2), 3.2, 10.0),
    };
    let reference = Tracer::from(Pose::new(-40.0, 0.0, 0.0))
        .straight(250.0)
        .line();
    let mut build = MapBuilder::new();
    let (forth, _) = build.road(&reference, count, width, limit);
    let (left, right) = (count.1 as f64 * width + 1.5, count.0 as f64 * width + 1.5);
    build.crossing(reference.at(105.0), left, right, true);
    build.crossing(reference.at(160.0), left, right, false);
    let routes = forth.into_iter().map(|lane| vec![lane]).collect();
    Layout::new(build.finish(), routes, (2, 4))
}

fn curve(variant: u8) -> Layout {
    let pen = Tracer::from(Pose::new(-50.0, 0.0, 0.0)).straight(80.0);
    let (pen, count) = match variant {
        0 => (pen.arc(40.0, FRAC_PI_2).straight(80.0), (2, 1)),
        1 => (pen.arc(32.0, -FRAC_PI_2).straight(90.0), (2, 1)),
        2 => (pen.arc(60.0, 2.0).straight(50.0), (1, 1)),
        _ => (
            pen.arc(30.0, 1.2)
                .straight(15.0)
                .arc(26.0, -1.4)
                .straight(60.0),
            (2, 1),
        ),
    };
    let reference = pen.line();
    let mut build = MapBuilder::new();
    let (forth, _) = build.road(&reference, count, 3.5, 11.0);
    let (left, right) = (count.1 as f64 * 3.5 + 1.5, count.0 as f64 * 3.5 + 1.5);
    build.crossing(reference.at(reference.length() - 60.0), left, right, true);
    let routes = forth.into_iter().map(|lane| vec![lane]).collect();
    Layout::new(build.finish(), routes, (0, 1))
}

/// A ramp that ends in the nearest lane of a main road.
fn merge(variant: u8) -> Layout {
    let (count, side, angle, bend): (usize, f64, f64, f64) = match variant {
        0 => (2, -1.0, 0.35, 0.0),
        1 => (2, 1.0, 0.30, 0.0),
        2 => (1, -1.0, 0.45, 0.0),
        _ => (2, -1.0, 0.5, 0.25),
    };
    let (width, limit) = (3.5, 12.0);
    let mut build = MapBuilder::new();
    let before = Tracer::from(Pose::new(-60.0, 0.0, -bend)).straight(60.0);
    let before = if bend > 0.0 {
        before.arc(120.0, bend)
    } else {
        before.straight(30.0)
    };
    let meet = before.pose();
    let first = build.carriageway(&before.line(), count, width, limit);
    let middle = Tracer::from(meet).straight(30.0);
    let onward = middle.pose();
    let second = build.carriageway(&middle.line(), count, width, limit);
    let third = build.carriageway(
        &Tracer::from(onward).straight(110.0).line(),
        count,
        width,
        limit,
    );
    for lanes in [[&first, &second], [&second, &third]] {
        for (&from, &to) in lanes[0].iter().zip(lanes[1]) {
            build.follow(from, to);
            build.lane_mut(to).rank = 2;
        }
    }
    let taken = if side < 0.0 { count - 1 } else { 0 };
    let end = build.start(third[taken]);
    // The ramp comes from the side at an angle and runs into the lane over the middle part.
    let (sin, cos) = angle.sin_cos();
    let beside = Pose::new(-45.0 * cos - 38.0, side * (45.0 * sin + 5.2), -side * angle);
    let start = end.pose_to_world(beside);
    let ramp = build.lane(&Tracer::from(start).straight(45.0).points(), width, 10.0);
    let joint = build.connect(ramp, third[taken], 1);
    build.lane_mut(joint).connector = false;
    // The edge of the road opens where the ramp comes in.
    let edge = usize::from(side < 0.0);
    build.lane_mut(second[taken]).markings[edge] = Marking::None;
    let main = (0..count).map(|i| vec![first[i], second[i], third[i]]);
    let routes = std::iter::once(vec![ramp, joint, third[taken]])
        .chain(main)
        .collect();
    Layout::new(build.finish(), routes, (0, 0))
}

/// One road that leads to an intersection.
struct Arm {
    /// Lanes towards the intersection and away from it, from left to right.
    towards: Vec<LaneId>,
    away: Vec<LaneId>,
}

/// Roads from the centre outwards; each begins at `radius` and is `length` long.
fn arms(
    build: &mut MapBuilder,
    angles: &[f64],
    count: usize,
    radius: f64,
    length: f64,
    limit: f64,
) -> Vec<Arm> {
    let width = 3.5;
    let mut made = Vec::new();
    for &angle in angles {
        let outwards = Vec2::unit(angle);
        let start = Pose {
            at: outwards * radius,
            heading: angle,
        };
        let reference = Tracer::from(start).straight(length).line();
        let (away, towards) = build.road(&reference, (count, count), width, limit);
        made.push(Arm { towards, away });
    }
    made
}

fn junction(variant: u8) -> Layout {
    let quarter = |i: i32| f64::from(i) * FRAC_PI_2;
    let (angles, count) = match variant {
        0 => ((0..4).map(quarter).collect::<Vec<_>>(), 1),
        1 => ((0..4).map(quarter).collect(), 2),
        2 => ((0..3).map(quarter).collect(), 1),
        _ => (vec![0.0, 1.25, PI, PI + 1.25], 1),
    };
    let radius = if count == 2 { 15.0 } else { 12.0 };
    let mut build = MapBuilder::new();
    let arms = arms(&mut build, &angles, count, radius, 75.0, 10.0);
    let mut ring: Vec<Vec2> = Vec::new();
    for &angle in &angles {
        let half = 3.5 * count as f64;
        let pose = Pose {
            at: Vec2::unit(angle) * radius,
            heading: angle,
        };
        ring.push(pose.to_world(Vec2::new(0.0, -half)));
        ring.push(pose.to_world(Vec2::new(0.0, half)));
    }
    build.intersection(ring);

    // Opposite arms are green together; a left turn gives way to those who come towards it.
    let lights = [0.0, 13.0].map(|start| {
        build.light(LightProgram {
            cycle: 26.0,
            start,
            green: 9.0,
            yellow: 2.0,
        })
    });
    let mut routes = Vec::new();
    for (i, from) in arms.iter().enumerate() {
        let axis =
            usize::from(angles[i].rem_euclid(PI) > 0.6 && angles[i].rem_euclid(PI) < PI - 0.6);
        for (k, &lane) in from.towards.iter().enumerate() {
            build.lane_mut(lane).light = Some(lights[axis]);
            for (j, to) in arms.iter().enumerate().filter(|&(j, _)| j != i) {
                // Zero is straight on, positive a left turn.
                let turn = crate::geometry::wrap_angle(angles[j] - angles[i] - PI);
                let (leftmost, rightmost) = (k == 0, k + 1 == count);
                if turn > 0.6 && !leftmost || turn < -0.6 && !rightmost {
                    continue;
                }
                let rank = if turn > 0.6 { 1 } else { 3 };
                let joint = build.connect(lane, to.away[k], rank);
                routes.push(vec![lane, joint, to.away[k]]);
            }
        }
        let on = Pose {
            at: Vec2::unit(angles[i]) * (radius + 3.0),
            heading: angles[i],
        };
        let wide = 3.5 * count as f64 + 1.5;
        build.crossing(on, wide, wide, true);
    }
    Layout::new(build.finish(), routes, (0, 0))
}

fn roundabout(variant: u8) -> Layout {
    let even = |n: usize| {
        (0..n)
            .map(|i| i as f64 * TAU / n as f64)
            .collect::<Vec<_>>()
    };
    let (ring, angles) = match variant {
        0 => (14.0, even(4)),
        1 => (18.0, even(4)),
        2 => (16.0, even(3)),
        _ => (22.0, even(5)),
    };
    let (width, limit) = (5.0, 7.0);
    let mut build = MapBuilder::new();
    let arms = arms(&mut build, &angles, 1, ring + 14.0, 65.0, 10.0);
    // Traffic leaves the ring before an arm and enters behind it.
    let open = 9.0 / ring;
    let arc = |build: &mut MapBuilder, from: f64, to: f64| {
        let start = Pose {
            at: Vec2::unit(from) * ring,
            heading: from + FRAC_PI_2,
        };
        let points = Tracer::from(start).arc(ring, to - from).points();
        let lane = build.lane(&points, width, limit);
        let made = build.lane_mut(lane);
        made.rank = 3;
        made.connector = true;
        made.markings = [Marking::Solid, Marking::None];
        lane
    };
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for (i, &angle) in angles.iter().enumerate() {
        let next = angles.get(i + 1).copied().unwrap_or(angles[0] + TAU);
        short.push(arc(&mut build, angle - open, angle + open));
        let between = arc(&mut build, angle + open, next - open);
        build.lane_mut(between).markings[1] = Marking::Solid;
        long.push(between);
    }
    let count = angles.len();
    let mut exits = Vec::new();
    let mut entries = Vec::new();
    for (i, arm) in arms.iter().enumerate() {
        let before = long[(i + count - 1) % count];
        build.follow(before, short[i]);
        build.follow(short[i], long[i]);
        entries.push(build.connect(arm.towards[0], long[i], 1));
        exits.push(build.connect(before, arm.away[0], 2));
        build.crossing(
            Pose {
                at: Vec2::unit(angles[i]) * (ring + 24.0),
                heading: angles[i],
            },
            5.0,
            5.0,
            true,
        );
    }
    let mut routes = Vec::new();
    for i in 0..count {
        for leave in 1..count {
            let mut way = vec![arms[i].towards[0], entries[i], long[i]];
            for k in 1..leave {
                way.extend([short[(i + k) % count], long[(i + k) % count]]);
            }
            let out = (i + leave) % count;
            way.extend([exits[out], arms[out].away[0]]);
            routes.push(way);
        }
    }
    Layout::new(build.finish(), routes, (0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_smooth_and_drivable() {
        for family in Family::all() {
            let layout = layout(family);
            assert!(!layout.routes.is_empty());
            for route in &layout.routes {
                for pair in route.windows(2) {
                    assert!(
                        layout.map.lanes[pair[0]].next.contains(&pair[1]),
                        "{family}"
                    );
                }
                let path = Path::new(&layout.map, route);
                assert!(
                    path.line.length() > 100.0,
                    "{family}: {}",
                    path.line.length()
                );
                for s in 1..path.line.length() as usize - 1 {
                    let s = s as f64;
                    let bend = path.line.curvature(s).abs();
                    assert!(bend < 0.19, "{family} {route:?} at {s}: curvature {bend}");
                    for d in [-1.0, 0.0, 1.0] {
                        let point = path.line.beside(s, d).at;
                        assert!(
                            layout.map.drivable(point),
                            "{family} {route:?} at {s}: {point:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn entering_traffic_gives_way() {
        for kind in [
            LayoutKind::Merge,
            LayoutKind::Roundabout,
            LayoutKind::Junction,
        ] {
            for variant in 0..Family::VARIANTS {
                let family = Family { kind, variant };
                let layout = layout(family);
                let yields = layout
                    .routes
                    .iter()
                    .any(|route| !Path::new(&layout.map, route).yields.is_empty());
                assert!(yields, "{family}");
            }
        }
    }
}
