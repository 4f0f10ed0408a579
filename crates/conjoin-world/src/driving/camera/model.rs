//! What actors look like: a few textured boxes each, in their own frames.

use super::calibration::Vec3;
use super::ground::Colour;
use crate::driving::actor::{ActorKind, Body};
use crate::driving::map::LightState;
use crate::driving::scene::{Occluder, OccluderKind};
use crate::geometry::Pose;

/// What is painted on a box's sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Skin {
    Plain,
    /// Rows of dark windows.
    Windows,
    /// A car's body: lamps at front (white) and rear (red).
    Lamps {
        braking: bool,
    },
    /// Leaves.
    Leaves,
}

/// A box to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    /// Middle of its ground plan in the world.
    pub pose: Pose,
    pub length: f64,
    pub width: f64,
    /// Metres over the ground.
    pub bottom: f64,
    pub top: f64,
    pub colour: Colour,
    pub skin: Skin,
    /// The number of the body it belongs to.
    pub id: u32,
}

const PAINTS: [Colour; 8] = [
    [176.0, 32.0, 34.0],
    [40.0, 68.0, 150.0],
    [214.0, 214.0, 212.0],
    [40.0, 42.0, 46.0],
    [140.0, 144.0, 150.0],
    [52.0, 104.0, 72.0],
    [196.0, 150.0, 48.0],
    [120.0, 70.0, 50.0],
];
const WALLS: [Colour; 5] = [
    [168.0, 120.0, 96.0],
    [186.0, 176.0, 158.0],
    [146.0, 148.0, 152.0],
    [196.0, 168.0, 120.0],
    [120.0, 96.0, 88.0],
];
const CLOTHES: [Colour; 5] = [
    [200.0, 64.0, 48.0],
    [52.0, 84.0, 168.0],
    [228.0, 200.0, 60.0],
    [60.0, 60.0, 64.0],
    [80.0, 140.0, 90.0],
];

fn pick(palette: &[Colour], look: u32) -> Colour {
    palette[look as usize % palette.len()]
}

/// The boxes of a car or a person.
pub fn of_body(body: &Body, braking: bool) -> Vec<Block> {
    let print = body.footprint;
    let look = body.id.wrapping_mul(2_654_435_761) >> 16;
    let part = |length, width, ahead: f64, bottom, top, colour, skin| Block {
        pose: Pose {
            at: print.pose.to_world(crate::geometry::Vec2::new(ahead, 0.0)),
            heading: print.pose.heading,
        },
        length,
        width,
        bottom,
        top,
        colour,
        skin,
        id: body.id,
    };
    match body.kind {
        ActorKind::Pedestrian => {
            let skin = [198.0, 152.0, 124.0];
            let top = body.height;
            vec![
                part(0.3, 0.36, 0.0, 0.0, 0.85, [52.0, 56.0, 76.0], Skin::Plain),
                part(
                    0.34,
                    0.5,
                    0.0,
                    0.85,
                    top - 0.28,
                    pick(&CLOTHES, look),
                    Skin::Plain,
                ),
                part(0.24, 0.22, 0.0, top - 0.28, top, skin, Skin::Plain),
            ]
        }
        ActorKind::Vehicle | ActorKind::Static => {
            let paint = pick(&PAINTS, look);
            let (length, width) = (print.length, print.width);
            let waist = body.height * 0.58;
            let (cabin, ahead) = if body.height > 2.0 {
                (length * 0.86, -length * 0.05)
            } else {
                (length * 0.55, -length * 0.07)
            };
            let glass = [46.0, 56.0, 66.0];
            let wheel = [24.0, 24.0, 26.0];
            vec![
                part(
                    length * 0.24,
                    width * 1.01,
                    length * 0.3,
                    0.0,
                    0.34,
                    wheel,
                    Skin::Plain,
                ),
                part(
                    length * 0.24,
                    width * 1.01,
                    -length * 0.3,
                    0.0,
                    0.34,
                    wheel,
                    Skin::Plain,
                ),
                part(
                    length,
                    width,
                    0.0,
                    0.28,
                    waist,
                    paint,
                    Skin::Lamps { braking },
                ),
                part(
                    cabin,
                    width * 0.86,
                    ahead,
                    waist,
                    body.height - 0.08,
                    glass,
                    Skin::Plain,
                ),
                part(
                    cabin * 0.8,
                    width * 0.8,
                    ahead,
                    body.height - 0.08,
                    body.height,
                    paint,
                    Skin::Plain,
                ),
            ]
        }
    }
}

