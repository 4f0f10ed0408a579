//! What other test files compare with Burn's operations alone, against PyTorch (`golden/dropout.py`,
//! `golden/steps.py`), by the fused path and by Burn's own operations: dropout, cells of recurrent
//! layers, clipped updates, averages of weights, convolution with a folded normalisation, sparse maps.

use crate::support::{Case, Golden, close, values};
use burn::tensor::{DType, Device, Tensor};
use conjoin_kernels::attention::{self, MultiHead, multi_head_attention};
use conjoin_kernels::conv::{ConvOptions, Norm, PreparedConv, conv2d_norm};
use conjoin_kernels::dropout::{self, dropout};
use conjoin_kernels::optim::{Rule, State, average, squared_norm, squared_norm_of_slices, update};
use conjoin_kernels::rnn::{self, gru_step, lstm_step};
use conjoin_kernels::sparse::{self, SparseMap, sparse_map};

const TOLERANCE: f32 = 1e-5;
/// Of Winograd's kernels, whose transforms cost some digits.
const WINOGRAD: f32 = 5e-5;
/// Of updates, which are a few roundings each.
const UPDATE: f32 = 1e-6;

fn device() -> Device {
    Device::flex().autodiff()
}

/// A number that the golden files hold in thousandths.
fn thousandths(number: i64) -> f64 {
    number as f64 / 1000.0
}

#[test]
fn dropout_equals_pytorch() {
    let golden = Golden::read("dropout");
    assert_eq!(golden.cases().len(), 5);
    for operation in [dropout::<3>, dropout::reference::<3>] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, UPDATE);
            let settings = golden.integers(&name, "settings");
            let x = case.leaf::<3>("x");
            let y = operation(x.clone(), thousandths(settings[0]), settings[1] as u64);
            let gradients = case.output(y);
            case.gradient("x", &x, &gradients);
        }
    }
}

#[test]
fn dropout_of_several_blocks_drops_the_same_numbers() {
    let golden = Golden::read("dropout");
    let settings = golden.integers("blocks", "settings");
    let (p, seed, count) = (
        thousandths(settings[0]),
        settings[1] as u64,
        settings[2] as usize,
    );
    let kept = golden.integers("blocks", "kept");
    let scale = (1.0 / (1.0 - p)) as f32;
    let factor = |i: usize| f32::from((kept[i / 64] >> (i % 64)) & 1 == 1) * scale;
    let factors: Vec<f32> = (0..count).map(factor).collect();
    for operation in [dropout::<1>, dropout::reference::<1>] {
        let x = Tensor::<1>::ones([count], &device()).require_grad();
        let y = operation(x.clone(), p, seed);
        let gradients = (y.clone() * 2.0).sum().backward();
        assert!(values(y) == factors, "other numbers are dropped");
        let dx = values(x.grad(&gradients).expect("a gradient") / 2.0);
        assert!(dx == factors, "other gradients are dropped");
    }
}

#[test]
fn attention_with_dropout_equals_pytorch() {
    let golden = Golden::read("attention_dropout");
    assert_eq!(golden.cases().len(), 9);
    for operation in [
        multi_head_attention,
        attention::reference::multi_head_attention,
    ] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let [q, k, v] = ["q", "k", "v"].map(|name| case.leaf::<3>(name));
            let mask = case.optional::<4>("mask");
            let &[heads, causal, scale, p, seed] = golden.integers(&name, "settings") else {
                panic!("{name} has other settings");
            };
            let options = MultiHead {
                scale: (scale > 0).then(|| thousandths(scale)),
                causal: causal == 1,
                lengths: Some(golden.lengths(&name)),
                mask: mask.clone(),
                dropout: Some((thousandths(p), seed as u64)),
                ..MultiHead::new(heads as usize)
            };
            let gradients = case.output(operation(q.clone(), k.clone(), v.clone(), options));
            case.gradient("q", &q, &gradients);
            case.gradient("k", &k, &gradients);
            case.gradient("v", &v, &gradients);
            if let Some(mask) = mask {
                case.gradient("mask", &mask, &gradients);
            }
        }
    }
}

