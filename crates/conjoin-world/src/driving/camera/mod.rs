//! Three cameras on the ego: images, and who is seen.
//!
//! Images are RGB, `[height, width, 3]` bytes. Light and exposure vary by episode, brightness and
//! sensor noise by frame; both come from streams named by episode, frame and camera.

pub mod calibration;
mod ground;
mod model;
mod raster;

pub use calibration::{Camera, RigConfig};

use super::actor::Body;
use super::world::World;
use crate::error::WorldError;
use crate::geometry::{Obb, Pose, Vec2};
use crate::random::stream;
use calibration::Vec3;
use ground::Colour;
pub(super) use ground::Ground;
use model::Block;
use rand::{Rng, RngCore};
use raster::{Canvas, Corner, NOBODY};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nothing further than this is drawn, metres.
const FAR: f64 = 110.0;

/// What one camera took.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    /// RGB, row by row.
    pub rgb: Vec<u8>,
}

/// What all cameras took at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Shots {
    /// Front, left, right.
    pub images: Vec<Image>,
    /// Pixels of each body over all cameras.
    pub pixels: BTreeMap<u32, usize>,
}

/// Draws one episode.
#[derive(Debug, Clone)]
pub struct Photographer {
    rig: [Camera; 3],
    ground: Arc<Ground>,
    /// What never moves.
    fixed: Vec<Block>,
    shadows: Vec<(Obb, f64)>,
    sun: Vec3,
    exposure: f32,
    warmth: f32,
}

impl Photographer {
    /// Prepares an episode.
    ///
    /// # Errors
    /// Names the option of the rig that is out of range.
    pub fn new(config: RigConfig, world: &World) -> Result<Self, WorldError> {
        let scene = &world.scene;
        let (from, height) = scene.sun;
        let numbered = || {
            scene
                .occluders
                .iter()
                .zip(super::scene::Scene::FIRST_STATIC..)
        };
        let mut rng = stream(scene.episode.seed, "light", &[]);
        Ok(Self {
            rig: config.rig()?,
            ground: Ground::of(scene.episode.family, scene.map()),
            fixed: numbered()
                .flat_map(|(o, id)| model::of_occluder(o, id))
                .collect(),
            shadows: numbered().map(|(o, _)| (o.footprint, o.height)).collect(),
            sun: [
                from.cos() * height.cos(),
                from.sin() * height.cos(),
                height.sin(),
            ],
            exposure: rng.random_range(0.75..1.15),
            warmth: rng.random_range(-0.08..0.08),
        })
    }

    pub fn rig(&self) -> &[Camera; 3] {
        &self.rig
    }

    /// Takes the three images of this moment.
    pub fn shoot(&self, world: &World) -> Shots {
        let actors = world.actors();
        let ego = world.ego.pose;
        let mut blocks: Vec<Block> = actors
            .iter()
            .flat_map(|body| model::of_body(body, brakes(world, body)))
            .collect();
        for lane in &world.map().lanes {
            if let Some(light) = lane.light {
                let pole = lane
                    .centre
                    .beside(lane.centre.length() + 0.6, -lane.width / 2.0 - 0.7);
                blocks.extend(model::of_light(
                    pole,
                    world.map().lights[light].state(world.time()),
                ));
            }
        }
        blocks.extend(self.fixed.iter().copied());
        blocks.retain(|b| (b.pose.at - ego.at).length() < FAR);
        let near = |obb: &Obb| (obb.pose.at - ego.at).length() < 70.0;
        let shadows: Vec<Shadow> = actors
            .iter()
            .map(|body| (body.footprint, body.height))
            .chain(self.shadows.iter().copied())
            .filter(|(obb, _)| near(obb))
            .map(|(obb, height)| Shadow::new(obb, height, self.sun))
            .collect();
        let mut pixels = BTreeMap::new();
        let mut images = Vec::with_capacity(self.rig.len());
        for (index, camera) in self.rig.iter().enumerate() {
            let canvas = self.draw(camera, ego, &blocks, &shadows);
            for &owner in canvas.owners.iter().filter(|&&owner| owner < NOBODY - 1) {
                *pixels.entry(owner).or_insert(0) += 1;
            }
            images.push(self.develop(&canvas, world, index as u64));
        }
        Shots { images, pixels }
    }

