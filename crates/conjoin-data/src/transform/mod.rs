//! Transforms: what happens to a sample between its source and its batch.
//!
//! A transform is bound to the contracts of the columns that reach it: binding checks them, changes
//! them to what comes out, and needs no data. Its random numbers depend on the seed, the epoch, the
//! sample and the transform's position alone.

mod boxes_to_grid;
mod flip;
mod grid;
mod hog;
mod lines_to_grid;
mod mask;
mod noise;
mod normalise;
mod one_hot_to_label;
mod random_crop;
mod random_erase;
mod rotate;

pub use boxes_to_grid::BoxesToGridConfig;
pub use flip::HorizontalFlipConfig;
pub use hog::{BlockNorm, HogConfig};
pub use lines_to_grid::LinesToGridConfig;
pub use mask::MaskTokensConfig;
pub use noise::GaussianNoiseConfig;
pub use normalise::NormaliseConfig;
pub use one_hot_to_label::OneHotToLabelConfig;
pub use random_crop::RandomCropConfig;
pub use random_erase::RandomEraseConfig;
pub use rotate::Rotate90Config;

use crate::random::{DataRng, stream};
use crate::{Columns, Contract, DataError, Dim, Meaning, Sample};
use std::fmt::Debug;

/// A transform that knows the columns it works on.
pub trait Transform: Send + Sync + Debug {
    /// Changes one sample.
    ///
    /// # Errors
    /// The sample does not hold what the contracts promised.
    fn apply(&self, sample: &mut Sample, rng: &mut DataRng) -> Result<(), DataError>;
}

crate::closed_kinds! {
    /// A transform, chosen by `kind`.
    pub enum TransformConfig {
        /// Corrupts tokens for masked modelling as BERT does, and writes the targets.
        MaskTokens(MaskTokensConfig) = "mask-tokens",
        /// Pads an image on all sides and cuts the old size out at a random place.
        RandomCrop(RandomCropConfig) = "random-crop",
        /// Mirrors an image left to right at random.
        HorizontalFlip(HorizontalFlipConfig) = "horizontal-flip",
        /// Covers a random rectangle of an image.
        RandomErase(RandomEraseConfig) = "random-erase",
        /// Adds noise, and can keep the clean values in another column for denoising.
        GaussianNoise(GaussianNoiseConfig) = "gaussian-noise",
        /// Turns an image by a random multiple of 90 degrees and writes which as a label.
        Rotate90(Rotate90Config) = "rotate90",
        /// Subtracts a mean and divides by a standard deviation, a channel.
        Normalise(NormaliseConfig) = "normalise",
        /// Histograms of oriented gradients of an image, as a new column.
        Hog(HogConfig) = "hog",
        /// Targets of a detector on a grid: boxes in their centres' cells, and a heat map of the centres.
        BoxesToGrid(BoxesToGridConfig) = "boxes-to-grid",
        /// Which cells of a grid are passed by lines, and in which direction.
        LinesToGrid(LinesToGridConfig) = "lines-to-grid",
        /// The place of the one in a vector as a label.
        OneHotToLabel(OneHotToLabelConfig) = "one-hot-to-label",
    }
}

