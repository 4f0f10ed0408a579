//! Pictures for reports: a state from above, beside what the cameras see, and an episode as an animated
//! PNG.

use super::actor::ActorKind;
use super::camera::{Image, Photographer};
use super::observation::{ObservationConfig, Occupancy};
use super::scene::OccluderKind;
use super::world::World;
use crate::error::WorldError;
use crate::geometry::{Obb, Pose, Vec2};

/// What is drawn besides the world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overlay<'a> {
    /// Poses in the ego frame.
    pub plan: &'a [Pose],
    /// Occupancy, probabilities 0 to 1 of one time, with the sizes of its grid.
    pub occupancy: Option<(&'a [f32], &'a ObservationConfig)>,
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

    fn dot(&mut self, at: Vec2, radius: f64, colour: Colour, alpha: f32) {
        self.cover(at, radius, colour, alpha, |p| {
            (p - at).squared() < radius * radius
        });
    }
}

/// The state from above.
pub fn top_down(world: &World, photographer: &Photographer, view: View, overlay: Overlay) -> Image {
    let ego = world.ego.pose;
    let mut canvas = Canvas {
        view,
        ego,
        pixels: Vec::new(),
    };
    for y in 0..view.height {
        for x in 0..view.width {
            let at = ego.to_world(canvas.local(x as f64 + 0.5, y as f64 + 0.5));
            let colour = photographer.ground_colour(at, view.scale);
            canvas.pixels.push(colour.map(|c| c * 0.85));
        }
    }
    for i in 0..30 {
        let point = world.route().line.at(world.ego_s + 2.0 * f64::from(i)).at;
        canvas.dot(ego.to_local(point), 0.35, [120.0, 190.0, 255.0], 0.7);
    }
    for occluder in &world.scene.occluders {
        let colour = match occluder.kind {
            OccluderKind::Building => [150.0, 128.0, 112.0],
            OccluderKind::Hedge => [56.0, 100.0, 48.0],
            OccluderKind::Van => [170.0, 170.0, 176.0],
        };
        canvas.block(&occluder.footprint, colour);
    }
    for lane in &world.map().lanes {
        if let Some(light) = lane.light {
            let end = lane.centre.at(lane.centre.length()).at;
            let colour = match world.map().lights[light].state(world.time()) {
                super::map::LightState::Green => [60.0, 220.0, 100.0],
                super::map::LightState::Yellow => [250.0, 200.0, 60.0],
                super::map::LightState::Red => [240.0, 60.0, 50.0],
            };
            canvas.dot(ego.to_local(end), 0.8, colour, 1.0);
        }
    }
    if let Some((cells, config)) = overlay.occupancy {
        occupancy(&mut canvas, cells, config);
    }
    for body in world.actors() {
        let colour = match body.kind {
            ActorKind::Pedestrian => [255.0, 120.0, 60.0],
            _ => [232.0, 226.0, 204.0],
        };
        canvas.block(&body.footprint, colour);
    }
    canvas.block(&world.ego.footprint(), [70.0, 150.0, 250.0]);
    for pose in overlay.plan {
        canvas.dot(pose.at, 0.3, [80.0, 255.0, 170.0], 1.0);
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

fn occupancy(canvas: &mut Canvas, cells: &[f32], config: &ObservationConfig) {
    let [nx, ny] = config.cells;
    let [x0, x1, y0, y1] = config.extent;
    let (dx, dy) = ((x1 - x0) / nx as f64, (y1 - y0) / ny as f64);
    for (index, &share) in cells.iter().enumerate().filter(|(_, share)| **share > 0.05) {
        let (i, j) = (index / ny, index % ny);
        let at = Pose::new(x0 + (i as f64 + 0.5) * dx, y0 + (j as f64 + 0.5) * dy, 0.0);
        let cell = Obb::new(at, dx, dy);
        canvas.cover(
            at.at,
            dx.hypot(dy) / 2.0,
            [230.0, 60.0, 200.0],
            0.55 * share,
            |p| cell.contains(p),
        );
    }
}

/// One time of a true grid as probabilities.
pub fn layer(occupancy: &Occupancy, time: usize) -> Vec<f32> {
    let size = occupancy.cells[0] * occupancy.cells[1];
    let layer = occupancy.grid.chunks(size).nth(time).unwrap_or(&[]);
    layer.iter().map(|&cell| f32::from(cell)).collect()
}

/// The cameras (left, front, right) over the view from above, as wide as it.
pub fn panel(images: &[Image], above: &Image) -> Image {
    const GAP: usize = 4;
    let order = [1, 0, 2];
    let wide = (above.width - 2 * GAP) / 3;
    let high = images
        .first()
        .map_or(0, |image| image.height * wide / image.width);
    let (width, height) = (above.width, high + GAP + above.height);
    let mut rgb = vec![24; width * height * 3];
    for (slot, image) in order.into_iter().filter_map(|i| images.get(i)).enumerate() {
        for y in 0..high {
            for x in 0..wide {
                let from = (y * image.height / high) * image.width + x * image.width / wide;
                let to = y * width + slot * (wide + GAP) + x;
                rgb[to * 3..to * 3 + 3].copy_from_slice(&image.rgb[from * 3..from * 3 + 3]);
            }
        }
    }
    let start = (high + GAP) * width * 3;
    rgb[start..].copy_from_slice(&above.rgb);
    Image { width, height, rgb }
}

/// An animated PNG that repeats for ever; frames of equal size, shown for `delay` of 1/100 s each.
///
/// # Errors
/// There is no frame, or one differs in size.
pub fn animated(frames: &[Image], delay: u16) -> Result<Vec<u8>, WorldError> {
    let wrong = |found: String| WorldError::format("animation", found, "frames of equal size");
    let first = frames.first().ok_or_else(|| wrong("no frame".to_owned()))?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, first.width as u32, first.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let failed = |e: png::EncodingError| wrong(e.to_string());
    encoder
        .set_animated(frames.len() as u32, 0)
        .map_err(failed)?;
    encoder.set_frame_delay(delay, 100).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    for frame in frames {
        if (frame.width, frame.height) != (first.width, first.height) {
            return Err(wrong(format!("{} by {} pixels", frame.width, frame.height)));
        }
        writer.write_image_data(&frame.rgb).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::camera::RigConfig;
    use crate::driving::scene::{EpisodeId, begin};

    #[test]
    fn the_ego_and_its_plan_are_where_they_should_be() {
        let world = begin(EpisodeId {
            family: "straight-0".parse().unwrap(),
            seed: 2,
        });
        let photographer = Photographer::new(RigConfig::default(), &world).unwrap();
        let view = View::default();
        let plan = [Pose::new(20.0, -3.0, 0.0)];
        let overlay = Overlay {
            plan: &plan,
            occupancy: None,
        };
        let image = top_down(&world, &photographer, view, overlay);
        let at = |x: usize, y: usize| &image.rgb[(y * view.width + x) * 3..][..3];
        // The middle of the footprint lies 1.4 m ahead of the rear axle.
        assert_eq!(at(128 + 6, 128), [70, 150, 250]);
        assert_eq!(at(128 + 80, 128 + 12), [80, 255, 170]);
    }

    #[test]
    fn an_animation_holds_its_frames() {
        let frame = |value: u8| Image {
            width: 3,
            height: 2,
            rgb: vec![value; 18],
        };
        let bytes = animated(&[frame(1), frame(2), frame(3)], 10).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        assert_eq!(reader.info().animation_control().unwrap().num_frames, 3);
        let mut buffer = vec![0; 18];
        for value in 1..=3 {
            reader.next_frame(&mut buffer).unwrap();
            assert_eq!(buffer, [value; 18]);
        }
        assert!(animated(&[], 10).is_err());
    }
}
