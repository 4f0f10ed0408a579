//! A wire that carries something else than it should: nothing, another row's value, noise.
//!
//! A probe is a node without weights in the middle of a wire. What lies behind it runs as ever, in
//! one pass and step by step, and what it does to the system's scores tells whether the system reads
//! the wire at all.
//!
//! Shapes: whatever the wire carries goes in and comes out, with its lengths.

use crate::graph::{Graph, GraphError};
use crate::kinds::{NodeKind, OutsideNode};
use crate::node::{Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, mix};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::spec::{NodeSpec, PortRef, Wire, Wiring};
use crate::value::{Payload, Value};
use burn::module::Module;
use burn::tensor::{DType, Int, Tensor, TensorData};
use conjoin_data::{Contract, Vocabulary};
use std::sync::Arc;

/// What a probed wire carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Zeros; on tokens and labels one and the same symbol everywhere: `<unk>`, else `<pad>`, else
    /// the first.
    Zero,
    /// The value of another row of the batch, with that row's length. A single row stays as it is.
    Shuffle,
    /// Independent normal draws with the mean and standard deviation of the batch's valid elements;
    /// on tokens and labels symbols at random, special ones stay where they are.
    Noise,
}

impl Probe {
    pub const ALL: [Self; 3] = [Self::Zero, Self::Shuffle, Self::Noise];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Shuffle => "shuffle",
            Self::Noise => "noise",
        }
    }
}

/// The input and the output of a probe.
const PORT: &str = "value";

/// Puts a probe on the wire that feeds an input: into the list of nodes, the wires and the graph.
/// `contract` is what the wire carries.
///
/// # Errors
/// Nothing feeds the input, or what feeds it carries no values of rows.
pub fn insert(
    nodes: &mut Vec<NodeSpec>,
    wiring: &mut Wiring,
    graph: &mut Graph,
    (to, contract): (&PortRef, &Contract),
    (probe, seed): (Probe, u64),
) -> Result<(), GraphError> {
    let missing = || GraphError::MissingPort(to.to_string());
    let wire = wiring.get_mut(to).ok_or_else(missing)?;
    // No recipe can give a node this name.
    let name = format!("probe({to})");
    let config = ProbeConfig {
        probe,
        seed,
        contract: contract.clone(),
    };
    let node = ProbeNode {
        probe,
        seed,
        vocabulary: contract.vocabulary.clone().map(Symbols),
    };
    let from = std::mem::replace(&mut wire.from, PortRef::new(&name, PORT));
    wiring.insert(PortRef::new(&name, PORT), Wire::new(from));
    nodes.push(NodeSpec {
        name: name.clone(),
        config: NodeKind::Outside(OutsideNode::hidden("probe", config)),
    });
    graph.insert(&name, Box::new(node));
    Ok(())
}

#[derive(Debug, Clone)]
struct ProbeConfig {
    probe: Probe,
    seed: u64,
    contract: Contract,
}

impl NodeConfig for ProbeConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let meanings = [self.contract.meaning];
        vec![InputPort::new(PORT, "any value", &meanings, &[Want::Rest])]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let contract = inputs.contract(PORT);
        let contract = contract.ok_or_else(|| NodeError::MissingInput(PORT.to_owned()))?;
        Ok(vec![OutputPort::new(
            PORT,
            "what arrives instead",
            contract.clone(),
        )])
    }

    fn init(&self, _: &Bound, _: &Scope) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(ProbeNode {
            probe: self.probe,
            seed: self.seed,
            vocabulary: self.contract.vocabulary.clone().map(Symbols),
        }))
    }

    fn flops(&self, _: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        0.0
    }
}

/// A shared vocabulary as a constant of a module.
#[derive(Debug, Clone)]
struct Symbols(Arc<Vocabulary>);

#[derive(Module, Debug)]
struct ProbeNode {
    #[module(skip)]
    probe: Probe,
    #[module(skip)]
    seed: u64,
    #[module(skip)]
    vocabulary: Option<Symbols>,
}