impl TransformConfig {
    /// Checks the columns that reach the transform, changes them to those that leave it, and
    /// returns it ready to run.
    ///
    /// # Errors
    /// [`DataError::Config`] with a key below the transform's table.
    pub fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        match self {
            Self::MaskTokens(config) => config.bind(columns),
            Self::RandomCrop(config) => config.bind(columns),
            Self::HorizontalFlip(config) => config.bind(columns),
            Self::RandomErase(config) => config.bind(columns),
            Self::GaussianNoise(config) => config.bind(columns),
            Self::Rotate90(config) => config.bind(columns),
            Self::Normalise(config) => config.bind(columns),
            Self::Hog(config) => config.bind(columns),
            Self::BoxesToGrid(config) => config.bind(columns),
            Self::LinesToGrid(config) => config.bind(columns),
            Self::OneHotToLabel(config) => config.bind(columns),
        }
    }

    /// The columns that the transform works on.
    fn reads(&self) -> Vec<&str> {
        match self {
            Self::MaskTokens(config) => vec![&config.column],
            Self::RandomCrop(config) => vec![&config.column],
            Self::HorizontalFlip(config) => vec![&config.column],
            Self::RandomErase(config) => vec![&config.column],
            Self::GaussianNoise(config) => vec![&config.column],
            Self::Rotate90(config) => vec![&config.column],
            Self::Normalise(config) => vec![&config.column],
            Self::Hog(config) => vec![&config.column],
            Self::BoxesToGrid(config) => vec![&config.agents, &config.visible],
            Self::LinesToGrid(config) => vec![&config.lines, &config.mask],
            Self::OneHotToLabel(config) => vec![&config.column],
        }
    }
}

/// Transforms in the order in which they are applied.
#[derive(Debug, Default)]
pub struct Transforms {
    /// Each with its position in the recipe.
    bound: Vec<(usize, Box<dyn Transform>)>,
}

impl Transforms {
    /// Binds each transform to what the ones before it leave; `columns` ends as what leaves the
    /// last.
    ///
    /// # Errors
    /// [`DataError::Config`] with a key such as `transforms[1].column`.
    pub fn bind(configs: &[TransformConfig], columns: &mut Columns) -> Result<Self, DataError> {
        Self::bind_some(configs, columns, |_, _| true)
    }

    /// As [`Transforms::bind`], without the transforms of columns that are not there.
    pub(crate) fn bind_present(
        configs: &[TransformConfig],
        columns: &mut Columns,
    ) -> Result<Self, DataError> {
        Self::bind_some(configs, columns, |config, columns| {
            let mut reads = config.reads().into_iter();
            reads.all(|name| columns.contains_key(name))
        })
    }

    fn bind_some(
        configs: &[TransformConfig],
        columns: &mut Columns,
        wanted: impl Fn(&TransformConfig, &Columns) -> bool,
    ) -> Result<Self, DataError> {
        let mut bound = Vec::with_capacity(configs.len());
        for (position, config) in configs.iter().enumerate() {
            if wanted(config, columns) {
                let transform = config.bind(columns);
                let at = format!("transforms[{position}]");
                bound.push((position, transform.map_err(|e| e.below(&at))?));
            }
        }
        Ok(Self { bound })
    }

    /// Applies all transforms to the sample at `index` of its source.
    ///
    /// # Errors
    /// The sample does not hold what the contracts promised.
    pub fn apply(
        &self,
        sample: &mut Sample,
        seed: u64,
        epoch: u64,
        index: usize,
    ) -> Result<(), DataError> {
        for (position, transform) in &self.bound {
            let parts = [epoch, index as u64, *position as u64];
            transform.apply(sample, &mut stream(seed, "transform", &parts))?;
        }
        Ok(())
    }
}

/// The contract of `column`, if it has one of the meanings that the transform works on.
fn column_of<'a>(
    columns: &'a Columns,
    column: &str,
    meanings: &[Meaning],
) -> Result<&'a Contract, DataError> {
    let names: Vec<String> = meanings.iter().map(ToString::to_string).collect();
    let names = names.join(" or ");
    let contract = columns.get(column).ok_or_else(|| {
        let there: Vec<String> = columns.keys().map(|name| format!("`{name}`")).collect();
        let expected = format!("a column of {names} among {}", there.join(", "));
        DataError::config("column", format!("`{column}`"), expected)
    })?;
    if !meanings.contains(&contract.meaning) {
        let found = format!("`{column}`: {contract}");
        return Err(DataError::config(
            "column",
            found,
            format!("a column of {names}"),
        ));
    }
    Ok(contract)
}