    fn draw(&self, camera: &Camera, ego: Pose, blocks: &[Block], shadows: &[Shadow]) -> Canvas {
        let mut canvas = Canvas::new(camera.width, camera.height);
        for block in blocks {
            self.block(&mut canvas, camera, ego, block);
        }
        let forward = Vec2::unit(ego.heading);
        for y in 0..camera.height {
            for x in 0..camera.width {
                let index = y * camera.width + x;
                if canvas.owners[index] != NOBODY {
                    continue;
                }
                let ray = camera.ray(x as f64 + 0.5, y as f64 + 0.5);
                let length = calibration::dot(ray, ray).sqrt();
                let way = -camera.position[2] / ray[2];
                let world = forward * ray[0] + forward.left() * ray[1];
                canvas.colours[index] = if ray[2] < 0.0 && way < FAR {
                    let start = Vec2::new(camera.position[0], camera.position[1]);
                    let at = ego.to_world(start) + world * way;
                    let extent = way / camera.intrinsics[0][0] * 1.5;
                    let dark = shadows.iter().any(|shadow| shadow.covers(at));
                    let light = if dark {
                        0.5
                    } else {
                        0.62 + 0.38 * self.sun[2] as f32
                    };
                    haze(self.ground.colour(at, extent).map(|c| c * light), way)
                } else {
                    self.sky(world * (1.0 / length), ray[2] / length)
                };
            }
        }
        canvas
    }

    fn block(&self, canvas: &mut Canvas, camera: &Camera, ego: Pose, block: &Block) {
        let local = ego.pose_to_local(block.pose);
        let (sin, cos) = local.heading.sin_cos();
        let to_ego = |p: Vec3| {
            [
                local.at.x + cos * p[0] - sin * p[1],
                local.at.y + sin * p[0] + cos * p[1],
                p[2],
            ]
        };
        let reach = block.length.hypot(block.width) / 2.0;
        if camera.to_camera([local.at.x, local.at.y, block.bottom])[2] < -reach {
            return;
        }
        let (wsin, wcos) = block.pose.heading.sin_cos();
        for index in 0..5 {
            let (corners, normal) = model::face(block, index);
            let turned = [
                cos * normal[0] - sin * normal[1],
                sin * normal[0] + cos * normal[1],
                normal[2],
            ];
            let at = to_ego(corners[0]);
            let away = [0, 1, 2].map(|i| camera.position[i] - at[i]);
            if calibration::dot(turned, away) <= 0.0 {
                continue;
            }
            let world = [
                wcos * normal[0] - wsin * normal[1],
                wsin * normal[0] + wcos * normal[1],
                normal[2],
            ];
            let lit = calibration::dot(world, self.sun).max(0.0) as f32;
            let light = 0.55 + 0.5 * lit;
            let wide = if index % 2 == 0 {
                block.width
            } else {
                block.length
            };
            let high = if index == 4 {
                block.length
            } else {
                block.top - block.bottom
            };
            let uv = [[0.0, 0.0], [wide, 0.0], [wide, high], [0.0, high]];
            let face: Vec<Corner> = corners
                .iter()
                .zip(uv)
                .map(|(&corner, uv)| Corner {
                    at: camera.to_camera(to_ego(corner)),
                    uv,
                })
                .collect();
            canvas.polygon(camera, &face, block.id, |[u, v], depth| {
                let colour = model::texture(block, index, u, v);
                haze(colour.map(|c| c * light), depth)
            });
        }
    }

