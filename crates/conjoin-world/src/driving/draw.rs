//! Pictures of a state from above.

use super::actor::ActorKind;
use super::camera::{Ground, Image};
use super::map::{LightState, RoadMap};
use super::observation::{ObservationConfig, Occupancy};
use super::scene::OccluderKind;
use super::world::World;
use crate::geometry::{Obb, Pose, Vec2};

/// Colours of what is drawn, RGB, 0 to 255.
pub(super) const EGO: Colour = [70.0, 150.0, 250.0];
pub(super) const PLAN: Colour = [80.0, 255.0, 170.0];
pub(super) const ROUTE: Colour = [120.0, 190.0, 255.0];
pub(super) const CAR: Colour = [232.0, 226.0, 204.0];
pub(super) const PERSON: Colour = [255.0, 120.0, 60.0];
pub(super) const OCCUPIED: Colour = [230.0, 60.0, 200.0];
pub(super) const PREDICTED: Colour = [255.0, 230.0, 60.0];
pub(super) const HOLDER: Colour = [255.0, 50.0, 50.0];
const GLASS: Colour = [52.0, 60.0, 70.0];

/// What is drawn besides the world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overlay<'a> {
    /// Poses in the ego frame.
    pub plan: &'a [Pose],
    /// Agents as they were perceived, in the ego frame: outlines.
    pub predicted: &'a [Obb],
    /// The agent that holds the plan most, in the ego frame: an outline of another colour.
    pub holder: Option<Obb>,
    /// Occupancy, probabilities 0 to 1 of one time, with the sizes of its grid.
    pub occupancy: Option<(&'a [f32], &'a ObservationConfig)>,
    /// Whether the safety layer brakes.
    pub brakes: bool,
}

/// Size and scale of the view from above.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Pixels.
    pub width: usize,
    pub height: usize,
    /// Metres a pixel.
    pub scale: f64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            width: 384,
            height: 256,
            scale: 0.25,
        }
    }
}

type Colour = [f32; 3];

/// The ego drives to the right; a third of the view lies behind it.
struct Canvas {
    view: View,
    ego: Pose,
    pixels: Vec<Colour>,
}

impl Canvas {
    /// A place of the picture in the ego frame.
    fn local(&self, x: f64, y: f64) -> Vec2 {
        Vec2::new(
            (x - self.view.width as f64 / 3.0) * self.view.scale,
            (self.view.height as f64 / 2.0 - y) * self.view.scale,
        )
    }

    /// A point of the ego frame on the picture.
    fn pixel(&self, p: Vec2) -> (f64, f64) {
        (
            p.x / self.view.scale + self.view.width as f64 / 3.0,
            self.view.height as f64 / 2.0 - p.y / self.view.scale,
        )
    }

    /// Mixes a colour into the pixels near a point by the share that `inside` covers of each.
    fn cover(
        &mut self,
        at: Vec2,
        reach: f64,
        colour: Colour,
        alpha: f32,
        inside: impl Fn(Vec2) -> bool,
    ) {
        let (x, y) = self.pixel(at);
        let reach = reach / self.view.scale + 1.0;
        let range = |middle: f64, most: usize| {
            let low = (middle - reach).max(0.0) as usize;
            low..((middle + reach).max(0.0) as usize + 1).min(most)
        };
        for row in range(y, self.view.height) {
            for column in range(x, self.view.width) {
                let mut share = 0.0;
                for i in 0..9 {
                    let (sx, sy) = (f64::from(i % 3), f64::from(i / 3));
                    let point = self.local(
                        column as f64 + (sx + 0.5) / 3.0,
                        row as f64 + (sy + 0.5) / 3.0,
                    );
                    share += f32::from(u8::from(inside(point))) / 9.0;
                }
                let pixel = &mut self.pixels[row * self.view.width + column];
                for (value, new) in pixel.iter_mut().zip(colour) {
                    *value += (new - *value) * share * alpha;
                }
            }
        }
    }