/// Height, width and channels of an image column.
fn image_size(columns: &Columns, column: &str) -> Result<[usize; 3], DataError> {
    let contract = column_of(columns, column, &[Meaning::Image])?;
    match contract.dims.as_slice() {
        [
            _,
            Dim::Fixed(height),
            Dim::Fixed(width),
            Dim::Fixed(channels),
        ] => Ok([*height, *width, *channels]),
        _ => Err(DataError::config(
            "column",
            format!("`{column}`: {contract}"),
            "an image of fixed height, width and channels",
        )),
    }
}

/// The elements of an image that has the size its contract promised.
fn pixels<'a>(
    sample: &'a mut Sample,
    column: &str,
    size: [usize; 3],
) -> Result<&'a mut Vec<f32>, DataError> {
    let place = format!("sample `{}`, column `{column}`", sample.key);
    let (shape, data) = sample.dense_mut(column)?;
    if *shape == size && data.len() == size.iter().product::<usize>() {
        return Ok(data);
    }
    let found = format!("dense {shape:?} with {} elements", data.len());
    Err(DataError::format(place, found, format!("dense {size:?}")))
}

/// An option that is a probability or a proportion.
fn check_share(key: &str, value: f32) -> Result<(), DataError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(DataError::config(
        key,
        value.to_string(),
        "a number from 0 to 1",
    ))
}

/// Makes room for a constant that a transform writes into a column.
fn widen_range(columns: &mut Columns, column: &str, value: f32) {
    if let Some((low, high)) = columns.get_mut(column).and_then(|c| c.range.as_mut()) {
        *low = low.min(value);
        *high = high.max(value);
    }
}

/// Adds a column that must not be there yet.
fn add_column(
    columns: &mut Columns,
    key: &str,
    column: &str,
    contract: Contract,
) -> Result<(), DataError> {
    if columns.contains_key(column) {
        let found = format!("`{column}`, which is there already");
        return Err(DataError::config(key, found, "the name of a new column"));
    }
    columns.insert(column.to_owned(), contract);
    Ok(())
}

