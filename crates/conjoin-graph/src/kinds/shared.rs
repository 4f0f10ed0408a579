//! What several kinds of node need: checks of options, contracts that follow from inputs, and the
//! bridge between a graph's context and the modules' mode.

use crate::node::{Context, Inputs, NodeError, Scope};
use crate::port::{Bound, InputPort, Want};
use crate::value::{Payload, Value, ValueError};
use burn::tensor::Tensor;
use conjoin_data::{Contract, Dim, Meaning, Vocabulary};
use conjoin_nn::{Init, Mode};
use std::sync::Arc;

/// The default of an option that is on.
pub fn yes() -> bool {
    true
}

/// The optional input of a decoder that is the state before its first position.
pub fn initial_port(hidden: usize) -> InputPort {
    let port = InputPort::new(
        "initial",
        "state before the first position; zeros if not wired",
        &[Meaning::Features],
        &[Want::Any("B"), Want::Exactly(hidden)],
    );
    port.optional()
}

/// The state at [`initial_port`], if it is wired.
pub fn initial_state(inputs: &Inputs) -> Result<Option<Tensor<2>>, NodeError> {
    let wired = inputs.find("initial").is_some();
    wired.then(|| inputs.tensor("initial")).transpose()
}

/// Refuses an option that counts something and is 0.
pub fn at_least_one(option: &str, found: usize) -> Result<(), NodeError> {
    if found == 0 {
        return Err(NodeError::Options(format!(
            "{option}: expected at least 1, found 0"
        )));
    }
    Ok(())
}

/// Refuses a probability of dropping everything, or none at all.
pub fn dropout_probability(found: f64) -> Result<(), NodeError> {
    if !(0.0..1.0).contains(&found) {
        return Err(NodeError::Options(format!(
            "dropout: expected at least 0 and less than 1, found {found}"
        )));
    }
    Ok(())
}

/// The size of a dimension that the port wants known; binding has checked that it is.
pub fn known(inputs: &Bound, dim: &'static str) -> Result<usize, NodeError> {
    inputs.size(dim).ok_or_else(|| {
        NodeError::Options(format!(
            "dimension {dim}: expected a size known before data arrives, found one that varies"
        ))
    })
}

/// The contract at a required input.
pub fn contract<'a>(inputs: &'a Bound, port: &str) -> Result<&'a Contract, NodeError> {
    inputs
        .contract(port)
        .ok_or_else(|| NodeError::MissingInput(port.to_owned()))
}

/// The vocabulary that an input's contract carries.
pub fn vocabulary<'a>(inputs: &'a Bound, port: &str) -> Result<&'a Arc<Vocabulary>, NodeError> {
    let contract = contract(inputs, port)?;
    contract.vocabulary.as_ref().ok_or_else(|| {
        NodeError::Options(format!(
            "input {port:?}: expected a contract with a vocabulary, found {contract}"
        ))
    })
}

/// Refuses weights at input "weight" whose rows stand for other symbols than those of `wanted`.
pub fn same_symbols(inputs: &Bound, wanted: &Vocabulary) -> Result<(), NodeError> {
    let Some(given) = inputs
        .contract("weight")
        .and_then(|c| c.vocabulary.as_ref())
    else {
        return Ok(());
    };
    if given.hash == wanted.hash {
        return Ok(());
    }
    Err(NodeError::Options(format!(
        "input \"weight\": expected a row for each symbol of {}({}), found the rows of {}({})",
        wanted.name,
        wanted.len(),
        given.name,
        given.len()
    )))
}

/// An input's contract with another meaning and another last dimension.
pub fn with_last(contract: &Contract, meaning: Meaning, size: usize) -> Contract {
    let mut dims = contract.dims.clone();
    dims.pop();
    dims.push(size.into());
    Contract::new(meaning, dims).with_ragged(contract.ragged)
}

/// The size of a dimension; `size` knows the symbols.
pub fn extent(dim: &Dim, size: &dyn Fn(&str) -> usize) -> f64 {
    match dim {
        Dim::Fixed(size) => *size as f64,
        Dim::Symbol(name) => size(name) as f64,
    }
}

/// Rows that a map of the last dimension sees in one sample: the product of all dimensions between
/// the batch and the last.
pub fn positions(contract: &Contract, size: &dyn Fn(&str) -> usize) -> f64 {
    let dims = &contract.dims;
    let between = dims.get(1..dims.len() - 1).unwrap_or_default();
    between.iter().map(|dim| extent(dim, size)).product()
}