/// Checks a cell; the step takes weights, biases, `x` and the states.
fn check_cell(
    kind: &str,
    states: &[&str],
    step: impl Fn([Tensor<2>; 2], [Tensor<1>; 2], Tensor<2>, &[Tensor<2>]) -> Tensor<2>,
) {
    let golden = Golden::read("cells");
    let names: Vec<_> = golden
        .cases()
        .into_iter()
        .filter(|name| name.starts_with(kind))
        .collect();
    assert_eq!(names.len(), 4);
    for name in names {
        let case = Case::new(&golden, &name, TOLERANCE);
        let weights = ["w_ih", "w_hh"].map(|name| case.leaf::<2>(name));
        let biases = ["b_ih", "b_hh"].map(|name| case.leaf::<1>(name));
        let x = case.leaf::<2>("x");
        let states: Vec<_> = states
            .iter()
            .map(|&name| (name, case.leaf::<2>(name)))
            .collect();
        let own: Vec<_> = states.iter().map(|(_, state)| state.clone()).collect();
        let y = step(weights.clone(), biases.clone(), x.clone(), &own);
        let gradients = case.output(y);
        case.gradient("x", &x, &gradients);
        for (name, state) in &states {
            case.gradient(name, state, &gradients);
        }
        for (name, weight) in ["w_ih", "w_hh"].iter().zip(&weights) {
            case.gradient(name, weight, &gradients);
        }
        for (name, bias) in ["b_ih", "b_hh"].iter().zip(&biases) {
            case.gradient(name, bias, &gradients);
        }
    }
}

#[test]
fn lstm_step_equals_pytorchs_cell() {
    for step in [lstm_step, rnn::reference::lstm_step] {
        check_cell(
            "lstm",
            &["h", "c"],
            |[w_ih, w_hh], [b_ih, b_hh], x, state| {
                let (h, c) = (state[0].clone(), state[1].clone());
                let (h, c) = step(x, h, c, w_ih, w_hh, b_ih + b_hh);
                Tensor::cat(vec![h, c], 1)
            },
        );
    }
}

#[test]
fn gru_step_equals_pytorchs_cell() {
    for step in [gru_step, rnn::reference::gru_step] {
        check_cell("gru", &["h"], |[w_ih, w_hh], [b_ih, b_hh], x, state| {
            step(x, state[0].clone(), w_ih, w_hh, b_ih, b_hh, true)
        });
    }
}

/// Parameters of the clipped updates, and steps.
const PARAMETERS: [&str; 3] = ["0", "1", "2"];
const STEPS: usize = 3;

/// The numbers of one of several steps, which lie behind one another.
fn of_step(values: &[f32], step: usize, steps: usize) -> &[f32] {
    let size = values.len() / steps;
    &values[step * size..][..size]
}

fn optimiser(name: &str) -> (Rule, f64) {
    let sgd = |momentum: f64, nesterov: bool, weight_decay: f64| Rule::Sgd {
        momentum,
        dampening: 0.0,
        nesterov,
        weight_decay,
    };
    let adamw = Rule::AdamW {
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.1,
    };
    match name {
        "sgd" => (sgd(0.0, false, 0.0), 0.05),
        "nesterov" => (sgd(0.9, true, 0.01), 0.05),
        _ => (adamw, 0.01),
    }
}

/// Steps of all parameters, clipped by their common norm as `clip_grad_norm_` does it; in double
/// precision by Burn's operations.
fn check_clipping(golden: &Golden, name: &str, limit: &str, double: bool) {
    let (rule, lr) = optimiser(name);
    let largest = f64::from(golden.floats("limit", limit)[0]);
    let line = |values: &[f32]| {
        let line = Tensor::<1>::from_floats(values, &device());
        if double { line.cast(DType::F64) } else { line }
    };
    let mut params = PARAMETERS.map(|i| line(golden.floats("start", i)).require_grad());
    let mut states = params.each_ref().map(|param| State::new(&rule, param));
    let mut clipped = Vec::new();
    for step in 0..STEPS {
        let grads = PARAMETERS.map(|i| of_step(golden.floats("grad", i), step, STEPS));
        let lines = grads.map(|grad| Tensor::<1>::from_floats(grad, &device()));
        let squares: f64 = lines.iter().map(squared_norm).sum();
        let norm = squares.sqrt();
        let expected = f64::from(golden.floats("norm", limit)[step]);
        for found in [norm, squared_norm_of_slices(&grads).sqrt()] {
            let error = (found - expected).abs();
            assert!(error <= 1e-6 * expected, "{found}, expected {expected}");
        }
        let clip = (largest / (norm + 1e-6)).min(1.0);
        clipped.push(clip < 1.0);
        for (i, index) in PARAMETERS.iter().enumerate() {
            let (param, state) = (params[i].clone(), &mut states[i]);
            params[i] = update(&rule, param, line(grads[i]), state, lr, clip);
            let found = values(params[i].clone().cast(DType::F32));
            let case = format!("{name}_{limit}");
            let want = of_step(golden.floats(&case, index), step, STEPS);
            let what = format!("{case}.{index}, step {step}, double: {double}");
            close(&what, &found, want, UPDATE);
        }
    }
    let large = limit == "clips";
    assert_eq!(clipped, [large, false, large]);
}

#[test]
fn clipped_steps_equal_pytorch() {
    let golden = Golden::read("clipping");
    for name in ["sgd", "nesterov", "adamw"] {
        for limit in ["clips", "keeps"] {
            check_clipping(&golden, name, limit, false);
            check_clipping(&golden, name, limit, true);
        }
    }
}

