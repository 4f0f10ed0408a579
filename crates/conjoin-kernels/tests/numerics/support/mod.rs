//! Golden files, and comparison of tensors.
#![allow(dead_code)] // every test file uses its part

pub mod tracked;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, BTreeSet};

/// Of operations that sum in single precision, relative to the largest number, or to 1.
pub const TOLERANCE: f32 = 2e-5;

/// A golden file: tensors by name, floats and integers apart.
pub struct Golden {
    floats: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    integers: BTreeMap<String, Vec<i64>>,
}

impl Golden {
    /// Reads `tests/golden/NAME.safetensors`.
    pub fn read(name: &str) -> Self {
        let path = format!(
            "{}/tests/golden/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let bytes = std::fs::read(&path).expect("the golden file");
        let (mut floats, mut integers) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in SafeTensors::deserialize(&bytes)
            .expect("safetensors")
            .tensors()
        {
            let shape = view.shape().to_vec();
            match view.dtype() {
                Dtype::F32 => {
                    let values = view
                        .data()
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| f32::from_le_bytes(*b));
                    floats.insert(name, (shape, values.collect()));
                }
                Dtype::I64 => {
                    let values = view
                        .data()
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| i64::from_le_bytes(*b));
                    integers.insert(name, values.collect());
                }
                other => panic!("{name} is {other:?}"),
            }
        }
        Self { floats, integers }
    }

    /// The names of the cases.
    pub fn cases(&self) -> BTreeSet<String> {
        let case = |name: &String| name.split('.').next().expect("a case").to_owned();
        self.floats.keys().map(case).collect()
    }

    pub fn floats(&self, case: &str, name: &str) -> &[f32] {
        &self.floats[&format!("{case}.{name}")].1
    }

    /// Whether a case has a tensor, for optional operands.
    pub fn has(&self, case: &str, name: &str) -> bool {
        self.floats.contains_key(&format!("{case}.{name}"))
    }

    pub fn integers(&self, case: &str, name: &str) -> &[i64] {
        &self.integers[&format!("{case}.{name}")]
    }

    pub fn tensor<const D: usize>(&self, case: &str, name: &str, device: &Device) -> Tensor<D> {
        let (shape, values) = &self.floats[&format!("{case}.{name}")];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device)
    }

    /// A tensor whose gradient is wanted.
    pub fn leaf<const D: usize>(&self, case: &str, name: &str, device: &Device) -> Tensor<D> {
        self.tensor(case, name, device).require_grad()
    }

    pub fn lengths(&self, case: &str) -> Vec<usize> {
        let length = |&length: &i64| usize::try_from(length).expect("a length");
        self.integers(case, "lengths").iter().map(length).collect()
    }

    /// Compares a tensor with the golden one, within [`TOLERANCE`].
    pub fn check<const D: usize>(&self, case: &str, name: &str, got: Tensor<D>) {
        self.equals(case, name, got, TOLERANCE);
    }

    /// Compares a tensor with the golden one; the tolerance is relative to the largest number, or to 1.
    fn equals<const D: usize>(&self, case: &str, name: &str, got: Tensor<D>, tolerance: f32) {
        let (shape, want) = &self.floats[&format!("{case}.{name}")];
        assert_eq!(got.dims().as_slice(), shape, "shape of {case}.{name}");
        close(&format!("{case}.{name}"), &values(got), want, tolerance);
    }
}

/// One case of a golden file: its operands, and comparisons with its results.
pub struct Case<'a> {
    golden: &'a Golden,
    name: &'a str,
    tolerance: f32,
    device: Device,
}

impl<'a> Case<'a> {
    /// The tolerance is relative to the largest number, or to 1.
    pub fn new(golden: &'a Golden, name: &'a str, tolerance: f32) -> Self {
        let device = Device::flex().autodiff();
        Self {
            golden,
            name,
            tolerance,
            device,
        }
    }

    /// An input whose gradient is wanted.
    pub fn leaf<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.golden.leaf(self.name, name, &self.device)
    }

    /// Such an input, where the case has it.
    pub fn optional<const D: usize>(&self, name: &str) -> Option<Tensor<D>> {
        self.golden.has(self.name, name).then(|| self.leaf(name))
    }

    /// An input without a gradient.
    pub fn constant<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.golden.tensor(self.name, name, &self.device)
    }

    /// A number among the options.
    pub fn option(&self, index: usize) -> usize {
        self.golden.floats(self.name, "options")[index] as usize
    }

    /// Compares a result.
    pub fn equals<const D: usize>(&self, name: &str, found: Tensor<D>) {
        self.golden.equals(self.name, name, found, self.tolerance);
    }

    /// Which of two names the file has: the scripts that made the files do not all use the same.
    fn either<'n>(&self, one: &'n str, other: &'n str) -> &'n str {
        if self.golden.has(self.name, one) {
            one
        } else {
            other
        }
    }

    /// Compares the output (`y` or `output`) and returns the gradients for the golden gradient of the
    /// output (`dy` or `probe`).
    pub fn output<const D: usize>(&self, y: Tensor<D>) -> Gradients {
        self.equals(self.either("y", "output"), y.clone());
        let gradient = self.constant(self.either("dy", "probe"));
        (y * gradient).sum().backward()
    }

    /// Compares the gradient of an input (`dNAME` or `d_NAME`).
    pub fn gradient<const D: usize>(&self, name: &str, input: &Tensor<D>, gradients: &Gradients) {
        let (one, other) = (format!("d{name}"), format!("d_{name}"));
        let found = input.grad(gradients).expect("a gradient");
        self.equals(self.either(&one, &other), found);
    }
}

/// A tensor's numbers in row-major order.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec::<f32>()
        .expect("single precision")
}

/// Compares numbers; the tolerance is relative to the largest, or to 1.
pub fn close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{name}");
    let scale = want.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs();
        assert!(
            error <= tolerance * scale,
            "{name}[{index}]: {got}, expected {want}"
        );
    }
}

/// Compares bit for bit.
pub fn same_bits(name: &str, left: &[f32], right: &[f32]) {
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(bits(left) == bits(right), "{name} differs");
}

/// Repeatable numbers between -1 and 1.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A tensor of [`numbers`].
pub fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let values = numbers(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), device)
}
