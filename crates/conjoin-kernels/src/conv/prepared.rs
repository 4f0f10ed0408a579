//! Convolution, batch normalisation, residual sum and ReLU of evaluation in one pass.
//!
//! Normalising by given statistics is a factor and a summand a channel: the factor goes into the weights,
//! the summand is the bias (Jacob et al. 2018, section 3.2). Weights so changed are kept in the layout of
//! the kernel that uses them.

use burn::backend::Flex;
use burn::tensor::Tensor;

use super::finish::Finish;
use super::folded::{Folded, convolve, fold};
use super::op::conv2d;
use super::options::ConvOptions;
use super::paths::path;
use super::shape::ConvShape;
use crate::activation::Activation;
use crate::batch_norm::batch_norm_eval;
use crate::flex::{Dense, host, supported, tensor};
use crate::precision::Precision;
use crate::prepared::Prepared;
use crate::shapes::expect;

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

/// `relu?(norm(conv2d(x, w)) + residual?)` by given statistics: [`conv2d`] without bias, then
/// [`batch_norm_eval`], for `x [B, H, W, C]`, `w [O, kh, kw, C / groups]` and `residual [B, Ho, Wo, O]`, which
/// is the shape of the result, too.
///
/// Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
/// Integer-Arithmetic-Only Inference" (2018), section 3.2, of folding the normalisation into the weights.
///
/// Where nothing is tracked for a gradient, both are one pass in single precision over weights that are
/// `prepared` at the first call; the results then differ from those of two passes by rounding. `prepared`
/// may serve any tensors: it is made anew where they are others than the last time.
///
/// # Panics
/// As the two operations.
#[track_caller]
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
    for (argument, line) in ["mean", "variance", "gamma", "beta"].into_iter().zip(lines) {
        expect("conv2d_norm", argument, &line.dims(), &[shape.filters]);
    }
    if let Some(residual) = &residual {
        let dims = shape.output_dims();
        expect("conv2d_norm", "residual", &residual.dims(), &dims);
    }
    let sources = [host(w), host(mean), host(variance), host(gamma), host(beta)];
    let folded = prepared.0.get(
        &sources,
        |folded: &Folded| folded.path() == path(shape),
        || fold(shape, sources.each_ref().map(Dense::values), eps),
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