    /// A box of the world with a darker edge.
    fn block(&mut self, footprint: &Obb, colour: Colour) {
        let pose = self.ego.pose_to_local(footprint.pose);
        let outer = Obb::new(pose, footprint.length, footprint.width);
        let reach = footprint.length.hypot(footprint.width) / 2.0;
        self.cover(pose.at, reach, colour.map(|c| c * 0.45), 1.0, |p| {
            outer.contains(p)
        });
        let inner = outer.inflated(-0.18);
        if inner.width > 0.0 {
            self.cover(pose.at, reach, colour, 1.0, |p| inner.contains(p));
        }
    }

    /// A block with a windscreen, so that front and rear differ.
    fn car(&mut self, footprint: &Obb, colour: Colour) {
        self.block(footprint, colour);
        let local = self.ego.pose_to_local(footprint.pose);
        let ahead = local.to_world(Vec2::new(footprint.length * 0.2, 0.0));
        let glass = Obb::new(
            Pose {
                at: ahead,
                heading: local.heading,
            },
            footprint.length * 0.16,
            footprint.width * 0.74,
        );
        self.cover(ahead, footprint.width, GLASS, 1.0, |p| glass.contains(p));
    }

    /// The edge of a box of the ego frame.
    fn outline(&mut self, footprint: &Obb, colour: Colour) {
        let (outer, inner) = (footprint.inflated(0.25), footprint.inflated(-0.05));
        self.cover(footprint.pose.at, outer.radius(), colour, 1.0, |p| {
            outer.contains(p) && !inner.contains(p)
        });
    }

    fn dot(&mut self, at: Vec2, radius: f64, colour: Colour, alpha: f32) {
        self.cover(at, radius, colour, alpha, |p| {
            (p - at).squared() < radius * radius
        });
    }
}

/// The roads of an episode, drawn once.
#[derive(Debug, Clone)]
pub struct Chart {
    ground: Ground,
}

impl Chart {
    pub fn new(map: &RoadMap) -> Self {
        Self {
            ground: Ground::paint(map, 0.0),
        }
    }

    /// The state from above.
    pub fn top_down(&self, world: &World, view: View, overlay: Overlay) -> Image {
        let ego = world.ego.pose;
        let mut canvas = Canvas {
            view,
            ego,
            pixels: Vec::with_capacity(view.width * view.height),
        };
        for y in 0..view.height {
            for x in 0..view.width {
                canvas.pixels.push(self.ground(&canvas, x, y));
            }
        }
        for i in 0..30 {
            let point = world.route().line.at(world.ego_s + 2.0 * f64::from(i)).at;
            canvas.dot(ego.to_local(point), 0.35, ROUTE, 0.7);
        }
        for occluder in &world.scene.occluders {
            let colour = match occluder.kind {
                OccluderKind::Building => [150.0, 128.0, 112.0],
                OccluderKind::Hedge => [56.0, 100.0, 48.0],
                OccluderKind::Van => [170.0, 170.0, 176.0],
            };
            canvas.block(&occluder.footprint, colour);
        }
        lights(&mut canvas, world);
        if let Some((cells, config)) = overlay.occupancy {
            occupancy(&mut canvas, cells, config);
        }
        for body in world.actors() {
            if body.kind == ActorKind::Pedestrian {
                let at = ego.to_local(body.footprint.pose.at);
                canvas.dot(at, 0.6, PERSON.map(|c| c * 0.4), 1.0);
                canvas.dot(at, 0.42, PERSON, 1.0);
            } else {
                canvas.car(&body.footprint, CAR);
            }
        }
        canvas.car(&world.ego.footprint(), EGO);
        for footprint in overlay.predicted {
            canvas.outline(footprint, PREDICTED);
        }
        if let Some(footprint) = &overlay.holder {
            canvas.outline(footprint, HOLDER);
        }
        for pose in overlay.plan {
            canvas.dot(pose.at, 0.3, PLAN, 1.0);
        }
        Image {
            width: view.width,
            height: view.height,
            rgb: canvas
                .pixels
                .iter()
                .flatten()
                .map(|&c| c.clamp(0.0, 255.0) as u8)
                .collect(),
        }
    }

