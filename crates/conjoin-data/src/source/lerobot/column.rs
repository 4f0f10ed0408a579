//! A column of a recording: which features it is made of, what its numbers mean, and how a frame's row
//! becomes a field.

use super::{LerobotColumn, LerobotMeaning, Stack};
use crate::lerobot::{Feature, FeatureKind, Frame, Info, Noted};
use crate::{Contract, DataError, Dim, Field, Meaning};

/// A column that fits its recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub name: String,
    pub features: Vec<String>,
    pub contract: Contract,
    /// The frames it is made of, as so many before the sample's own, in the order of stacking.
    pub back: Vec<usize>,
    /// Bytes are pixels, to be divided by 255.
    pixels: bool,
    /// How frames of pixels are stacked.
    stack: Stack,
    /// Numbers of one frame.
    frame: usize,
    /// Sizes of a sample.
    shape: Vec<usize>,
}

/// A frame's numbers in a column.
#[derive(Debug)]
pub(super) enum Row {
    Bytes(Vec<u8>),
    Numbers(Vec<f32>),
}

impl Row {
    pub fn view(&self) -> RowView<'_> {
        match self {
            Self::Bytes(bytes) => RowView::Bytes(bytes),
            Self::Numbers(numbers) => RowView::Numbers(numbers),
        }
    }
}

