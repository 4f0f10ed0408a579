//! What the kinds `transformer-encoder` and `transformer-decoder` share: defaults, checks of options,
//! inputs that are too long.

use super::shared::{at_least_one, dropout_probability};
use crate::node::NodeError;
use crate::port::{InputPort, Want};
use crate::value::Value;
use conjoin_data::Meaning;
use conjoin_nn::{Activation, PositionKind, TransformerOptions};

/// The activation of Vaswani et al. 2017.
pub fn relu() -> Activation {
    Activation::Relu
}

/// What PyTorch's normalisation adds to the variance.
pub fn epsilon() -> f64 {
    conjoin_nn::layer_norm::EPSILON
}

/// Inner features of the feed-forward sub-layer where a recipe gives none, as in Vaswani et al. 2017.
pub fn hidden(given: Option<usize>, size: usize) -> usize {
    given.unwrap_or(4 * size)
}

/// The input that both kinds have.
pub fn sequence(time: &'static str) -> InputPort {
    InputPort::new(
        "sequence",
        "features along time",
        &[Meaning::Features, Meaning::Quantity],
        &[Want::Any("B"), Want::Any(time), Want::Known("D")],
    )
}

/// Refuses options that make no sense; `max_length` is as the recipe gives it.
pub fn check(options: &TransformerOptions, max_length: Option<usize>) -> Result<(), NodeError> {
    at_least_one("layers", options.layers)?;
    at_least_one("heads", options.heads)?;
    at_least_one("hidden", options.hidden)?;
    at_least_one("max_length", max_length.unwrap_or(1))?;
    dropout_probability(options.dropout)?;
    let refuse = |message: String| Err(NodeError::Options(message));
    if options.norm_epsilon <= 0.0 || !options.norm_epsilon.is_finite() {
        return refuse(format!(
            "norm_epsilon: expected a number above 0, found {}",
            options.norm_epsilon
        ));
    }
    let (size, heads) = (options.size, options.heads);
    if size == 0 || !size.is_multiple_of(heads) {
        return refuse(format!(
            "heads: expected a divisor of the {size} features of input \"sequence\", found {heads}"
        ));
    }
    if options.positions == PositionKind::Rotary && !(size / heads).is_multiple_of(2) {
        return refuse(format!(
            "positions: \"rotary\" expects an even number of features a head, found {} ({size} \
             features, {heads} heads)",
            size / heads
        ));
    }
    if options.activation == Activation::None {
        return refuse(
            "activation: expected a function that is not linear, such as \"relu\" or \"gelu\", \
             found \"none\""
                .to_owned(),
        );
    }
    match (options.positions, max_length) {
        (PositionKind::Learned, None) => {
            refuse("max_length: expected with positions = \"learned\", found none".to_owned())
        }
        (PositionKind::Learned, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => refuse("max_length: expected only with positions = \"learned\"".to_owned()),
    }
}

/// Refuses more positions than there are.
pub fn fits(length: usize, limit: Option<usize>) -> Result<(), NodeError> {
    match limit {
        Some(limit) if length > limit => Err(NodeError::Data(format!(
            "input \"sequence\": expected at most max_length = {limit} positions, found {length}"
        ))),
        _ => Ok(()),
    }
}

/// Positions of a batch of sequences.
pub fn length(sequence: &Value) -> usize {
    sequence.shape().get(1).copied().unwrap_or(0)
}
