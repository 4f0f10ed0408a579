//! The vision operations and their gradients against PyTorch (`golden/vision.py`).

use crate::support::{Case, Golden};
use burn::tensor::Tensor;
use conjoin_kernels::batch_norm::{self, batch_norm, batch_norm_eval};
use conjoin_kernels::linear::{self, Activation, linear};
use conjoin_kernels::pool;

const TOLERANCE: f32 = 3e-6;

type BatchNorm<const D: usize> = fn(
    Tensor<D>,
    Tensor<1>,
    Tensor<1>,
    f64,
    Option<Tensor<D>>,
    bool,
) -> (Tensor<D>, Tensor<1>, Tensor<1>);
type BatchNormEval<const D: usize> = fn(
    Tensor<D>,
    Tensor<1>,
    Tensor<1>,
    Tensor<1>,
    Tensor<1>,
    f64,
    Option<Tensor<D>>,
    bool,
) -> Tensor<D>;

fn check_batch_norm<const D: usize>(training: BatchNorm<D>, eval: BatchNormEval<D>) {
    let golden = Golden::read("batch_norm");
    let prefix = format!("{D}d-");
    let names = golden
        .cases()
        .into_iter()
        .filter(|name| name.starts_with(&prefix));
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), 16);
    for name in names {
        let case = Case::new(&golden, &name, TOLERANCE);
        let (training_mode, relu) = (case.option(0) == 1, case.option(1) == 1);
        let (x, residual) = (case.leaf::<D>("x"), case.optional::<D>("residual"));
        let (gamma, beta) = (case.leaf::<1>("gamma"), case.leaf::<1>("beta"));
        let (g, b, r) = (gamma.clone(), beta.clone(), residual.clone());
        let y = if training_mode {
            let (y, mean, var) = training(x.clone(), g, b, 1e-5, r, relu);
            case.equals("mean", mean);
            case.equals("var", var);
            y
        } else {
            eval(
                x.clone(),
                case.constant("mean"),
                case.constant("var"),
                g,
                b,
                1e-5,
                r,
                relu,
            )
        };
        let gradients = case.output(y);
        case.gradient("x", &x, &gradients);
        case.gradient("gamma", &gamma, &gradients);
        case.gradient("beta", &beta, &gradients);
        if let Some(residual) = residual {
            case.gradient("residual", &residual, &gradients);
        }
    }
}

#[test]
fn batch_norm_equals_pytorch() {
    check_batch_norm::<2>(batch_norm, batch_norm_eval);
    check_batch_norm::<4>(batch_norm, batch_norm_eval);
}

#[test]
fn reference_batch_norm_equals_pytorch() {
    check_batch_norm::<2>(batch_norm::reference, batch_norm::eval_reference);
    check_batch_norm::<4>(batch_norm::reference, batch_norm::eval_reference);
}

type Pool = fn(Tensor<4>, usize, usize, usize) -> Tensor<4>;

fn check_pool(
    [max, avg]: [Pool; 2],
    global: fn(Tensor<4>) -> Tensor<2>,
    upsample: fn(Tensor<4>, usize) -> Tensor<4>,
) {
    let golden = Golden::read("pool");
    assert_eq!(golden.cases().len(), 10);
    for name in golden.cases() {
        let case = Case::new(&golden, &name, TOLERANCE);
        let x = case.leaf::<4>("x");
        let pooled = |pool: Pool| pool(x.clone(), case.option(0), case.option(1), case.option(2));
        let gradients = match name.split('-').next() {
            Some("max") => case.output(pooled(max)),
            Some("avg") => case.output(pooled(avg)),
            Some("upsample") => case.output(upsample(x.clone(), case.option(0))),
            _ => case.output(global(x.clone())),
        };
        case.gradient("x", &x, &gradients);
    }
}

#[test]
fn pooling_equals_pytorch() {
    check_pool(
        [pool::max_pool2d, pool::avg_pool2d],
        pool::global_avg_pool,
        pool::upsample_nearest2d,
    );
}

#[test]
fn reference_pooling_equals_pytorch() {
    check_pool(
        [pool::max_pool2d_reference, pool::avg_pool2d_reference],
        pool::global_avg_pool_reference,
        pool::upsample_nearest2d_reference,
    );
}

fn check_linear(operation: fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Activation) -> Tensor<2>) {
    let golden = Golden::read("linear");
    assert_eq!(golden.cases().len(), 14);
    for name in golden.cases() {
        let case = Case::new(&golden, &name, TOLERANCE);
        let activation = match name.split('-').next() {
            Some("relu") => Activation::Relu,
            Some("tanh") => Activation::Tanh,
            Some("sigmoid") => Activation::Sigmoid,
            Some("gelu") => Activation::Gelu,
            Some("gelu_tanh") => Activation::GeluTanh,
            Some("silu") => Activation::Silu,
            _ => Activation::None,
        };
        let (x, w, bias) = (case.leaf("x"), case.leaf("w"), case.optional::<1>("bias"));
        let gradients = case.output(operation(x.clone(), w.clone(), bias.clone(), activation));
        case.gradient("x", &x, &gradients);
        case.gradient("w", &w, &gradients);
        if let Some(bias) = bias {
            case.gradient("bias", &bias, &gradients);
        }
    }
}

#[test]
fn linear_equals_pytorch() {
    check_linear(linear);
    check_linear(linear::reference);
}
