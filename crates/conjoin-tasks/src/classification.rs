//! Classification: one class a sample.

use conjoin_graph::PortRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of `[task] kind = "classification"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassificationConfig {
    /// Logits over the classes, `[B, V]`.
    pub logits: PortRef,
    /// The true class, `[B]`.
    pub target: PortRef,
    /// Data set that is scored.
    pub data: String,
}

impl ClassificationConfig {
    pub(crate) fn ports(&self) -> BTreeMap<&'static str, PortRef> {
        [
            ("logits", self.logits.clone()),
            ("target", self.target.clone()),
        ]
        .into()
    }
}
