//! Images with what was seen in them.

use super::ReportError;
use super::page::{Section, meter, muted};
use crate::markup::{Element, el};
use crate::number;
use base64::Engine;
use image::{ExtendedColorType, ImageEncoder};

/// How many classes are shown under an image.
const SHOWN: usize = 3;

/// An image and the probabilities of its classes.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSample {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Row by row, channels last.
    pub pixels: Vec<u8>,
    /// The true class.
    pub truth: String,
    /// Classes with their probabilities, in any order.
    pub probabilities: Vec<(String, f64)>,
}

impl ImageSample {
    /// Classes from the most to the least probable.
    fn ranked(&self) -> Vec<&(String, f64)> {
        let mut ranked: Vec<&(String, f64)> = self.probabilities.iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    }

    fn is_right(&self) -> bool {
        self.ranked()
            .first()
            .is_some_and(|(class, _)| *class == self.truth)
    }

    /// The picture as a PNG in a `data:` address.
    fn address(&self) -> Result<String, String> {
        let colour = match self.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            other => return Err(format!("{other} channels; 1 and 3 can be drawn")),
        };
        let (width, height) = self.size;
        let wanted = width as usize * height as usize * self.channels;
        if self.pixels.len() != wanted {
            return Err(format!(
                "{} bytes for {wanted} pixel values",
                self.pixels.len()
            ));
        }
        let mut png = Vec::new();
        image::codecs::png::PngEncoder::new(&mut png)
            .write_image(&self.pixels, width, height, colour)
            .map_err(|error| error.to_string())?;
        let text = base64::engine::general_purpose::STANDARD.encode(png);
        Ok(format!("data:image/png;base64,{text}"))
    }
}

pub(super) fn section(samples: &[ImageSample]) -> Result<Option<Section>, ReportError> {
    if samples.is_empty() {
        return Ok(None);
    }
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for (index, sample) in samples.iter().enumerate() {
        let address = sample
            .address()
            .map_err(|message| ReportError::Image { index, message })?;
        let list = if sample.is_right() {
            &mut right
        } else {
            &mut wrong
        };
        list.push(card(sample, &address));
    }
    let mut section = Section::new("images", "Images");
    for (title, cards) in [("Wrong", wrong), ("Right", right)] {
        if !cards.is_empty() {
            section = section.all([
                el("h3").text(title),
                el("div").set("class", "images").all(cards),
            ]);
        }
    }
    Ok(Some(section))
}

fn card(sample: &ImageSample, address: &str) -> Element {
    let ranked = sample.ranked();
    let picture = el("img")
        .set("src", address)
        .set("alt", format!("an image of class {}", sample.truth))
        .set("width", 84)
        .set("height", 84);
    let bars = ranked.iter().take(SHOWN).map(|(class, probability)| {
        let kind = if *class == sample.truth {
            "truth"
        } else {
            "other"
        };
        let words = format!("{} {class}", number::percent(*probability, 0));
        el("li").set("class", kind).with(meter(*probability, words))
    });
    let mut caption = el("p").with(el("strong").text(sample.truth.as_str()));
    if let Some((taken, _)) = ranked.first().filter(|(class, _)| *class != sample.truth) {
        caption = caption.with(muted(format!("taken for {taken}")));
    }
    el("div")
        .set("class", "image")
        .with(picture)
        .with(el("div").with(caption).with(el("ul").all(bars)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(channels: usize, pixels: usize) -> ImageSample {
        ImageSample {
            size: (2, 2),
            channels,
            pixels: (0..pixels).map(|i| i as u8 * 20).collect(),
            truth: "bag".to_owned(),
            probabilities: vec![("coat".to_owned(), 0.2), ("bag".to_owned(), 0.8)],
        }
    }

    #[test]
    fn pixels_survive_the_way_into_the_file() {
        for channels in [1, 3] {
            let sample = sample(channels, 4 * channels);
            let address = sample.address().unwrap();
            let text = address.strip_prefix("data:image/png;base64,").unwrap();
            let png = base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap();
            let decoded = image::load_from_memory(&png).unwrap();
            assert_eq!(decoded.as_bytes(), sample.pixels);
        }
    }

    #[test]
    fn the_most_probable_class_decides() {
        assert!(sample(1, 4).is_right());
        let mut wrong = sample(1, 4);
        wrong.truth = "coat".to_owned();
        assert!(!wrong.is_right());
    }

    #[test]
    fn a_picture_of_another_size_is_an_error() {
        assert!(sample(1, 5).address().is_err());
        assert!(sample(2, 8).address().is_err());
        let error = section(&[sample(1, 4), sample(1, 3)]).err().unwrap();
        assert_eq!(error.to_string(), "image 1: 3 bytes for 4 pixel values");
    }
}
