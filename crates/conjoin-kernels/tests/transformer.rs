//! The operations of transformers, normalisation, activations and embedding against PyTorch
//! (`golden/transformer.py`), by the fused path and by Burn's own operations.

mod support;

use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use conjoin_kernels::activation::{self, Activation, activate};
use conjoin_kernels::attention::{self, MultiHead, multi_head_attention};
use conjoin_kernels::embedding::{self, embedding};
use conjoin_kernels::group_norm::{self, group_norm};
use conjoin_kernels::layer_norm::{self, layer_norm, layer_norm_residual};
use conjoin_kernels::loss::{weighted_reference, weighted_softmax_cross_entropy};
use conjoin_kernels::pool::{avg_pool2d_inside, avg_pool2d_inside_reference};
use support::Golden;

fn device() -> Device {
    Device::flex().autodiff()
}

/// Compares the output, and returns the gradients of its product with the probe.
fn output<const D: usize>(golden: &Golden, case: &str, found: Tensor<D>) -> Gradients {
    golden.check(case, "output", found.clone());
    let probe = golden.tensor::<D>(case, "probe", &device());
    (found * probe).sum().backward()
}

fn gradient<const D: usize>(
    golden: &Golden,
    case: &str,
    name: &str,
    leaf: &Tensor<D>,
    gradients: &Gradients,
) {
    let found = leaf.grad(gradients).expect("a gradient");
    golden.check(case, &format!("d_{name}"), found);
}

type LayerNorm = fn(Tensor<2>, Tensor<1>, Tensor<1>, f64) -> Tensor<2>;
type LayerNormResidual =
    fn(Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>, f64) -> (Tensor<2>, Tensor<2>);

fn check_layer_norm(alone: LayerNorm, with_residual: LayerNormResidual) {
    let golden = Golden::read("layer_norm");
    assert_eq!(golden.cases().len(), 12);
    for case in golden.cases() {
        let x = golden.leaf::<2>(&case, "x", &device());
        let weight = golden.leaf::<1>(&case, "weight", &device());
        let bias = golden.leaf::<1>(&case, "bias", &device());
        let (w, b) = (weight.clone(), bias.clone());
        let gradients = if golden.has(&case, "residual") {
            let residual = golden.leaf::<2>(&case, "residual", &device());
            let (y, sum) = with_residual(x.clone(), residual.clone(), w, b, 1e-5);
            let gradients = output(&golden, &case, Tensor::cat(vec![y, sum], 1));
            gradient(&golden, &case, "residual", &residual, &gradients);
            gradients
        } else {
            output(&golden, &case, alone(x.clone(), w, b, 1e-5))
        };
        gradient(&golden, &case, "x", &x, &gradients);
        gradient(&golden, &case, "weight", &weight, &gradients);
        gradient(&golden, &case, "bias", &bias, &gradients);
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
        for case in golden.cases() {
            let x = golden.leaf::<4>(&case, "x", &device());
            let weight = golden.leaf::<1>(&case, "weight", &device());
            let bias = golden.leaf::<1>(&case, "bias", &device());
            let groups = golden.integers(&case, "groups")[0] as usize;
            let y = operation(x.clone(), groups, weight.clone(), bias.clone(), 1e-5);
            let gradients = output(&golden, &case, y);
            gradient(&golden, &case, "x", &x, &gradients);
            gradient(&golden, &case, "weight", &weight, &gradients);
            gradient(&golden, &case, "bias", &bias, &gradients);
        }
    }
}

#[test]
fn activations_equal_pytorch() {
    let golden = Golden::read("activation");
    assert_eq!(golden.cases().len(), 6);
    for operation in [activate, activation::reference] {
        for case in golden.cases() {
            let kind = match case.as_str() {
                "relu" => Activation::Relu,
                "tanh" => Activation::Tanh,
                "sigmoid" => Activation::Sigmoid,
                "gelu" => Activation::Gelu,
                "gelu_tanh" => Activation::GeluTanh,
                _ => Activation::Silu,
            };
            let x = golden.leaf::<1>(&case, "x", &device());
            let gradients = output(&golden, &case, operation(x.clone(), kind));
            gradient(&golden, &case, "x", &x, &gradients);
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
        for case in golden.cases() {
            let [q, k, v] = ["q", "k", "v"].map(|name| golden.leaf::<3>(&case, name, &device()));
            let mask = golden
                .has(&case, "mask")
                .then(|| golden.leaf::<4>(&case, "mask", &device()));
            let options = golden.integers(&case, "options");
            let options = MultiHead {
                causal: options[1] == 1,
                lengths: Some(golden.lengths(&case)),
                mask: mask.clone(),
                ..MultiHead::new(options[0] as usize)
            };
            let y = operation(q.clone(), k.clone(), v.clone(), options);
            let gradients = output(&golden, &case, y);
            gradient(&golden, &case, "q", &q, &gradients);
            gradient(&golden, &case, "k", &k, &gradients);
            gradient(&golden, &case, "v", &v, &gradients);
            if let Some(mask) = mask {
                gradient(&golden, &case, "mask", &mask, &gradients);
            }
        }
    }
}

#[test]
fn embedding_equals_pytorch() {
    let golden = Golden::read("embedding");
    assert_eq!(golden.cases().len(), 4);
    for operation in [embedding, embedding::reference] {
        for case in golden.cases() {
            let weight = golden.leaf::<2>(&case, "weight", &device());
            let [batch, time, _] = golden.tensor::<3>(&case, "output", &device()).dims();
            let indices = golden.integers(&case, "indices").to_vec();
            let indices =
                Tensor::<2, Int>::from_data(TensorData::new(indices, [batch, time]), &device());
            let padding = usize::try_from(golden.integers(&case, "padding")[0]).ok();
            let y = operation(weight.clone(), indices, padding);
            let gradients = output(&golden, &case, y);
            gradient(&golden, &case, "weight", &weight, &gradients);
        }
    }
}

#[test]
fn average_pooling_without_padding_equals_pytorch() {
    let golden = Golden::read("average_pool");
    assert_eq!(golden.cases().len(), 4);
    for operation in [avg_pool2d_inside, avg_pool2d_inside_reference] {
        for case in golden.cases() {
            let x = golden.leaf::<4>(&case, "x", &device());
            let option = |i: usize| golden.integers(&case, "options")[i] as usize;
            let y = operation(x.clone(), option(0), option(1), option(2));
            let gradients = output(&golden, &case, y);
            gradient(&golden, &case, "x", &x, &gradients);
        }
    }
}

#[test]
fn weighted_cross_entropy_equals_pytorch() {
    let golden = Golden::read("weighted_cross_entropy");
    assert_eq!(golden.cases().len(), 5);
    for operation in [weighted_softmax_cross_entropy, weighted_reference] {
        for case in golden.cases() {
            let logits = golden.leaf::<2>(&case, "logits", &device());
            let targets = golden.integers(&case, "targets").to_vec();
            let count = targets.len();
            let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [count]), &device());
            let weights = golden.tensor::<1>(&case, "weight", &device());
            let ignore = Some(golden.integers(&case, "ignore")[0]).filter(|index| *index != -1000);
            let smoothing = f64::from(golden.floats(&case, "smoothing")[0]);
            let loss = operation(logits.clone(), targets, weights, ignore, smoothing);
            let gradients = output(&golden, &case, loss);
            gradient(&golden, &case, "logits", &logits, &gradients);
        }
    }
}