/// `serde` default for the column of image transforms.
fn image_column() -> String {
    "image".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{IdxConfig, SourceConfig};
    use crate::{Field, Vocabulary};
    use rand::Rng;

    /// What the transforms' own tests bind to: a 3x3 image, its label, and letters.
    pub(super) fn columns() -> Columns {
        let letters = Vocabulary::new("letters", ["<pad>", "<eos>", "<mask>", "a", "b", "c"]);
        Columns::from([
            ("image".to_owned(), Contract::image(3, 3, 1, (0.0, 1.0))),
            (
                "label".to_owned(),
                Contract::label(Vocabulary::new("classes", ["x", "y"])),
            ),
            ("letters".to_owned(), Contract::tokens("T", letters)),
        ])
    }

    /// 0/9, 1/9 … 8/9, as a 3x3 image.
    pub(super) fn sample() -> Sample {
        let image = Field::Dense {
            shape: vec![3, 3, 1],
            data: (0u8..9).map(|i| f32::from(i) / 9.0).collect(),
        };
        Sample::new("one")
            .with("image", image)
            .with("label", Field::Label(1))
            .with("letters", Field::Tokens(vec![3, 4, 5, 3, 4, 1]))
    }

    pub(super) fn read(json: &str) -> TransformConfig {
        serde_json::from_str(json).unwrap()
    }

    /// Binds to [`columns`] and gives the error's text.
    pub(super) fn refusal(json: &str) -> String {
        read(json).bind(&mut columns()).unwrap_err().to_string()
    }

    /// Applies a transform to [`sample`] under a stream of its own.
    pub(super) fn apply(json: &str, seed: u64) -> Sample {
        let transform = read(json).bind(&mut columns()).unwrap();
        let mut sample = sample();
        transform
            .apply(&mut sample, &mut stream(seed, "test", &[]))
            .unwrap();
        sample
    }

    pub(super) fn image(sample: &Sample) -> &[f32] {
        match &sample.fields["image"] {
            Field::Dense { data, .. } => data,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_name_the_position_and_the_columns() {
        let configs = [
            read(r#"{"kind": "horizontal-flip"}"#),
            read(r#"{"kind": "mask-tokens", "column": "leters"}"#),
        ];
        let error = Transforms::bind(&configs, &mut columns()).unwrap_err();
        assert_eq!(error.key(), Some("transforms[1].column"));
        assert_eq!(
            error.to_string(),
            "option `transforms[1].column`: found `leters`, expected a column of tokens among \
             `image`, `label`, `letters`"
        );
        assert_eq!(
            refusal(r#"{"kind": "horizontal-flip", "column": "label"}"#),
            "option `column`: found `label`: label [B] of classes(2), expected a column of image"
        );
    }

    #[test]
    fn later_transforms_see_what_earlier_ones_leave() {
        let idx: IdxConfig = serde_json::from_str(
            r#"{"dir": "nowhere", "split": "train", "classes": "fashion-mnist"}"#,
        )
        .unwrap();
        let mut columns = SourceConfig::Idx(idx).columns();
        let configs = [
            read(r#"{"kind": "hog", "pixels_per_cell": [4, 4], "cells_per_block": [2, 2]}"#),
            read(r#"{"kind": "gaussian-noise", "column": "hog", "std": 0.1}"#),
            read(r#"{"kind": "rotate90"}"#),
        ];
        Transforms::bind(&configs, &mut columns).unwrap();
        let names: Vec<&String> = columns.keys().collect();
        assert_eq!(names, ["hog", "image", "label", "rotation"]);
        assert_eq!(columns["hog"].shape_text(), "[B, 1296]");
    }

    #[test]
    fn random_numbers_depend_on_seed_epoch_index_and_position_alone() {
        let noise = read(r#"{"kind": "gaussian-noise", "std": 0.1, "clamp": false}"#);
        let transforms = Transforms::bind(&[noise.clone(), noise], &mut columns()).unwrap();
        let run = |seed, epoch, index| {
            let mut sample = sample();
            transforms.apply(&mut sample, seed, epoch, index).unwrap();
            sample
        };
        assert_eq!(run(1, 2, 3), run(1, 2, 3));
        assert_ne!(run(1, 2, 3), run(0, 2, 3));
        assert_ne!(run(1, 2, 3), run(1, 0, 3));
        assert_ne!(run(1, 2, 3), run(1, 2, 0));
        let draw = |position| stream(1, "transform", &[2, 3, position]).random::<u64>();
        assert_ne!(draw(0), draw(1));
    }

    #[test]
    fn a_sample_that_breaks_its_contract_is_named() {
        let flip = read(r#"{"kind": "horizontal-flip"}"#)
            .bind(&mut columns())
            .unwrap();
        let image = Field::Dense {
            shape: vec![2, 3, 1],
            data: vec![0.0; 6],
        };
        let mut sample = Sample::new("odd").with("image", image);
        assert_eq!(
            flip.apply(&mut sample, &mut stream(0, "test", &[]))
                .unwrap_err()
                .to_string(),
            "sample `odd`, column `image`: found dense [2, 3, 1] with 6 elements, expected dense \
             [3, 3, 1]"
        );
    }

    #[test]
    fn every_kind_describes_itself() {
        for kind in TransformConfig::KINDS {
            assert!(TransformConfig::about(kind).is_some_and(|about| about.ends_with('.')));
            let schema = TransformConfig::schema(kind).unwrap();
            let properties = schema.get("properties").unwrap().as_object().unwrap();
            for (name, property) in properties {
                assert!(
                    property.get("description").is_some(),
                    "{kind}.{name} has no help text"
                );
            }
        }
    }
}