#[test]
fn averages_of_weights_equal_pytorch() {
    let golden = Golden::read("average");
    assert_eq!(golden.cases().len(), 3);
    for (name, double) in golden.cases().iter().flat_map(|c| [(c, false), (c, true)]) {
        let decay = thousandths(golden.integers(name, "decay")[0]);
        let [steps, _] = golden.tensor::<2>(name, "weights", &device()).dims();
        let weight = |step: usize| {
            let weight = of_step(golden.floats(name, "weights"), step, steps);
            let weight = Tensor::<1>::from_floats(weight, &device());
            if double {
                weight.cast(DType::F64)
            } else {
                weight
            }
        };
        // The first step copies.
        let mut kept = weight(0).inner();
        for step in 1..steps {
            kept = average(kept, weight(step), decay);
            let found = values(kept.clone().cast(DType::F32));
            let what = format!("{name}, step {step}, double: {double}");
            let want = of_step(golden.floats(name, "averages"), step, steps);
            close(&what, &found, want, UPDATE);
        }
    }
}

/// The operands of a convolution and what follows it, on a device that tracks or one that does not.
struct Convolution {
    x: Tensor<4>,
    w: Tensor<4>,
    norm: Norm,
    residual: Option<Tensor<4>>,
    relu: bool,
    options: ConvOptions<2>,
}

impl Convolution {
    fn golden(golden: &Golden, name: &str, device: &Device) -> Self {
        let line = |tensor: &str| golden.tensor::<1>(name, tensor, device);
        let options = golden.floats(name, "options");
        let residual = golden.has(name, "residual");
        Self {
            x: golden.tensor(name, "x", device),
            w: golden.tensor(name, "w", device),
            norm: Norm {
                mean: line("mean"),
                variance: line("variance"),
                gamma: line("gamma"),
                beta: line("beta"),
                eps: f64::from(options[4]) / 1e6,
            },
            residual: residual.then(|| golden.tensor(name, "residual", device)),
            relu: options[3] == 1.0,
            options: ConvOptions::new(options[0] as usize, options[1] as usize)
                .groups(options[2] as usize),
        }
    }

    fn run(&self, prepared: &PreparedConv) -> Tensor<4> {
        let (x, w, norm) = (self.x.clone(), self.w.clone(), self.norm.clone());
        let (residual, options) = (self.residual.clone(), self.options);
        conv2d_norm(x, w, norm, residual, self.relu, options, prepared)
    }
}

#[test]
fn convolution_with_normalisation_equals_pytorch() {
    let golden = Golden::read("conv_norm");
    assert_eq!(golden.cases().len(), 8);
    for name in golden.cases() {
        // Folded: the second call takes what the first one prepared.
        let call = Convolution::golden(&golden, &name, &Device::flex());
        let winograd = call.w.dims() == [16, 3, 3, 16];
        let tolerance = if winograd { WINOGRAD } else { TOLERANCE };
        let case = Case::new(&golden, &name, tolerance);
        let prepared = PreparedConv::default();
        case.equals("y", call.run(&prepared));
        case.equals("y", call.run(&prepared));
        // Two operations, with gradients where the file has them.
        let mut call = Convolution::golden(&golden, &name, &device());
        call.x = call.x.require_grad();
        call.w = call.w.require_grad();
        call.norm.gamma = call.norm.gamma.require_grad();
        call.norm.beta = call.norm.beta.require_grad();
        call.residual = call.residual.map(Tensor::require_grad);
        let y = call.run(&prepared);
        case.equals("y", y.clone());
        assert_eq!(winograd, !golden.has(&name, "dy"));
        if winograd {
            continue;
        }
        let gradients = case.output(y);
        case.gradient("x", &call.x, &gradients);
        case.gradient("w", &call.w, &gradients);
        case.gradient("gamma", &call.norm.gamma, &gradients);
        case.gradient("beta", &call.norm.beta, &gradients);
        if let Some(residual) = &call.residual {
            case.gradient("residual", residual, &gradients);
        }
    }
}

#[test]
fn sparse_maps_equal_pytorch() {
    let golden = Golden::read("sparse");
    assert_eq!(golden.cases().len(), 5);
    for operation in [sparse_map, sparse::reference] {
        for name in golden.cases() {
            let case = Case::new(&golden, &name, TOLERANCE);
            let (x, y) = (case.leaf::<3>("x"), case.constant::<3>("y"));
            let mut rows = vec![Vec::new(); y.dims()[1]];
            let places = golden.integers(&name, "outputs").iter();
            let places = places.zip(golden.integers(&name, "inputs"));
            for ((output, input), weight) in places.zip(golden.floats(&name, "weight")) {
                rows[*output as usize].push((*input as usize, *weight));
            }
            let map = SparseMap::new(x.dims()[1], &rows);
            let gradients = case.output(operation(x.clone(), &map));
            case.gradient("x", &x, &gradients);
        }
    }
}