/// The boxes of something beside the road; `id` is its body's number.
pub fn of_occluder(occluder: &Occluder, id: u32) -> Vec<Block> {
    let block = |colour, skin, bottom, top| Block {
        pose: occluder.footprint.pose,
        length: occluder.footprint.length,
        width: occluder.footprint.width,
        bottom,
        top,
        colour,
        skin,
        id,
    };
    match occluder.kind {
        OccluderKind::Building => {
            vec![block(
                pick(&WALLS, occluder.look),
                Skin::Windows,
                0.0,
                occluder.height,
            )]
        }
        OccluderKind::Hedge => {
            vec![block(
                [58.0, 92.0, 46.0],
                Skin::Leaves,
                0.0,
                occluder.height,
            )]
        }
        OccluderKind::Van => {
            let body = Body {
                id,
                kind: ActorKind::Vehicle,
                footprint: occluder.footprint,
                velocity: crate::geometry::Vec2::default(),
                height: occluder.height,
            };
            of_body(&body, false)
        }
    }
}

/// A traffic light beside the end of a lane: a pole, a head and the lamp that is lit.
pub fn of_light(at: Pose, state: LightState) -> Vec<Block> {
    let block = |length, bottom, top, colour| Block {
        pose: at,
        length,
        width: length,
        bottom,
        top,
        colour,
        skin: Skin::Plain,
        id: u32::MAX - 1,
    };
    let (colour, bottom) = match state {
        LightState::Red => ([255.0, 40.0, 30.0], 3.3),
        LightState::Yellow => ([255.0, 190.0, 40.0], 2.85),
        LightState::Green => ([40.0, 235.0, 110.0], 2.4),
    };
    vec![
        block(0.14, 0.0, 2.3, [70.0, 72.0, 74.0]),
        block(0.42, 2.3, 3.8, [28.0, 28.0, 30.0]),
        block(0.56, bottom, bottom + 0.42, colour),
    ]
}

/// The colour of a point of a face. `u` and `v` are metres along the face from its left and its bottom;
/// `face` counts front, left, rear, right, top.
pub fn texture(block: &Block, face: usize, u: f64, v: f64) -> Colour {
    match block.skin {
        Skin::Windows if face < 4 => {
            let (x, y) = (u.rem_euclid(2.6), v.rem_euclid(2.9));
            if (0.7..1.9).contains(&x) && (1.0..2.3).contains(&y) {
                [58.0, 70.0, 86.0]
            } else {
                block.colour
            }
        }
        Skin::Leaves => {
            let cell = ((u * 2.3).floor() * 12.9898 + (v * 2.3).floor() * 78.233).sin() * 43758.5;
            let shade = 0.8 + 0.4 * (cell - cell.floor()) as f32;
            block.colour.map(|c| c * shade)
        }
        Skin::Lamps { braking } if face == 0 || face == 2 => {
            let across = if face == 0 || face == 2 {
                block.width
            } else {
                block.length
            };
            let side = u < across * 0.24 || u > across * 0.76;
            let height = block.top - block.bottom;
            if side && v > height * 0.5 && v < height * 0.85 {
                match (face, braking) {
                    (0, _) => [246.0, 244.0, 220.0],
                    (_, true) => [255.0, 36.0, 28.0],
                    _ => [132.0, 18.0, 18.0],
                }
            } else {
                block.colour
            }
        }
        _ => block.colour,
    }
}

/// The corners of a face, left bottom first, counter-clockwise from outside, and its outward normal, in
/// the block's frame (x forward, y left, z up).
pub fn face(block: &Block, index: usize) -> ([Vec3; 4], Vec3) {
    let (x, y) = (block.length / 2.0, block.width / 2.0);
    let (b, t) = (block.bottom, block.top);
    match index {
        0 => (
            [[x, -y, b], [x, y, b], [x, y, t], [x, -y, t]],
            [1.0, 0.0, 0.0],
        ),
        1 => (
            [[x, y, b], [-x, y, b], [-x, y, t], [x, y, t]],
            [0.0, 1.0, 0.0],
        ),
        2 => (
            [[-x, y, b], [-x, -y, b], [-x, -y, t], [-x, y, t]],
            [-1.0, 0.0, 0.0],
        ),
        3 => (
            [[-x, -y, b], [x, -y, b], [x, -y, t], [-x, -y, t]],
            [0.0, -1.0, 0.0],
        ),
        _ => (
            [[x, -y, t], [x, y, t], [-x, y, t], [-x, -y, t]],
            [0.0, 0.0, 1.0],
        ),
    }
}
