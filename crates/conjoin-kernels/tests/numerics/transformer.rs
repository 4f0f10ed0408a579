//! The operations of transformers, normalisation, activations and embedding against PyTorch
//! (`golden/transformer.py`), by the fused path and by Burn's own operations.

use crate::support::{Case, Golden, TOLERANCE};
use burn::tensor::{Device, Int, Tensor, TensorData};
use conjoin_kernels::activation::{self, Activation, activate};
use conjoin_kernels::attention::{self, MultiHead, multi_head_attention};
use conjoin_kernels::embedding::{self, embedding};
use conjoin_kernels::group_norm::{self, group_norm};
use conjoin_kernels::layer_norm::{self, layer_norm, layer_norm_residual};
use conjoin_kernels::loss::{weighted_reference, weighted_softmax_cross_entropy};
use conjoin_kernels::pool::{avg_pool2d_inside, avg_pool2d_inside_reference};

fn device() -> Device {
    Device::flex().autodiff()
}

type LayerNorm = fn(Tensor<2>, Tensor<1>, Tensor<1>, f64) -> Tensor<2>;
type LayerNormResidual =
    fn(Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>, f64) -> (Tensor<2>, Tensor<2>);

fn check_layer_norm(alone: LayerNorm, with_residual: LayerNormResidual) {
    let golden = Golden::read("layer_norm");
    assert_eq!(golden.cases().len(), 12);
    for name in golden.cases() {
        let case = Case::new(&golden, &name, TOLERANCE);
        let x = case.leaf::<2>("x");
        let weight = case.leaf::<1>("weight");
        let bias = case.leaf::<1>("bias");
        let (w, b) = (weight.clone(), bias.clone());
        let gradients = if let Some(residual) = case.optional::<2>("residual") {
            let (y, sum) = with_residual(x.clone(), residual.clone(), w, b, 1e-5);
            let gradients = case.output(Tensor::cat(vec![y, sum], 1));
            case.gradient("residual", &residual, &gradients);
            gradients
        } else {
            case.output(alone(x.clone(), w, b, 1e-5))
        };
        case.gradient("x", &x, &gradients);
        case.gradient("weight", &weight, &gradients);
        case.gradient("bias", &bias, &gradients);
    }
}

#[test]
fn layer_norm_equals_pytorch() {
    check_layer_norm(layer_norm, layer_norm_residual);
    check_layer_norm(layer_norm::reference, layer_norm::residual_reference);
}

#[test]
fn group_norm_equals_pytorch() {
    let golden = Golden::read("group_norm");
    assert_eq!(golden.cases().len(), 5);
    for operation in [group_norm, group_norm::reference] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let x = case.leaf::<4>("x");
            let weight = case.leaf::<1>("weight");
            let bias = case.leaf::<1>("bias");
            let groups = golden.integers(&name, "groups")[0] as usize;
            let y = operation(x.clone(), groups, weight.clone(), bias.clone(), 1e-5);
            let gradients = case.output(y);
            case.gradient("x", &x, &gradients);
            case.gradient("weight", &weight, &gradients);
            case.gradient("bias", &bias, &gradients);
        }
    }
}

#[test]
fn activations_equal_pytorch() {
    let golden = Golden::read("activation");
    assert_eq!(golden.cases().len(), 6);
    for operation in [activate, activation::reference] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let kind = match name.as_str() {
                "relu" => Activation::Relu,
                "tanh" => Activation::Tanh,
                "sigmoid" => Activation::Sigmoid,
                "gelu" => Activation::Gelu,
                "gelu_tanh" => Activation::GeluTanh,
                _ => Activation::Silu,
            };
            let x = case.leaf::<1>("x");
            let gradients = case.output(operation(x.clone(), kind));
            case.gradient("x", &x, &gradients);
        }
    }
}

#[test]
fn multi_head_attention_equals_pytorch() {
    let golden = Golden::read("multi_head");
    assert_eq!(golden.cases().len(), 10);
    for operation in [
        multi_head_attention,
        attention::reference::multi_head_attention,
    ] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let [q, k, v] = ["q", "k", "v"].map(|name| case.leaf::<3>(name));
            let mask = case.optional::<4>("mask");
            let options = golden.integers(&name, "options");
            let options = MultiHead {
                causal: options[1] == 1,
                lengths: Some(golden.lengths(&name)),
                mask: mask.clone(),
                ..MultiHead::new(options[0] as usize)
            };
            let y = operation(q.clone(), k.clone(), v.clone(), options);
            let gradients = case.output(y);
            case.gradient("q", &q, &gradients);
            case.gradient("k", &k, &gradients);
            case.gradient("v", &v, &gradients);
            if let Some(mask) = mask {
                case.gradient("mask", &mask, &gradients);
            }
        }
    }
}

#[test]
fn embedding_equals_pytorch() {
    let golden = Golden::read("embedding");
    assert_eq!(golden.cases().len(), 4);
    for operation in [embedding, embedding::reference] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let weight = case.leaf::<2>("weight");
            let [batch, time, _] = case.constant::<3>("output").dims();
            let indices = golden.integers(&name, "indices").to_vec();
            let indices =
                Tensor::<2, Int>::from_data(TensorData::new(indices, [batch, time]), &device());
            let padding = usize::try_from(golden.integers(&name, "padding")[0]).ok();
            let y = operation(weight.clone(), indices, padding);
            let gradients = case.output(y);
            case.gradient("weight", &weight, &gradients);
        }
    }
}

#[test]
fn average_pooling_without_padding_equals_pytorch() {
    let golden = Golden::read("average_pool");
    assert_eq!(golden.cases().len(), 4);
    for operation in [avg_pool2d_inside, avg_pool2d_inside_reference] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let x = case.leaf::<4>("x");
            let option = |i: usize| golden.integers(&name, "options")[i] as usize;
            let y = operation(x.clone(), option(0), option(1), option(2));
            let gradients = case.output(y);
            case.gradient("x", &x, &gradients);
        }
    }
}

#[test]
fn weighted_cross_entropy_equals_pytorch() {
    let golden = Golden::read("weighted_cross_entropy");
    assert_eq!(golden.cases().len(), 5);
    for operation in [weighted_softmax_cross_entropy, weighted_reference] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let logits = case.leaf::<2>("logits");
            let targets = golden.integers(&name, "targets").to_vec();
            let count = targets.len();
            let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [count]), &device());
            let weights = case.constant::<1>("weight");
            let ignore = Some(golden.integers(&name, "ignore")[0]).filter(|index| *index != -1000);
            let smoothing = f64::from(golden.floats(&name, "smoothing")[0]);
            let loss = operation(logits.clone(), targets, weights, ignore, smoothing);
            let gradients = case.output(loss);
            case.gradient("logits", &logits, &gradients);
        }
    }
}
