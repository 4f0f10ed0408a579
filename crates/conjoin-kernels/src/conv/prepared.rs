//! Convolution, batch normalisation, residual sum and ReLU of evaluation in one pass.
//!
//! Normalising by given statistics is a factor and a summand a channel: the factor goes into the weights,
//! the summand is the bias (Jacob et al. 2018, section 3.2). Weights so changed are kept in the layout of
//! the kernel that uses them.

use burn::backend::Flex;
use burn::tensor::Tensor;

use super::finish::Finish;
use super::op::conv2d;
use super::options::ConvOptions;
use super::packed::Packed;
use super::paths::{Path, path};
use super::shape::ConvShape;
use super::{depthwise, direct, winograd};
use crate::activation::Activation;
use crate::batch_norm::batch_norm_eval;
use crate::buffer::build_with;
use crate::flex::{Dense, host, supported, tensor};
use crate::precision::Precision;
use crate::prepared::Prepared;

/// Statistics and weights of a batch normalisation, `[O]` each.
#[derive(Clone, Debug)]
pub struct Norm {
    pub mean: Tensor<1>,
    pub variance: Tensor<1>,
    pub gamma: Tensor<1>,
    pub beta: Tensor<1>,
    /// Added to the variance.
    pub eps: f64,
}

/// What [`conv2d_norm`] keeps from one call to the next: weights with the normalisation's factors in the
/// layout of a kernel. A clone keeps nothing yet.
#[derive(Clone, Debug, Default)]
pub struct PreparedConv(Prepared<Folded>);

#[derive(Debug)]
struct Folded {
    kernel: Kernel,
    bias: Vec<f32>,
}

/// Weights in the layout of each path.
#[derive(Debug)]
enum Kernel {
    Winograd(Vec<f32>),
    /// One a group.
    Direct(Vec<Packed>),
    Depthwise(Vec<f32>),
}

impl Kernel {
    fn path(&self) -> Path {
        match self {
            Self::Winograd(_) => Path::Winograd,
            Self::Direct(_) => Path::Direct,
            Self::Depthwise(_) => Path::Depthwise,
        }
    }
}

/// `relu?(norm(conv2d(x, w)) + residual?)` by given statistics: [`conv2d`] without bias, then
/// [`batch_norm_eval`].
///
/// Where nothing is tracked for a gradient, both are one pass in single precision over weights that are
/// `prepared` at the first call; the results then differ from those of two passes by rounding. `prepared`
/// may serve any tensors: it is made anew where they are others than the last time.
///
/// # Panics
/// As the two operations.
pub fn conv2d_norm(
    x: Tensor<4>,
    w: Tensor<4>,
    norm: Norm,
    residual: Option<Tensor<4>>,
    relu: bool,
    options: ConvOptions<2>,
    prepared: &PreparedConv,
) -> Tensor<4> {
    let Norm {
        mean,
        variance,
        gamma,
        beta,
        eps,
    } = norm;
    let lines = [&mean, &variance, &gamma, &beta];
    let plain = |x: &Tensor<4>| supported(x) && !x.is_autodiff();
    let eligible = Precision::current() == Precision::F32
        && plain(&x)
        && plain(&w)
        && residual.as_ref().is_none_or(plain)
        && lines
            .iter()
            .all(|line| supported(line) && !line.is_autodiff());
    if !eligible {
        // Whoever trains changes the weights: nothing is kept of them.
        prepared.0.clear();
        let y = conv2d(x, w, None, options);
        return batch_norm_eval(y, mean, variance, gamma, beta, eps, residual, relu);
    }
    let shape = ConvShape::new("conv2d_norm", x.dims(), w.dims(), options);
    for line in lines {
        assert_eq!(
            line.dims(),
            [shape.filters],
            "conv2d_norm: one value a filter"
        );
    }
    if let Some(residual) = &residual {
        let dims = shape.output_dims();
        assert_eq!(
            residual.dims(),
            dims,
            "conv2d_norm: the residual has the output's shape"
        );
    }
    let sources = [host(w), host(mean), host(variance), host(gamma), host(beta)];
    let folded = prepared.0.get(
        &sources,
        |folded| folded.kernel.path() == path(shape),
        || fold(shape, &sources, eps),
    );
    let (x, residual) = (host(x), residual.map(host));
    let finish = Finish {
        residual: residual.as_ref().map(Dense::values),
        activation: if relu {
            Activation::Relu
        } else {
            Activation::None
        },
    };
    let y = convolve(shape, x.values(), &folded, finish);
    Tensor::from_primitive::<Flex>(tensor(y, shape.output_dims()))
}

/// Takes the normalisation into weights and bias, and lays the weights out.
fn fold(shape: ConvShape, [w, mean, variance, gamma, beta]: &[Dense; 5], eps: f64) -> Folded {
    let scale = gamma.values().iter().zip(variance.values());
    let scale: Vec<f64> = scale
        .map(|(g, v)| f64::from(*g) / (f64::from(*v) + eps).sqrt())
        .collect();
    let shift = beta.values().iter().zip(mean.values()).zip(&scale);
    let bias: Vec<f32> = shift
        .map(|((b, m), scale)| (f64::from(*b) - f64::from(*m) * scale) as f32)
        .collect();
    let mut weights = w.values().to_vec();
    let filter = shape.filter();
    for (weights, scale) in weights.chunks_exact_mut(filter.max(1)).zip(&scale) {
        for weight in weights {
            *weight = (f64::from(*weight) * scale) as f32;
        }
    }
    let kernel = match path(shape) {
        Path::Winograd => Kernel::Winograd(winograd::transformed(shape, &weights)),
        Path::Depthwise => Kernel::Depthwise(weights),
        Path::Direct => Kernel::Direct(direct::pack(shape, &weights, Some(&bias))),
    };
    Folded { kernel, bias }
}

fn convolve(shape: ConvShape, x: &[f32], folded: &Folded, finish: Finish<'_>) -> Vec<f32> {
    let bias = Some(folded.bias.as_slice());
    let len = shape.batch * shape.out_image();
    // SAFETY: every kernel writes every output; see there.
    let mut y = unsafe {
        build_with(len, |y| match &folded.kernel {
            Kernel::Winograd(kernel) => winograd::convolve(shape, x, kernel, bias, finish, y),
            Kernel::Depthwise(w) => depthwise::forward(shape, x, w, bias, y),
            Kernel::Direct(packed) => direct::convolve(shape, x, packed, finish, y),
        })
    };
    if let Kernel::Depthwise(_) = folded.kernel {
        finish.apply(0, &mut y);
    }
    y
}
