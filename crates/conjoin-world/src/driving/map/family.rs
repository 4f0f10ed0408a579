//! Families of layouts: a kind of road and a geometry. The split goes by family, so that evaluation
//! drives on roads that training never saw, not only with other seeds.

use crate::error::WorldError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

/// The kind of road.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayoutKind {
    /// A straight road with stopped cars.
    Straight,
    /// Curves.
    Curve,
    /// Two roads become one.
    Merge,
    /// A roundabout.
    Roundabout,
    /// A junction with lights.
    Junction,
}

impl LayoutKind {
    pub const ALL: [Self; 5] = [
        Self::Straight,
        Self::Curve,
        Self::Merge,
        Self::Roundabout,
        Self::Junction,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Curve => "curve",
            Self::Merge => "merge",
            Self::Roundabout => "roundabout",
            Self::Junction => "junction",
        }
    }
}

/// What a family's episodes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    Training,
    HeldOut,
}

/// A kind of road with one of its geometries; written `roundabout-2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Family {
    pub kind: LayoutKind,
    /// Below [`Family::VARIANTS`]; the last one is held out.
    pub variant: u8,
}

impl Family {
    /// Geometries a kind.
    pub const VARIANTS: u8 = 4;

    /// All families, kind by kind.
    pub fn all() -> impl Iterator<Item = Self> {
        LayoutKind::ALL
            .into_iter()
            .flat_map(|kind| (0..Self::VARIANTS).map(move |variant| Self { kind, variant }))
    }

    /// The families of a split.
    pub fn of(split: Split) -> impl Iterator<Item = Self> {
        Self::all().filter(move |family| family.split() == split)
    }

    pub fn split(self) -> Split {
        if self.variant + 1 == Self::VARIANTS {
            Split::HeldOut
        } else {
            Split::Training
        }
    }
}

/// Something of each family that is made once, when it is first asked for.
#[derive(Debug)]
pub(in crate::driving) struct PerFamily<T>(
    [[OnceLock<Arc<T>>; Family::VARIANTS as usize]; LayoutKind::ALL.len()],
);

impl<T> PerFamily<T> {
    pub const fn new() -> Self {
        Self(
            [const { [const { OnceLock::new() }; Family::VARIANTS as usize] };
                LayoutKind::ALL.len()],
        )
    }

    pub fn get(&self, family: Family, make: impl FnOnce() -> T) -> Arc<T> {
        let make = || Arc::new(make());
        match self.0[family.kind as usize].get(usize::from(family.variant)) {
            Some(cell) => cell.get_or_init(make).clone(),
            None => make(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.name(), self.variant)
    }
}

impl From<Family> for String {
    fn from(family: Family) -> Self {
        family.to_string()
    }
}

impl TryFrom<String> for Family {
    type Error = WorldError;

    fn try_from(text: String) -> Result<Self, WorldError> {
        text.parse()
    }
}

impl FromStr for Family {
    type Err = WorldError;

    fn from_str(text: &str) -> Result<Self, WorldError> {
        Self::all()
            .find(|family| family.to_string() == text)
            .ok_or_else(|| {
                let names: Vec<String> = Self::all().map(|f| f.to_string()).collect();
                WorldError::config("family", text, format!("one of {}", names.join(", ")))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for family in Family::all() {
            assert_eq!(family.to_string().parse::<Family>().unwrap(), family);
        }
        let wrong = "roundabout-9".parse::<Family>().unwrap_err().to_string();
        assert!(
            wrong.contains("found roundabout-9") && wrong.contains("roundabout-3"),
            "{wrong}"
        );
    }

    #[test]
    fn every_kind_is_in_both_splits() {
        for split in [Split::Training, Split::HeldOut] {
            for kind in LayoutKind::ALL {
                assert!(Family::of(split).any(|family| family.kind == kind));
            }
        }
        assert_eq!(Family::of(Split::HeldOut).count(), 5);
    }
}
