//! An episode as an animated PNG: the state from above beside the front camera's image.

mod font;
mod palette;

use super::camera::Image;
use super::draw::{Chart, Overlay, View};
use super::vehicle::STEP;
use super::world::World;
use crate::error::WorldError;
use palette::Palette;

/// Steps of the world a frame: five frames a second.
const STRIDE: u32 = 2;
/// The view from above, pixels, and metres a pixel.
const ABOVE: View = View {
    width: 384,
    height: 240,
    scale: 0.2,
};
/// The camera's image, pixels.
const FRONT: (usize, usize) = (256, 128);
const GAP: usize = 4;
const DARK: [u8; 3] = [24, 26, 30];
const PALE: [u8; 3] = [214, 218, 224];

/// An episode while it is filmed.
#[derive(Debug)]
pub struct Film {
    chart: Chart,
    frames: Vec<Image>,
}

impl Film {
    /// Begins a film of the world's episode.
    pub fn new(world: &World) -> Self {
        Self {
            chart: Chart::new(world.map()),
            frames: Vec::new(),
        }
    }

    /// Whether this moment is to be filmed.
    pub fn is_due(world: &World) -> bool {
        world.tick.is_multiple_of(STRIDE)
    }

    /// Adds a moment, with the front camera's image of it.
    pub fn add(&mut self, world: &World, front: &Image, overlay: Overlay) {
        let above = self.chart.top_down(world, ABOVE, overlay);
        self.frames.push(frame(world, front, &above, overlay));
    }

    /// The frames so far.
    pub fn frames(&self) -> &[Image] {
        &self.frames
    }

    /// The animated PNG.
    ///
    /// # Errors
    /// Nothing was filmed.
    pub fn finish(&self) -> Result<Vec<u8>, WorldError> {
        let delay = f64::from(STRIDE) * STEP * 100.0;
        animated(&self.frames, delay.round() as u16)
    }
}

/// A picture that is put together of others.
struct Sheet(Image);

