//! Reads a golden file, gives its parameters to a module, and compares outputs and gradients.
#![allow(dead_code)] // every test file uses its part

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};
use conjoin_nn::Statistic;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;

/// Largest difference of any element of an output or gradient, as a share of the largest expected element
/// of its array, or of [`SMALLEST`] where all are smaller: within `1e-4 * max(1, largest)`, and closer
/// where the numbers are small.
pub const TOLERANCE: f32 = 1e-4;

/// Below this, what is expected counts as zero with rounding.
const SMALLEST: f32 = 1e-3;

type Array = (Vec<usize>, Vec<f32>);

/// One golden file.
pub struct Golden {
    name: String,
    arrays: BTreeMap<String, Array>,
}

pub fn device() -> Device {
    Device::flex().autodiff()
}

impl Golden {
    pub fn read(name: &str) -> Self {
        let path = format!(
            "{}/tests/golden/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let arrays = file
            .tensors()
            .into_iter()
            .map(|(key, view)| {
                let values: Vec<f32> = match view.dtype() {
                    Dtype::F32 => view
                        .data()
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                        .collect(),
                    Dtype::I64 => view
                        .data()
                        .chunks_exact(8)
                        .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
                        .collect(),
                    other => panic!("{key}: {other:?}"),
                };
                (key, (view.shape().to_vec(), values))
            })
            .collect();
        Self {
            name: name.to_owned(),
            arrays,
        }
    }

    fn array(&self, key: &str) -> &Array {
        self.arrays
            .get(key)
            .unwrap_or_else(|| panic!("{}: no array {key}", self.name))
    }

    /// An array of the file, by its whole key.
    pub fn tensor<const D: usize>(&self, key: &str) -> Tensor<D> {
        let (shape, values) = self.array(key).clone();
        Tensor::from_data(TensorData::new(values, shape), &device())
    }

    /// An input with a gradient.
    pub fn input<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.tensor(&format!("in.{name}")).require_grad()
    }

    pub fn integers<const D: usize>(&self, name: &str) -> Tensor<D, Int> {
        let (shape, values) = self.array(&format!("in.{name}")).clone();
        let values: Vec<i64> = values.into_iter().map(|v| v as i64).collect();
        Tensor::from_data(TensorData::new(values, shape), (&device(), DType::I64))
    }

    pub fn lengths(&self) -> Vec<usize> {
        self.lengths_of("lengths")
    }

    pub fn lengths_of(&self, name: &str) -> Vec<usize> {
        let (_, values) = self.array(&format!("in.{name}"));
        values.iter().map(|&v| v as usize).collect()
    }

    /// The module with the file's parameters; each must be used.
    pub fn load<M: Module>(&self, module: M) -> M {
        let mut loader = Loader {
            golden: self,
            path: Vec::new(),
            used: 0,
        };
        let module = module.map(&mut loader);
        let known = self.arrays.keys().filter(|k| k.starts_with("param."));
        assert_eq!(
            loader.used,
            known.count(),
            "{}: unused parameters",
            self.name
        );
        module
    }

    /// Compares with an array of the file, element by element, within [`TOLERANCE`]; what is not finite is
    /// never within it.
    pub fn check<const D: usize>(&self, key: &str, found: &Tensor<D>) {
        let (shape, expected) = self.array(key);
        assert_eq!(shape[..], found.dims()[..], "{}: {key}", self.name);
        let found = found.to_data().try_to_vec::<f32>().unwrap();
        let scale = expected.iter().fold(SMALLEST, |m, v| m.max(v.abs()));
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!(
                (a - b).abs() <= TOLERANCE * scale,
                "{}: {key}[{i}] is {a} instead of {b}",
                self.name
            );
        }
    }

    /// Checks an output and gives its share of the loss.
    pub fn output<const D: usize>(&self, name: &str, found: Tensor<D>) -> Tensor<1> {
        self.check(&format!("out.{name}"), &found);
        (found * self.tensor(&format!("loss.{name}"))).sum()
    }

    pub fn check_input_gradient<const D: usize>(
        &self,
        name: &str,
        input: &Tensor<D>,
        gradients: &Gradients,
    ) {
        self.check(&format!("grad.in.{name}"), &input.grad(gradients).unwrap());
    }

    /// Checks the gradient of every parameter but running statistics.
    pub fn check_gradients<M: Module>(&self, module: &M, gradients: &Gradients) {
        let mut checker = Checker {
            golden: self,
            gradients,
            path: Vec::new(),
        };
        module.visit(&mut checker);
    }
}

struct Loader<'a> {
    golden: &'a Golden,
    path: Vec<String>,
    used: usize,
}

fn is_statistic(path: &[String]) -> bool {
    path.last().is_some_and(|name| name.starts_with("running_"))
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if is_statistic(&self.path) {
            return param;
        }
        self.used += 1;
        let value = self
            .golden
            .tensor::<D>(&format!("param.{}", self.path.join(".")));
        assert_eq!(param.lazy_shape(), value.shape());
        param.map(|_| value.require_grad())
    }
}

struct Checker<'a> {
    golden: &'a Golden,
    gradients: &'a Gradients,
    path: Vec<String>,
}

impl ModuleVisitor for Checker<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if is_statistic(&self.path) {
            return;
        }
        let path = self.path.join(".");
        let gradient = param.val().grad(self.gradients).unwrap();
        self.golden.check(&format!("grad.param.{path}"), &gradient);
    }
}

/// The module with new running statistics, as a graph would store them.
pub fn with_statistics<M: Module>(module: M, statistics: &[Statistic]) -> M {
    struct Store<'a>(&'a [Statistic]);
    impl ModuleMapper for Store<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let new = self
                .0
                .iter()
                .find(|statistic| statistic.param.id == param.id);
            match new {
                Some(new) => param.map(|old| new.value.clone().reshape(old.dims())),
                None => param,
            }
        }
    }
    module.map(&mut Store(statistics))
}
