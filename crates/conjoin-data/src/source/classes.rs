//! Names of classes: a preset, or a list in the recipe.

use crate::Vocabulary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the labels stand for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "\"fashion-mnist\", \"digits\", or a list of class names"
)]
pub enum ClassNames {
    Preset(ClassPreset),
    List(Vec<String>),
}

/// Names that need not be spelt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassPreset {
    FashionMnist,
    Digits,
}

impl ClassNames {
    /// The vocabulary of the label column, named for the preset or `classes`.
    pub fn vocabulary(&self) -> Arc<Vocabulary> {
        const FASHION: [&str; 10] = [
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ];
        match self {
            Self::Preset(ClassPreset::FashionMnist) => Vocabulary::new("fashion-mnist", FASHION),
            Self::Preset(ClassPreset::Digits) => {
                Vocabulary::new("digits", (0..10).map(|d: u8| d.to_string()))
            }
            Self::List(names) => Vocabulary::new("classes", names.iter().cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_lists_are_read() {
        let read = serde_json::from_str::<ClassNames>;
        assert_eq!(
            read("\"fashion-mnist\"").unwrap(),
            ClassNames::Preset(ClassPreset::FashionMnist)
        );
        assert_eq!(
            read("\"fashion\"").unwrap_err().to_string(),
            "\"fashion-mnist\", \"digits\", or a list of class names"
        );
        let list = read("[\"no\", \"yes\"]").unwrap().vocabulary();
        assert_eq!(
            (list.name.as_str(), list.index("yes")),
            ("classes", Some(1))
        );
        let fashion = ClassNames::Preset(ClassPreset::FashionMnist).vocabulary();
        assert_eq!((fashion.len(), fashion.symbol(9)), (10, Some("Ankle boot")));
        assert_eq!(
            ClassNames::Preset(ClassPreset::Digits).vocabulary().len(),
            10
        );
    }
}