/// A frame's numbers in a column, wherever they are kept; bytes stand for pixels or whole numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowView<'a> {
    Bytes(&'a [u8]),
    Numbers(&'a [f32]),
}

impl Column {
    /// # Errors
    /// [`DataError::Config`] with a key such as `columns.agents.shape`.
    pub fn new(name: &str, config: &LerobotColumn, info: &Info) -> Result<Self, DataError> {
        let wrong = |key: &str, found: String, expected: String| {
            DataError::config(format!("columns.{name}.{key}"), found, expected)
        };
        let features = features(name, config, info)?;
        let first = features[0];
        let noted = match features.as_slice() {
            [single] => info.noted(&single.name),
            _ => Noted::default(),
        };
        let pixels = first.kind == FeatureKind::Image;
        let numbers = features.len() * first.shape.iter().product::<usize>();
        let mut whole = first.shape.clone();
        if let Some(stacked) = (!config.features.is_empty()).then_some(features.len()) {
            whole.insert(0, stacked);
        }
        let shape = match (&config.shape, noted.shape) {
            (Some(shape), _) => shape.clone(),
            (None, Some(shape)) if shape.iter().product::<usize>() == numbers => shape,
            (None, _) => whole.clone(),
        };
        if pixels && shape != whole {
            let expected = format!("{whole:?}, the sizes of the images");
            return Err(wrong("shape", format!("{shape:?}"), expected));
        }
        if shape.iter().product::<usize>() != numbers {
            let found = format!("{shape:?} ({} numbers)", shape.iter().product::<usize>());
            let expected = format!("sizes of the {numbers} numbers of `{}`", first.name);
            return Err(wrong("shape", found, expected));
        }
        let meaning = match (config.meaning, pixels) {
            (None | Some(LerobotMeaning::Image), true) => Meaning::Image,
            (None | Some(LerobotMeaning::Quantity), false) => Meaning::Quantity,
            (Some(LerobotMeaning::Features), false) => Meaning::Features,
            (Some(_), true) => {
                let found = "another meaning for images".to_owned();
                return Err(wrong("meaning", found, "image".to_owned()));
            }
            (Some(LerobotMeaning::Image), false) => {
                let found = format!("image for the numbers of `{}`", first.name);
                return Err(wrong("meaning", found, "quantity or features".to_owned()));
            }
        };
        let back = back(name, &config.delta_indices)?;
        let frame = numbers;
        let mut shape = shape;
        let stack = config.stack.unwrap_or_default();
        match stack {
            Stack::Views if !pixels => {
                let found = format!("views for the numbers of `{}`", first.name);
                return Err(wrong("stack", found, "images".to_owned()));
            }
            Stack::Channels if pixels => {
                if let Some(channels) = shape.last_mut() {
                    *channels *= back.len();
                }
            }
            Stack::Views if !config.features.is_empty() => shape[0] *= back.len(),
            _ if config.delta_indices.is_empty() => {}
            _ => shape.insert(0, back.len()),
        }
        let dims = std::iter::once(Dim::from("B")).chain(shape.iter().map(|&size| size.into()));
        let mut contract = Contract::new(meaning, dims);
        if pixels {
            contract.range = Some((0.0, 1.0));
            contract.normaliser = Some("x/255".to_owned());
            if let Some(range) = config.range.filter(|&range| range != [0.0, 1.0]) {
                let expected = "[0.0, 1.0], the range of images".to_owned();
                return Err(wrong("range", format!("{range:?}"), expected));
            }
        } else {
            contract.range = match config.range {
                Some([low, high]) if low < high => Some((low, high)),
                Some(range) => {
                    let expected = "[least, greatest] with least < greatest".to_owned();
                    return Err(wrong("range", format!("{range:?}"), expected));
                }
                None => noted.range,
            };
        }
        let agree = |key: &str, given: &Option<String>, noted: Option<String>| match (given, noted)
        {
            (Some(given), Some(noted)) if *given != noted => {
                let expected = format!("`{noted}`, as the recording notes it");
                Err(wrong(key, format!("`{given}`"), expected))
            }
            (given, noted) => Ok(given.clone().or(noted)),
        };
        contract.units = agree("units", &config.units, noted.units)?;
        contract.frame = agree("frame", &config.frame, noted.frame)?;
        Ok(Self {
            name: name.to_owned(),
            features: features.iter().map(|f| f.name.clone()).collect(),
            contract,
            back,
            pixels,
            stack,
            frame,
            shape,
        })
    }

    /// Numbers of a frame.
    pub fn size(&self) -> usize {
        self.frame
    }

    /// Greatest number of bytes that a frame takes in memory.
    pub fn bytes(&self) -> usize {
        self.size() * if self.pixels { 1 } else { 4 }
    }

    /// The numbers of a frame; `place` names it in messages.
    pub fn row(&self, frame: &Frame, place: &str) -> Result<Row, DataError> {
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        for name in &self.features {
            let (image, values) = (frame.images.get(name), frame.values.get(name));
            let part = match (self.pixels, image, values) {
                (true, Some(image), _) => {
                    bytes.extend_from_slice(&image.rgb);
                    image.rgb.len()
                }
                (false, _, Some(values)) => {
                    numbers.extend_from_slice(values);
                    values.len()
                }
                _ => 0,
            };
            let expected = self.size() / self.features.len();
            if part != expected {
                return Err(DataError::format(
                    format!("{place}, feature {name}"),
                    format!("{part} numbers"),
                    format!("{expected} (column `{}`)", self.name),
                ));
            }
        }
        Ok(if self.pixels {
            Row::Bytes(bytes)
        } else {
            Row::Numbers(numbers)
        })
    }

    /// The field of the rows of its frames; `place` names the sample's frame in messages.
    ///
    /// # Errors
    /// A number is not finite or out of the column's range.
    pub fn field(&self, rows: &[RowView<'_>], place: &str) -> Result<Field, DataError> {
        let mut data = vec![0.0; rows.len() * self.frame];
        for (number, row) in rows.iter().enumerate() {
            let own = number * self.frame..(number + 1) * self.frame;
            match row {
                RowView::Bytes(bytes) if self.pixels && self.stack == Stack::Channels => {
                    // The pixels of all frames take turns.
                    let pixels = data[number * RGB..].chunks_mut(rows.len() * RGB);
                    for (to, from) in pixels.zip(bytes.chunks_exact(RGB)) {
                        divide(from, 255.0, to);
                    }
                }
                RowView::Bytes(bytes) => {
                    let unit = if self.pixels { 255.0 } else { 1.0 };
                    divide(bytes, unit, &mut data[own]);
                }
                RowView::Numbers(numbers) => data[own].copy_from_slice(numbers),
            }
        }
        if !self.pixels {
            let (low, high) = self.contract.range.unwrap_or((f32::MIN, f32::MAX));
            if let Some(odd) = data.iter().find(|v| !(low..=high).contains(*v)) {
                let expected = match self.contract.range {
                    Some(_) => format!("numbers from {low} to {high}"),
                    None => "finite numbers".to_owned(),
                };
                let place = format!("{place}, column `{}`", self.name);
                return Err(DataError::format(place, odd.to_string(), expected));
            }
        }
        let shape = self.shape.clone();
        Ok(Field::Dense { shape, data })
    }
}

/// Bytes as numbers of a unit.
fn divide(bytes: &[u8], unit: f32, to: &mut [f32]) {
    for (to, byte) in to.iter_mut().zip(bytes) {
        *to = f32::from(*byte) / unit;
    }
}

/// Bytes of a pixel.
const RGB: usize = 3;

/// How far back each frame lies.
fn back(name: &str, deltas: &[i64]) -> Result<Vec<usize>, DataError> {
    if deltas.is_empty() {
        return Ok(vec![0]);
    }
    let ordered = deltas.windows(2).all(|pair| pair[0] < pair[1]);
    if !ordered || deltas.last() != Some(&0) {
        return Err(DataError::config(
            format!("columns.{name}.delta_indices"),
            format!("{deltas:?}"),
            "numbers that ascend to 0, such as [-4, 0]",
        ));
    }
    Ok(deltas
        .iter()
        .map(|delta| delta.unsigned_abs() as usize)
        .collect())
}

/// The features that a column asks for, at least one and all alike.
fn features<'a>(
    name: &str,
    config: &LerobotColumn,
    info: &'a Info,
) -> Result<Vec<&'a Feature>, DataError> {
    let key = format!("columns.{name}");
    let wanted: Vec<(String, &String)> = match (&config.feature, config.features.as_slice()) {
        (Some(single), []) => vec![(format!("{key}.feature"), single)],
        (None, several) if !several.is_empty() => (several.iter().enumerate())
            .map(|(i, feature)| (format!("{key}.features[{i}]"), feature))
            .collect(),
        (single, _) => {
            let found = if single.is_some() {
                "`feature` and `features`"
            } else {
                "neither"
            };
            return Err(DataError::config(
                key,
                found,
                "either `feature` or `features`",
            ));
        }
    };
    let mut found: Vec<&Feature> = Vec::with_capacity(wanted.len());
    for (key, wanted) in wanted {
        let Some(feature) = info.feature(wanted) else {
            let unread = info.unread.iter().find(|(name, _)| name == wanted);
            let what = unread.map_or_else(
                || format!("`{wanted}`"),
                |(_, dtype)| format!("`{wanted}`, which is {dtype}"),
            );
            let names: Vec<String> = info
                .features
                .iter()
                .map(|f| format!("`{}`", f.name))
                .collect();
            return Err(DataError::config(
                key,
                what,
                format!("a feature of the recording: {}", names.join(", ")),
            ));
        };
        if let Some(first) = found.first()
            && (first.kind != feature.kind || first.shape != feature.shape)
        {
            let what = format!("`{wanted}` of {} {:?}", feature.kind.name(), feature.shape);
            let expected = format!(
                "{} {:?} like `{}`",
                first.kind.name(),
                first.shape,
                first.name
            );
            return Err(DataError::config(key, what, expected));
        }
        found.push(feature);
    }
    Ok(found)
}