impl Sheet {
    fn new(width: usize, height: usize) -> Self {
        Self(Image {
            width,
            height,
            rgb: DARK.repeat(width * height),
        })
    }

    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.0.width && y < self.0.height {
            let at = (y * self.0.width + x) * 3;
            self.0.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// An image scaled to a size, nearest pixels.
    fn paste(&mut self, image: &Image, at: (usize, usize), size: (usize, usize)) {
        for y in 0..size.1 {
            for x in 0..size.0 {
                let (column, row) = (x * image.width / size.0, y * image.height / size.1);
                let from = (row * image.width + column) * 3;
                if let Some(&[r, g, b]) = image.rgb.get(from..from + 3) {
                    self.set(at.0 + x, at.1 + y, [r, g, b]);
                }
            }
        }
    }

    fn write(&mut self, text: &str, at: (usize, usize), colour: [u8; 3]) {
        font::write(text, 2, |x, y| self.set(at.0 + x, at.1 + y, colour));
    }

    fn fill(&mut self, at: (usize, usize), size: (usize, usize), colour: [u8; 3]) {
        for y in 0..size.1 {
            for x in 0..size.0 {
                self.set(at.0 + x, at.1 + y, colour);
            }
        }
    }
}

fn frame(world: &World, front: &Image, above: &Image, overlay: Overlay) -> Image {
    let left = ABOVE.width + GAP;
    let mut sheet = Sheet::new(left + FRONT.0, ABOVE.height);
    sheet.paste(above, (0, 0), (ABOVE.width, ABOVE.height));
    sheet.paste(front, (left, 0), FRONT);
    let mut y = FRONT.1 + 10;
    let state = format!(
        "{:5.1} s   {:4.1} m/s   {:4.1} m/s2",
        world.time(),
        world.ego.speed,
        world.ego.acceleration,
    );
    sheet.write(&state, (left + 4, y), PALE);
    y += 18;
    let legend = [
        ("ego", super::draw::EGO),
        ("plan", super::draw::PLAN),
        ("route", super::draw::ROUTE),
        ("car", super::draw::CAR),
        ("person", super::draw::PERSON),
        ("occupied", super::draw::OCCUPIED),
        ("predicted", super::draw::PREDICTED),
        ("holds plan", super::draw::HOLDER),
    ];
    for (i, (name, colour)) in legend.into_iter().enumerate() {
        let at = (left + 4 + i % 2 * 124, y + i / 2 * 16);
        sheet.fill(at, (10, 10), colour.map(|c| c as u8));
        sheet.write(name, (at.0 + 16, at.1), PALE);
    }
    if overlay.brakes {
        let at = (left + 4 + 124, y + 4 * 16);
        sheet.fill((at.0 - 2, at.1 - 2), (116, 14), [200, 40, 40]);
        sheet.write("safety brake", at, [255; 3]);
    }
    sheet.0
}

/// An animated PNG of at most 256 colours that repeats for ever; frames of equal size, shown for `delay`
/// of 1/100 s each.
///
/// # Errors
/// There is no frame, or one differs in size.
pub fn animated(frames: &[Image], delay: u16) -> Result<Vec<u8>, WorldError> {
    let wrong = |found: String| WorldError::format("animation", found, "frames of equal size");
    let first = frames.first().ok_or_else(|| wrong("no frame".to_owned()))?;
    let size = (first.width, first.height);
    if let Some(other) = frames.iter().find(|f| (f.width, f.height) != size) {
        let found = format!("{} by {} pixels", other.width, other.height);
        return Err(wrong(found));
    }
    let palette = Palette::of(frames.iter().map(|frame| &frame.rgb[..]));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0 as u32, size.1 as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette.colours.concat());
    encoder.set_compression(png::Compression::High);
    // Differences of palette numbers mean nothing.
    encoder.set_filter(png::Filter::NoFilter);
    let failed = |e: png::EncodingError| wrong(e.to_string());
    encoder
        .set_animated(frames.len() as u32, 0)
        .map_err(failed)?;
    encoder.set_frame_delay(delay, 100).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    for frame in frames {
        let indices = palette.indices(&frame.rgb);
        writer.write_image_data(&indices).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::env::{DrivingEnv, EnvConfig};
    use crate::driving::observation::Parts;
    use crate::driving::scene::EpisodeId;

    #[test]
    fn an_animation_holds_its_frames() {
        let frame = |value: u8| Image {
            width: 3,
            height: 2,
            rgb: vec![value; 18],
        };
        let bytes = animated(&[frame(1), frame(90), frame(200)], 10).unwrap();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        assert_eq!(reader.info().animation_control().unwrap().num_frames, 3);
        let mut buffer = vec![0; 18];
        for value in [1, 90, 200] {
            reader.next_frame(&mut buffer).unwrap();
            assert_eq!(buffer, [value; 18]);
        }
        assert!(animated(&[], 10).is_err());
    }

    #[test]
    fn twenty_seconds_stay_small() {
        let episode = EpisodeId {
            family: "junction-1".parse().unwrap(),
            seed: 5,
        };
        let mut env = DrivingEnv::new(EnvConfig::default(), episode).unwrap();
        let mut film = Film::new(env.state());
        // One second, as long as it moves most; the whole is twenty times as much.
        for _ in 0..10 {
            let (shots, seen) = env.observe_parts(Parts::Plan);
            if Film::is_due(env.state()) {
                let overlay = Overlay {
                    plan: &seen.plan,
                    ..Overlay::default()
                };
                film.add(env.state(), &shots.images[0], overlay);
            }
            env.step(seen.control);
        }
        assert_eq!(film.frames().len(), 5);
        let size = film.finish().unwrap().len();
        assert!((10_000..75_000).contains(&size), "{size}");
    }
}
