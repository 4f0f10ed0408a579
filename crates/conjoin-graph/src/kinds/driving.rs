//! What the kinds `agent-prediction` and `planning-transformer` share: ports, contracts, checks.
//!
//! Shapes: agents `[B, N, 12]`, state `[B, 4]`, as in [`conjoin_nn::driving`].

use super::shared::at_least_one;
use crate::node::NodeError;
use crate::port::{InputPort, Want};
use conjoin_data::{Contract, Dim, Meaning};
use conjoin_nn::driving::{AGENT, STATE};

/// Quantities in the own vehicle's frame; places beside headings and speeds have no common units.
pub fn ego(dims: impl IntoIterator<Item = Dim>) -> Contract {
    let mut contract = Contract::new(Meaning::Quantity, dims);
    contract.frame = Some("ego".to_owned());
    contract
}

/// The agents around the vehicle.
pub fn agents_port() -> InputPort {
    InputPort::new(
        "agents",
        "present, x, y, cos, sin of the heading, length, width, vx, vy, vehicle, pedestrian, static",
        &[Meaning::Quantity, Meaning::Features],
        &[Want::Any("B"), Want::Any("N"), Want::Exactly(AGENT)],
    )
}

/// The own vehicle.
pub fn state_port() -> InputPort {
    InputPort::new(
        "state",
        "speed, acceleration, steering, yaw rate of the own vehicle",
        &[Meaning::Quantity, Meaning::Features],
        &[Want::Any("B"), Want::Exactly(STATE)],
    )
}

/// Refuses features that heads do not share.
pub fn heads_fit(hidden: usize, heads: usize) -> Result<(), NodeError> {
    at_least_one("hidden", hidden)?;
    at_least_one("heads", heads)?;
    if !hidden.is_multiple_of(heads) {
        return Err(NodeError::Options(format!(
            "heads: expected a divisor of hidden = {hidden}, found {heads}"
        )));
    }
    Ok(())
}