    /// The sky in a direction: brighter at the horizon and around the sun.
    fn sky(&self, flat: Vec2, up: f64) -> Colour {
        let high = up.max(0.0).sqrt() as f32;
        let toward = flat.x * self.sun[0] + flat.y * self.sun[1] + up * self.sun[2];
        let glow = (toward.max(0.0).powi(24) * 70.0) as f32;
        let (low, top) = ([196.0, 210.0, 222.0], [92.0, 138.0, 196.0]);
        [0, 1, 2].map(|i| low[i] + (top[i] - low[i]) * high + glow)
    }

    /// Exposure, brightness of the frame, sensor noise.
    fn develop(&self, canvas: &Canvas, world: &World, camera: u64) -> Image {
        let parts = [u64::from(world.tick), camera];
        let mut rng = stream(world.scene.episode.seed, "sensor", &parts);
        let gain = self.exposure * rng.random_range(0.92..1.08_f32);
        let tint = [1.0 + self.warmth, 1.0, 1.0 - self.warmth];
        let mut rgb = Vec::with_capacity(canvas.colours.len() * 3);
        for colour in &canvas.colours {
            for (value, tint) in colour.iter().zip(tint) {
                // Four uniform bytes: near enough to a normal distribution, deviation 4 of 255.
                let bytes = rng.next_u32().to_le_bytes();
                let sum: f32 = bytes.iter().map(|&b| f32::from(b)).sum();
                let noise = (sum - 510.0) / 148.0 * 4.0;
                rgb.push((value * gain * tint + noise).clamp(0.0, 255.0) as u8);
            }
        }
        Image {
            width: canvas.width,
            height: canvas.height,
            rgb,
        }
    }
}

/// Whether a body's brake lights are on.
fn brakes(world: &World, body: &Body) -> bool {
    let car = world.cars.iter().find(|car| car.id == body.id);
    car.is_some_and(|car| car.acceleration < -0.6 || car.stopped)
}

/// A box's shadow on the ground: everything from which the way to the sun passes through the box.
struct Shadow {
    /// Middle and direction of the box.
    at: Vec2,
    forward: Vec2,
    half: Vec2,
    /// The way of the shadow's edge from the ground to the top, in the box's frame.
    reach: Vec2,
    /// A circle around all of it, its radius squared.
    middle: Vec2,
    squared: f64,
}

impl Shadow {
    fn new(obb: Obb, height: f64, sun: Vec3) -> Self {
        let long = (height / sun[2]).min(40.0);
        let toward = Vec2::new(sun[0], sun[1]) * long;
        let forward = Vec2::unit(obb.pose.heading);
        let radius = obb.radius() + toward.length() / 2.0;
        Self {
            at: obb.pose.at,
            forward,
            half: Vec2::new(obb.length / 2.0, obb.width / 2.0),
            reach: Vec2::new(forward.dot(toward), forward.cross(toward)),
            middle: obb.pose.at - toward * 0.5,
            squared: radius * radius,
        }
    }

    /// Whether the segment from the point towards the sun meets the box (slabs).
    fn covers(&self, point: Vec2) -> bool {
        if (point - self.middle).squared() > self.squared {
            return false;
        }
        let away = point - self.at;
        let p = Vec2::new(self.forward.dot(away), self.forward.cross(away));
        let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
        for (at, way, half) in [
            (p.x, self.reach.x, self.half.x),
            (p.y, self.reach.y, self.half.y),
        ] {
            if way.abs() < 1e-9 {
                if at.abs() > half {
                    return false;
                }
                continue;
            }
            let (a, b) = ((-half - at) / way, (half - at) / way);
            enter = enter.max(a.min(b));
            leave = leave.min(a.max(b));
        }
        enter <= leave
    }
}

/// The air between the camera and something at a distance, m.
fn haze(colour: Colour, distance: f64) -> Colour {
    let share = (1.0 - (-distance / 260.0).exp()) as f32;
    let air = [184.0, 200.0, 214.0];
    [0, 1, 2].map(|i| colour[i] + (air[i] - colour[i]) * share)
}

#[cfg(test)]
mod tests;