impl Forward for ProbeNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let value = inputs.get(PORT)?.clone();
        if value.is_parameter {
            let text = "a probe cannot stand on a wire of weights";
            return Err(NodeError::Data(text.to_owned()));
        }
        Ok(Outputs::one(
            PORT,
            match self.probe {
                Probe::Shuffle => {
                    let rows = derangement(value.rows(), self.seed);
                    value.select_rows(&rows)
                }
                Probe::Zero | Probe::Noise if value.payload.is_float() => {
                    let elements = self.floats(&value);
                    floats_like(&value, elements)
                }
                Probe::Zero | Probe::Noise => {
                    let elements = self.symbols(&value);
                    integers_like(&value, elements)
                }
            },
        ))
    }
}

impl ProbeNode {
    fn floats(&self, value: &Value) -> Vec<f32> {
        let elements = value.to_f32();
        if self.probe == Probe::Zero {
            return vec![0.0; elements.len()];
        }
        let seed = elements
            .iter()
            .fold(self.seed, |seed, x| mix(seed, u64::from(x.to_bits())));
        let valid = valid(value);
        let counted = || elements.iter().zip(&valid).filter(|(_, valid)| **valid);
        let count = counted().count().max(1) as f64;
        let mean = counted().map(|(x, _)| f64::from(*x)).sum::<f64>() / count;
        let square = |(x, _): (&f32, _)| (f64::from(*x) - mean).powi(2);
        let std = (counted().map(square).sum::<f64>() / count).sqrt();
        (0..elements.len())
            .map(|index| (mean + std * normal(seed, index as u64)) as f32)
            .collect()
    }

    fn symbols(&self, value: &Value) -> Vec<i64> {
        let elements = value.to_i64();
        let vocabulary = self.vocabulary.as_ref().map(|symbols| &*symbols.0);
        let special = |symbol: i64| vocabulary.is_some_and(|known| known.is_special(symbol));
        if self.probe == Probe::Zero {
            let symbol = vocabulary.and_then(|known| known.unk.or(known.pad));
            return vec![symbol.unwrap_or(0); elements.len()];
        }
        let choice: Vec<i64> = match vocabulary {
            Some(known) => (0..known.len() as i64).filter(|&s| !special(s)).collect(),
            // What is there is all that is known to be valid.
            None => elements.clone(),
        };
        let seed = elements
            .iter()
            .fold(self.seed, |seed, &symbol| mix(seed, symbol as u64));
        let draw = |(index, (&symbol, valid)): (usize, (&i64, bool))| {
            if special(symbol) || !valid || choice.is_empty() {
                return symbol;
            }
            choice[(mix(seed, index as u64) % choice.len() as u64) as usize]
        };
        let valid = valid(value);
        elements.iter().zip(valid).enumerate().map(draw).collect()
    }
}

/// Which elements lie within the rows' lengths.
fn valid(value: &Value) -> Vec<bool> {
    let shape = value.shape();
    let total: usize = shape.iter().product();
    let (Some(lengths), [_, time, rest @ ..]) = (&value.lengths, shape.as_slice()) else {
        return vec![true; total];
    };
    let width = rest.iter().product::<usize>().max(1);
    let time = (*time).max(1);
    (0..total)
        .map(|index| (index / width) % time < lengths[index / width / time])
        .collect()
}

/// An order of rows in which none is in its own place (Sattolo 1986); one row has no other place.
fn derangement(rows: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    for last in (1..rows).rev() {
        let other = (mix(seed, last as u64) % last as u64) as usize;
        order.swap(last, other);
    }
    order
}