    /// The mean of four points of a pixel, a little darker than in daylight.
    fn ground(&self, canvas: &Canvas, x: usize, y: usize) -> Colour {
        let mut sum = [0.0; 3];
        for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
            let at = canvas
                .ego
                .to_world(canvas.local(x as f64 + dx, y as f64 + dy));
            let colour = self.ground.colour(at, canvas.view.scale / 2.0);
            for (sum, value) in sum.iter_mut().zip(colour) {
                *sum += value * 0.85 / 4.0;
            }
        }
        sum
    }
}

/// The lamps of the traffic lights, at the ends of their lanes.
fn lights(canvas: &mut Canvas, world: &World) {
    for lane in &world.map().lanes {
        let Some(light) = lane.light else { continue };
        let end = canvas.ego.to_local(lane.centre.at(lane.centre.length()).at);
        let colour = match world.map().lights[light].state(world.time()) {
            LightState::Green => [60.0, 220.0, 100.0],
            LightState::Yellow => [250.0, 200.0, 60.0],
            LightState::Red => [240.0, 60.0, 50.0],
        };
        canvas.dot(end, 1.0, [20.0; 3], 1.0);
        canvas.dot(end, 0.75, colour, 1.0);
    }
}

fn occupancy(canvas: &mut Canvas, cells: &[f32], config: &ObservationConfig) {
    let [nx, ny] = config.cells;
    let [x0, x1, y0, y1] = config.extent;
    let (dx, dy) = ((x1 - x0) / nx as f64, (y1 - y0) / ny as f64);
    for (index, &share) in cells.iter().enumerate().filter(|(_, share)| **share > 0.05) {
        let (i, j) = (index / ny, index % ny);
        let at = Pose::new(x0 + (i as f64 + 0.5) * dx, y0 + (j as f64 + 0.5) * dy, 0.0);
        let cell = Obb::new(at, dx, dy);
        canvas.cover(at.at, dx.hypot(dy) / 2.0, OCCUPIED, 0.55 * share, |p| {
            cell.contains(p)
        });
    }
}

/// One time of a true grid as probabilities.
pub fn layer(occupancy: &Occupancy, time: usize) -> Vec<f32> {
    let size = occupancy.cells[0] * occupancy.cells[1];
    let layer = occupancy.grid.chunks(size).nth(time).unwrap_or(&[]);
    layer.iter().map(|&cell| f32::from(cell)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::scene::{EpisodeId, begin};

    #[test]
    fn the_ego_and_its_plan_are_where_they_should_be() {
        let world = begin(EpisodeId {
            family: "straight-0".parse().unwrap(),
            seed: 2,
        });
        let chart = Chart::new(world.map());
        let view = View::default();
        let plan = [Pose::new(20.0, -3.0, 0.0)];
        let overlay = Overlay {
            plan: &plan,
            ..Overlay::default()
        };
        let image = chart.top_down(&world, view, overlay);
        let at = |x: usize, y: usize| &image.rgb[(y * view.width + x) * 3..][..3];
        // The middle of the footprint lies 1.4 m ahead of the rear axle.
        assert_eq!(at(128 + 6, 128), [70, 150, 250]);
        assert_eq!(at(128 + 80, 128 + 12), [80, 255, 170]);
        // Who holds the plan stands out from who is seen: the rear edge of its outline, 7.75 m to 8.05 m ahead.
        let boxes = [Obb::new(Pose::new(10.0, -8.0, 0.0), 4.0, 2.0)];
        let edge = |holder: Option<Obb>| {
            let overlay = Overlay {
                predicted: &boxes,
                holder,
                ..Overlay::default()
            };
            let image = chart.top_down(&world, view, overlay);
            let start = ((128 + 32) * view.width + 128 + 31) * 3;
            [0, 1, 2].map(|channel| f32::from(image.rgb[start + channel]))
        };
        let is = |found: Colour, colour: Colour| {
            found.iter().zip(colour).all(|(a, b)| (a - b).abs() < 2.0)
        };
        assert!(is(edge(None), PREDICTED));
        assert!(is(edge(Some(boxes[0])), HOLDER));
    }
}
