//! Initial parameter values.
//!
//! A value depends on the seed, the names on the way to the parameter and the element's index only.
//! Fans are the number of inputs and outputs of one unit: for a convolution, the kernel's area
//! times the channels; for stacked gates, those of one gate.

use crate::rng::{Stream, child_key};
use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};

/// How a parameter is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// The same value everywhere.
    Constant(f32),
    /// Uniform in `[-bound, bound]`.
    Uniform { bound: f32 },
    /// Normal with mean 0.
    Normal { std: f32 },
    /// Uniform with variance `2 / (fan_in + fan_out)`: sigmoid and tanh paths (Glorot and Bengio
    /// 2010, equation 16).
    XavierUniform { fan_in: usize, fan_out: usize },
    /// Normal with variance `2 / (fan_in + fan_out)` (Glorot and Bengio 2010, equation 12).
    XavierNormal { fan_in: usize, fan_out: usize },
    /// Normal with variance `2 / fan_in`: paths into ReLU (He et al. 2015, equation 10).
    HeNormal { fan_in: usize },
    /// Uniform with variance `2 / fan_in` (He et al. 2015, equation 10).
    HeUniform { fan_in: usize },
    /// `blocks` matrices stacked along the first dimension, each with orthonormal rows or columns,
    /// whichever are fewer: recurrent weights, one block a gate (Saxe et al. 2013).
    Orthogonal { blocks: usize },
    /// One of `blocks` equal parts of the first dimension has a value, the others are zero: the
    /// forget gate's bias (Jozefowicz et al. 2015).
    Block {
        block: usize,
        blocks: usize,
        value: f32,
    },
}

impl Fill {
    /// Elements of an array, row-major.
    pub fn values(self, shape: &[usize], stream: Stream) -> Vec<f32> {
        let count = shape.iter().product::<usize>();
        let uniform = |bound: f64| -> Vec<f32> {
            let value = |i| ((2.0 * stream.uniform(i) - 1.0) * bound) as f32;
            (0..count as u64).map(value).collect()
        };
        let normal = |std: f64| -> Vec<f32> {
            let value = |i| (stream.normal(i) * std) as f32;
            (0..count as u64).map(value).collect()
        };
        match self {
            Self::Constant(value) => vec![value; count],
            Self::Uniform { bound } => uniform(f64::from(bound)),
            Self::Normal { std } => normal(f64::from(std)),
            Self::XavierUniform { fan_in, fan_out } => {
                uniform((6.0 / (fan_in + fan_out) as f64).sqrt())
            }
            Self::XavierNormal { fan_in, fan_out } => {
                normal((2.0 / (fan_in + fan_out) as f64).sqrt())
            }
            Self::HeNormal { fan_in } => normal((2.0 / fan_in as f64).sqrt()),
            Self::HeUniform { fan_in } => uniform((6.0 / fan_in as f64).sqrt()),
            Self::Orthogonal { blocks } => {
                let rows = shape.first().copied().unwrap_or(0) / blocks;
                let columns = count.checked_div(rows * blocks).unwrap_or(0);
                (0..blocks)
                    .flat_map(|block| orthogonal(rows, columns, stream, block))
                    .collect()
            }
            Self::Block {
                block,
                blocks,
                value,
            } => {
                let size = count / blocks;
                let inside = block * size..(block + 1) * size;
                (0..count)
                    .map(|i| if inside.contains(&i) { value } else { 0.0 })
                    .collect()
            }
        }
    }
}