/// Where a node's parameters are made.
pub fn init(scope: &Scope) -> Init {
    Init::new(&scope.device, scope.seed)
}

/// The modules' view of a pass.
pub fn mode(context: &mut Context) -> Mode {
    if context.training {
        Mode::training(context.next_seed())
    } else {
        Mode::evaluation()
    }
}

/// Hands over the running statistics that modules left behind.
pub fn record(mode: Mode, context: &mut Context) {
    for statistic in mode.into_statistics() {
        context.record(&statistic.param, statistic.value);
    }
}

/// Applies a function of rows, `[N, D]` to `[N, D']`, along the last dimension of a float value of
/// any rank; lengths stay.
pub fn map_last(
    value: &Value,
    port: &str,
    function: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> Result<Value, NodeError> {
    let mut shape = value.shape();
    let size = shape.pop().unwrap_or(0);
    let rows = shape.iter().product::<usize>();
    let unfit = || {
        NodeError::Data(format!(
            "input {port:?}: expected a float tensor of rank 2 to 5, found shape {:?}",
            value.shape()
        ))
    };
    if !value.payload.is_float() {
        return Err(unfit());
    }
    let y = function(value.payload.clone().restore([rows, size]));
    let [_, last] = y.dims();
    let payload: Payload = match *shape.as_slice() {
        [_] => y.into(),
        [a, b] => y.reshape([a, b, last]).into(),
        [a, b, c] => y.reshape([a, b, c, last]).into(),
        [a, b, c, d] => y.reshape([a, b, c, d, last]).into(),
        _ => return Err(unfit()),
    };
    Ok(Value::with_lengths(payload, value.lengths.clone()))
}

/// The tensor at an optional input.
pub fn optional<T>(inputs: &Inputs, port: &str) -> Result<Option<T>, NodeError>
where
    T: TryFrom<Payload, Error = ValueError>,
{
    let wired = inputs.find(port).is_some();
    wired.then(|| inputs.tensor(port)).transpose()
}

/// What the kinds' tests share: options as a recipe gives them, and contracts to bind.
#[cfg(test)]
pub mod testing {
    use crate::node::{Inputs, Node, NodeConfig, NodeError, Scope};
    use crate::port::Bound;
    use crate::value::Value;
    use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
    use conjoin_data::Contract;
    use serde::de::DeserializeOwned;

    pub fn options<C: DeserializeOwned>(json: &str) -> C {
        serde_json::from_str(json).unwrap()
    }

    /// The contracts at a node's inputs, which must fit.
    pub fn bind(config: &dyn NodeConfig, contracts: &[(&str, Contract)]) -> Bound {
        let mut bound = Bound::default();
        for (name, contract) in contracts {
            let ports = config.inputs();
            let port = ports.iter().find(|port| port.name == *name).unwrap();
            bound.bind(port, contract, "test").unwrap();
        }
        bound
    }

    pub fn build(config: &dyn NodeConfig, bound: &Bound) -> Box<dyn Node> {
        let scope = Scope {
            device: Device::flex(),
            seed: 7,
        };
        config.init(bound, &scope).unwrap()
    }

    /// What the node says about options that it refuses.
    pub fn refusal(config: &dyn NodeConfig, bound: &Bound) -> String {
        match config.outputs(bound) {
            Err(NodeError::Options(message)) => message,
            other => panic!("expected a refusal, found {other:?}"),
        }
    }

    pub fn inputs<const N: usize>(values: [(&str, Value); N]) -> Inputs {
        let mut inputs = Inputs::default();
        for (name, value) in values {
            inputs.insert(name, value);
        }
        inputs
    }

    pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
    }

    pub fn tokens<const D: usize>(shape: [usize; D], values: &[i64]) -> Tensor<D, Int> {
        let data = TensorData::new(values.to_vec(), shape);
        Tensor::from_data(data, (&Device::flex(), DType::I64))
    }

    pub fn assert_close(a: &Value, b: &Value) {
        assert_eq!(a.shape(), b.shape());
        for (a, b) in a.to_f32().into_iter().zip(b.to_f32()) {
            assert!((a - b).abs() < 1e-5, "{a} and {b}");
        }
    }

    /// One position of a sequence, `[B, 1, D]`.
    pub fn position(sequence: &Value, t: usize) -> Value {
        let sequence: Tensor<3> = sequence.tensor().unwrap();
        sequence.narrow(1, t, 1).into()
    }
}