/// A standard normal number (Box and Muller 1958).
fn normal(seed: u64, index: u64) -> f64 {
    let uniform = |counter: u64| ((mix(seed, counter) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = (-2.0 * uniform(2 * index).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(2 * index + 1)).cos()
}

fn floats_like(value: &Value, elements: Vec<f32>) -> Value {
    let (shape, device) = (value.shape(), value.payload.device());
    let data = TensorData::new(elements, shape.clone());
    let payload: Payload = match shape.len() {
        1 => Tensor::<1>::from_data(data, &device).into(),
        2 => Tensor::<2>::from_data(data, &device).into(),
        3 => Tensor::<3>::from_data(data, &device).into(),
        4 => Tensor::<4>::from_data(data, &device).into(),
        _ => Tensor::<5>::from_data(data, &device).into(),
    };
    Value::with_lengths(payload, value.lengths.clone())
}

fn integers_like(value: &Value, elements: Vec<i64>) -> Value {
    let (shape, device) = (value.shape(), value.payload.device());
    let data = TensorData::new(elements, shape.clone());
    let options = (&device, DType::I64);
    let payload: Payload = match shape.len() {
        1 => Tensor::<1, Int>::from_data(data, options).into(),
        2 => Tensor::<2, Int>::from_data(data, options).into(),
        _ => Tensor::<3, Int>::from_data(data, options).into(),
    };
    Value::with_lengths(payload, value.lengths.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn probed(probe: Probe, value: Value, vocabulary: Option<Arc<Vocabulary>>) -> Value {
        let node = ProbeNode {
            probe,
            seed: 3,
            vocabulary: vocabulary.map(Symbols),
        };
        let mut inputs = Inputs::default();
        inputs.insert(PORT, value);
        let out = node.forward(&inputs, &mut Context::evaluation()).unwrap();
        out.0[PORT].clone()
    }

    #[test]
    fn rows_move_together_with_their_lengths_and_none_stays() {
        for rows in 2..40 {
            let data: Vec<f32> = (0..rows * 3).map(|i| i as f32).collect();
            let lengths: Vec<usize> = (0..rows).map(|row| 1 + row % 3).collect();
            let tensor = Tensor::<2>::from_data(TensorData::new(data, [rows, 3]), &Device::flex());
            let value = Value::with_lengths(tensor, Some(lengths.clone().into()));
            let out = probed(Probe::Shuffle, value, None);
            let mut seen = vec![false; rows];
            for (row, values) in out.to_f32().chunks(3).enumerate() {
                let from = values[0] as usize / 3;
                assert_ne!(from, row);
                assert_eq!(values[2] as usize, from * 3 + 2);
                assert_eq!(out.lengths.as_ref().unwrap()[row], lengths[from]);
                seen[from] = true;
            }
            assert!(seen.iter().all(|seen| *seen));
        }
        let one = Tensor::<2>::from_data([[5.0]], &Device::flex());
        assert_eq!(probed(Probe::Shuffle, one.into(), None).to_f32(), [5.0]);
    }

    #[test]
    fn noise_has_the_mean_and_deviation_of_what_is_valid() {
        let (rows, time) = (50, 40);
        let data: Vec<f32> = (0..rows * time)
            .map(|i| match i % time {
                0..20 => 3.0 + 2.0 * (i as f32).sin(),
                _ => 1e6,
            })
            .collect();
        let tensor = Tensor::<2>::from_data(TensorData::new(data, [rows, time]), &Device::flex());
        let value = Value::with_lengths(tensor, Some(vec![20; rows].into()));
        let drawn = probed(Probe::Noise, value.clone(), None).to_f32();
        let count = drawn.len() as f32;
        let mean = drawn.iter().sum::<f32>() / count;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count;
        // Three standard errors.
        assert!((mean - 3.0).abs() < 0.1, "{mean}");
        assert!((variance.sqrt() - 2f32.sqrt()).abs() < 0.07, "{variance}");
        assert_eq!(drawn, probed(Probe::Noise, value.clone(), None).to_f32());
        let zero = probed(Probe::Zero, value, None).to_f32();
        assert!(zero.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn symbols_are_drawn_from_the_vocabulary_and_special_ones_stay() {
        let symbols = Vocabulary::new("v", ["<pad>", "<bos>", "<unk>", "a", "b", "c", "d"]);
        let data: Vec<i64> = (0..200).map(|i| if i % 10 == 0 { 1 } else { 3 }).collect();
        let tensor = Tensor::<2, Int>::from_data(
            TensorData::new(data, [20, 10]),
            (&Device::flex(), DType::I64),
        );
        let value: Value = tensor.into();
        let drawn = probed(Probe::Noise, value.clone(), Some(symbols.clone())).to_i64();
        let kinds: std::collections::BTreeSet<i64> = drawn.iter().copied().collect();
        assert_eq!(kinds, [1, 3, 4, 5, 6].into());
        assert!((0..200).all(|i| (drawn[i] == 1) == (i % 10 == 0)));
        let zero = probed(Probe::Zero, value, Some(symbols)).to_i64();
        assert!(zero.iter().all(|&symbol| symbol == 2));
    }
}