/// A matrix `[rows, columns]` with orthonormal rows (columns, if there are more rows), uniformly
/// distributed: Gram-Schmidt on Gaussian vectors, twice, which keeps full precision (Giraud,
/// Langou and Rozloznik 2005).
fn orthogonal(rows: usize, columns: usize, stream: Stream, block: usize) -> Vec<f32> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let offset = (block * count * length) as u64;
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    for i in 0..count {
        let mut vector: Vec<f64> = (0..length)
            .map(|j| stream.normal(offset + (i * length + j) as u64))
            .collect();
        for _ in 0..2 {
            for earlier in &basis {
                let along = dot(&vector, earlier);
                for (v, e) in vector.iter_mut().zip(earlier) {
                    *v -= along * e;
                }
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        for v in &mut vector {
            *v /= norm;
        }
        basis.push(vector);
    }
    let element = |row: usize, column: usize| {
        if rows <= columns {
            basis[row][column]
        } else {
            basis[column][row]
        }
    };
    (0..rows * columns)
        .map(|i| element(i / columns, i % columns) as f32)
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Where parameters live and from which seed their values are made.
#[derive(Debug, Clone)]
pub struct Init {
    device: Device,
    seed: u64,
}

impl Init {
    pub fn new(device: &Device, seed: u64) -> Self {
        Self {
            device: device.clone(),
            seed,
        }
    }

    /// The scope of a part of a module; its name takes part in the seeds of what is inside.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self {
            device: self.device.clone(),
            seed: child_key(self.seed, name),
        }
    }

    /// A trainable parameter; nothing is allocated until it is first read.
    pub fn param<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        fill: Fill,
    ) -> Param<Tensor<D>> {
        self.lazy(name, shape, fill, true)
    }

    /// A running statistic, which has no gradient. Its field's name must begin with `running_`.
    pub fn statistic(&self, name: &str, size: usize, value: f32) -> Param<Tensor<1>> {
        debug_assert!(
            name.starts_with("running_"),
            "whoever walks parameters knows statistics by this prefix"
        );
        self.lazy(name, [size], Fill::Constant(value), false)
    }

    fn lazy<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        fill: Fill,
        trainable: bool,
    ) -> Param<Tensor<D>> {
        let key = child_key(self.seed, name);
        Param::uninitialized(
            ParamId::from(key),
            move |device, require_grad| {
                let values = fill.values(&shape, Stream::new(key));
                Tensor::from_data(TensorData::new(values, shape), device)
                    .set_require_grad(require_grad)
            },
            self.device.clone(),
            trainable,
            Shape::from(shape),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: fn() -> Stream = || Stream::new(11);

    fn variance(values: &[f32]) -> f64 {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        values
            .iter()
            .map(|&v| (f64::from(v) - mean).powi(2))
            .sum::<f64>()
            / n
    }

    #[test]
    fn variances_follow_the_papers() {
        let (fan_in, fan_out) = (300, 100);
        let cases = [
            (Fill::XavierUniform { fan_in, fan_out }, 2.0 / 400.0),
            (Fill::XavierNormal { fan_in, fan_out }, 2.0 / 400.0),
            (Fill::HeNormal { fan_in }, 2.0 / 300.0),
            (Fill::HeUniform { fan_in }, 2.0 / 300.0),
            (Fill::Uniform { bound: 0.3 }, 0.03),
            (Fill::Normal { std: 0.5 }, 0.25),
        ];
        for (fill, expected) in cases {
            let found = variance(&fill.values(&[fan_out, fan_in], STREAM()));
            assert!(
                (found / expected - 1.0).abs() < 0.02,
                "{fill:?}: {found} instead of {expected}"
            );
        }
    }

    #[test]
    fn orthogonal_blocks_are_orthonormal_and_differ() {
        for (rows, columns) in [(8, 8), (5, 9), (9, 5)] {
            let fill = Fill::Orthogonal { blocks: 3 };
            let values = fill.values(&[3 * rows, columns], STREAM());
            let blocks: Vec<&[f32]> = values.chunks(rows * columns).collect();
            assert_ne!(blocks[0], blocks[1]);
            for block in blocks {
                let at = |i: usize, j: usize| f64::from(block[i * columns + j]);
                let product = |a: usize, b: usize| -> f64 {
                    if rows <= columns {
                        (0..columns).map(|j| at(a, j) * at(b, j)).sum()
                    } else {
                        (0..rows).map(|i| at(i, a) * at(i, b)).sum()
                    }
                };
                for a in 0..rows.min(columns) {
                    for b in 0..rows.min(columns) {
                        let expected = if a == b { 1.0 } else { 0.0 };
                        assert!((product(a, b) - expected).abs() < 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn one_block_has_the_value() {
        let fill = Fill::Block {
            block: 1,
            blocks: 4,
            value: 1.0,
        };
        assert_eq!(
            fill.values(&[8], STREAM()),
            [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn values_depend_on_seed_and_path_and_not_on_order() {
        let make = |seed: u64, path: [&str; 2], before: bool| {
            let init = Init::new(&Device::flex(), seed);
            let fill = Fill::Normal { std: 1.0 };
            if before {
                init.param("other", [3], fill).val();
            }
            init.child(path[0])
                .param::<1>(path[1], [4], fill)
                .val()
                .into_data()
        };
        let reference = make(1, ["a", "w"], false);
        assert_eq!(reference, make(1, ["a", "w"], true));
        assert_ne!(reference, make(2, ["a", "w"], false));
        assert_ne!(reference, make(1, ["b", "w"], false));
        assert_ne!(reference, make(1, ["a", "v"], false));
    }

    #[test]
    fn parameters_are_lazy_and_statistics_have_no_gradient() {
        let init = Init::new(&Device::flex().autodiff(), 1);
        let weight = init.param("weight", [2, 2], Fill::Constant(0.0));
        let mean = init.statistic("running_mean", 2, 0.0);
        assert!(!weight.is_initialized());
        assert!(weight.val().is_require_grad());
        assert!(!mean.val().is_require_grad());
    }
}
