//! Transduction: a token sequence from an input, produced one token at a time.

use conjoin_graph::PortRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of `[task] kind = "transduction"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransductionConfig {
    /// The column that carries the tokens said so far; decoding feeds predictions here.
    pub tokens: PortRef,
    /// Logits over the next token, `[B, U, V]`.
    pub logits: PortRef,
    /// The column with the tokens to be said, ending in `<eos>`.
    pub target: PortRef,
    /// Data set that is scored.
    pub data: String,
    /// Beam width; 1 is greedy.
    #[serde(default = "one")]
    pub beam: usize,
    /// Exponent of the length by which a beam hypothesis' log-probability is divided (0: none).
    #[serde(default)]
    pub length_penalty: f64,
    /// Longest output in tokens.
    #[serde(default = "sixty_four")]
    pub max_length: usize,
    /// Attention weights `[B, U, T]` that the report draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<PortRef>,
}

fn one() -> usize {
    1
}

fn sixty_four() -> usize {
    64
}

impl TransductionConfig {
    pub(crate) fn ports(&self) -> BTreeMap<&'static str, PortRef> {
        let mut ports: BTreeMap<&'static str, PortRef> = [
            ("tokens", self.tokens.clone()),
            ("logits", self.logits.clone()),
            ("target", self.target.clone()),
        ]
        .into();
        if let Some(alignment) = &self.alignment {
            ports.insert("alignment", alignment.clone());
        }
        ports
    }
}
