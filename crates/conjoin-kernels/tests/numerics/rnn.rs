//! LSTM and GRU: PyTorch's outputs and gradients, padding, steps, threads.

use crate::support::{Golden, close, random, same_bits, values};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use conjoin_kernels::rnn::{self, reference};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layer {
    Lstm,
    Gru { reset_after: bool },
}

const LAYERS: [Layer; 3] = [
    Layer::Lstm,
    Layer::Gru { reset_after: true },
    Layer::Gru { reset_after: false },
];

/// Everything that a layer takes; the GRU has a second bias where the LSTM has a cell.
#[derive(Clone)]
struct Inputs {
    x: Tensor<3>,
    h0: Tensor<2>,
    c0: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    b_ih: Tensor<1>,
    b_hh: Tensor<1>,
}

impl Inputs {
    fn random(layer: Layer, [batch, time, inputs, hidden]: [usize; 4], device: &Device) -> Self {
        let rows = if layer == Layer::Lstm {
            4 * hidden
        } else {
            3 * hidden
        };
        Self {
            x: random([batch, time, inputs], 1, device).require_grad(),
            h0: random([batch, hidden], 2, device).require_grad(),
            c0: random([batch, hidden], 3, device).require_grad(),
            w_ih: (random([rows, inputs], 4, device) * 0.5)
                .detach()
                .require_grad(),
            w_hh: (random([rows, hidden], 5, device) * 0.5)
                .detach()
                .require_grad(),
            b_ih: random([rows], 6, device).require_grad(),
            b_hh: random([rows], 7, device).require_grad(),
        }
    }

    fn golden(golden: &Golden, case: &str, layer: Layer, device: &Device) -> Self {
        let cell = if layer == Layer::Lstm { "c0" } else { "h0" };
        Self {
            x: golden.leaf(case, "x", device),
            h0: golden.leaf(case, "h0", device),
            c0: golden.leaf(case, cell, device),
            w_ih: golden.leaf(case, "w_ih", device),
            w_hh: golden.leaf(case, "w_hh", device),
            b_ih: golden.leaf(case, "b_ih", device),
            b_hh: golden.leaf(case, "b_hh", device),
        }
    }

    fn run(&self, layer: Layer, lengths: &[usize], reverse: bool, fused: bool) -> Tensor<3> {
        let Self {
            x,
            h0,
            c0,
            w_ih,
            w_hh,
            b_ih,
            b_hh,
        } = self.clone();
        match layer {
            Layer::Lstm => {
                let lstm = if fused { rnn::lstm } else { reference::lstm };
                lstm(x, h0, c0, w_ih, w_hh, b_ih + b_hh, lengths, reverse)
            }
            Layer::Gru { reset_after } => {
                let gru = if fused { rnn::gru } else { reference::gru };
                gru(x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after)
            }
        }
    }

    /// One step of a layer from a state; the GRU passes the cell on.
    fn step(
        &self,
        layer: Layer,
        x: Tensor<2>,
        [h, c]: [Tensor<2>; 2],
        fused: bool,
    ) -> [Tensor<2>; 2] {
        let Self {
            w_ih,
            w_hh,
            b_ih,
            b_hh,
            ..
        } = self.clone();
        match layer {
            Layer::Lstm => {
                let step = if fused {
                    rnn::lstm_step
                } else {
                    reference::lstm_step
                };
                step(x, h, c, w_ih, w_hh, b_ih + b_hh).into()
            }
            Layer::Gru { reset_after } => {
                let step = if fused {
                    rnn::gru_step
                } else {
                    reference::gru_step
                };
                [step(x, h, w_ih, w_hh, b_ih, b_hh, reset_after), c]
            }
        }
    }

    /// The same without autodiff.
    fn inner(self) -> Self {
        Self {
            x: self.x.inner(),
            h0: self.h0.inner(),
            c0: self.c0.inner(),
            w_ih: self.w_ih.inner(),
            w_hh: self.w_hh.inner(),
            b_ih: self.b_ih.inner(),
            b_hh: self.b_hh.inner(),
        }
    }

    /// The gradients by name.
    fn gradients(&self, layer: Layer, gradients: &Gradients) -> Vec<(&'static str, Vec<f32>)> {
        fn of<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Vec<f32> {
            values(leaf.grad(gradients).expect("a gradient"))
        }
        let mut all = vec![
            ("d_x", of(&self.x, gradients)),
            ("d_h0", of(&self.h0, gradients)),
            ("d_w_ih", of(&self.w_ih, gradients)),
            ("d_w_hh", of(&self.w_hh, gradients)),
            ("d_b_ih", of(&self.b_ih, gradients)),
            ("d_b_hh", of(&self.b_hh, gradients)),
        ];
        if layer == Layer::Lstm {
            all.push(("d_c0", of(&self.c0, gradients)));
        }
        all
    }

    /// The output and all gradients of a weighted sum of it.
    fn pass(
        &self,
        layer: Layer,
        lengths: &[usize],
        reverse: bool,
        fused: bool,
    ) -> Vec<(&'static str, Vec<f32>)> {
        let output = self.run(layer, lengths, reverse, fused);
        let probe = random(output.dims(), 99, &self.x.device());
        let gradients = (output.clone() * probe).sum().backward();
        let mut all = self.gradients(layer, &gradients);
        all.push(("output", values(output)));
        all
    }
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn agrees_with_golden(file: &str, layer: Layer) {
    let golden = Golden::read(file);
    for case in golden.cases() {
        for fused in [true, false] {
            let inputs = Inputs::golden(&golden, &case, layer, &device());
            let reverse = golden.integers(&case, "reverse") == [1];
            let output = inputs.run(layer, &golden.lengths(&case), reverse, fused);
            golden.check(&case, "output", output.clone());
            let probe = golden.tensor::<3>(&case, "probe", &device());
            let gradients = (output * probe).sum().backward();
            for (name, got) in inputs.gradients(layer, &gradients) {
                let name_in = format!("{file} {case}.{name}, fused: {fused}");
                close(&name_in, &got, golden.floats(&case, name), 2e-5);
            }
        }
    }
}

#[test]
fn lstm_equals_pytorch_forward_and_backward() {
    agrees_with_golden("lstm", Layer::Lstm);
}

#[test]
fn gru_equals_pytorch_forward_and_backward() {
    agrees_with_golden("gru", Layer::Gru { reset_after: true });
}

#[test]
fn original_gru_equals_its_formula_forward_and_backward() {
    agrees_with_golden("gru_original", Layer::Gru { reset_after: false });
}

#[test]
fn fused_equals_reference_with_empty_rows_and_wide_layers() {
    for layer in LAYERS {
        for (shape, lengths) in [
            ([4, 3, 5, 6], vec![0, 3, 0, 1]),
            ([1, 2, 3, 4], vec![0]),
            ([9, 4, 33, 70], vec![4, 4, 4, 4, 4, 4, 4, 4, 4]),
            ([30, 5, 8, 24], (0..30).map(|row| row % 6).collect()),
        ] {
            for reverse in [false, true] {
                let inputs = Inputs::random(layer, shape, &device());
                let fused = inputs.pass(layer, &lengths, reverse, true);
                let reference = inputs.pass(layer, &lengths, reverse, false);
                for ((name, got), (_, want)) in fused.iter().zip(&reference) {
                    close(&format!("{layer:?} {shape:?} {name}"), got, want, 3e-5);
                }
            }
        }
    }
}

#[test]
fn what_padding_holds_changes_nothing() {
    let (shape, lengths) = ([5, 6, 3, 10], [2, 6, 0, 5, 1]);
    let [_, time, width, hidden] = shape;
    for layer in LAYERS {
        for reverse in [false, true] {
            let inputs = Inputs::random(layer, shape, &device());
            let clean = inputs.pass(layer, &lengths, reverse, true);
            for junk in [1e30, f32::NAN] {
                let mut x = values(inputs.x.clone());
                for (at, x) in x.iter_mut().enumerate() {
                    if at / width % time >= lengths[at / width / time] {
                        *x = junk;
                    }
                }
                let x = Tensor::<3>::from_data(TensorData::new(x, [5, 6, 3]), &device());
                let inputs = Inputs {
                    x: x.require_grad(),
                    ..inputs.clone()
                };
                let dirty = inputs.pass(layer, &lengths, reverse, true);
                for ((name, clean), (_, dirty)) in clean.iter().zip(&dirty) {
                    same_bits(&format!("{layer:?} {name}"), clean, dirty);
                }
            }
            for (name, stride) in [("output", hidden), ("d_x", width)] {
                let (_, all) = clean.iter().find(|(own, _)| *own == name).expect("a name");
                let padding = all
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| at / stride % time >= lengths[at / stride / time]);
                assert!(
                    padding.into_iter().all(|(_, x)| *x == 0.0),
                    "{name} in the padding"
                );
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours_or_its_padding() {
    for layer in LAYERS {
        let inputs = Inputs::random(layer, [7, 5, 3, 11], &device());
        let lengths = [5, 1, 4, 2, 3, 5, 2];
        let all = inputs.run(layer, &lengths, true, true);
        for (row, &length) in lengths.iter().enumerate() {
            let one = Inputs {
                x: inputs.x.clone().narrow(0, row, 1).narrow(1, 0, length),
                h0: inputs.h0.clone().narrow(0, row, 1),
                c0: inputs.c0.clone().narrow(0, row, 1),
                ..inputs.clone()
            };
            let alone = one.run(layer, &[length], true, true);
            let among = all.clone().narrow(0, row, 1).narrow(1, 0, length);
            same_bits(
                &format!("{layer:?} row {row}"),
                &values(alone),
                &values(among),
            );
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for layer in LAYERS {
        let pass = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| {
                let inputs = Inputs::random(layer, [23, 6, 40, 50], &device());
                let lengths: Vec<usize> = (0..23).map(|row| 1 + row % 6).collect();
                inputs.pass(layer, &lengths, false, true)
            })
        };
        let one = pass(1);
        for threads in [2, 3, 8] {
            for ((name, left), (_, right)) in one.iter().zip(&pass(threads)) {
                same_bits(&format!("{layer:?} {name}, {threads} threads"), left, right);
            }
        }
    }
}

#[test]
fn steps_in_a_loop_equal_the_sequence_forward_and_backward() {
    let (batch, time) = (3, 4);
    for layer in LAYERS {
        let inputs = Inputs::random(layer, [batch, time, 5, 9], &device());
        let whole = inputs.pass(layer, &[time; 3], false, true);

        let mut state = [inputs.h0.clone(), inputs.c0.clone()];
        let mut outputs = Vec::new();
        for t in 0..time {
            let now = inputs.x.clone().narrow(1, t, 1).reshape([batch, 5]);
            state = inputs.step(layer, now, state, true);
            outputs.push(state[0].clone());
        }
        let output: Tensor<3> = Tensor::stack(outputs, 1);
        let probe = random(output.dims(), 99, &device());
        let gradients = (output.clone() * probe).sum().backward();
        let mut steps = inputs.gradients(layer, &gradients);
        steps.push(("output", values(output)));
        for ((name, got), (_, want)) in steps.iter().zip(&whole) {
            close(&format!("{layer:?} {name}"), got, want, 2e-5);
        }
    }
}

#[test]
fn the_cell_of_a_step_carries_a_gradient() {
    let inputs = Inputs::random(Layer::Lstm, [3, 1, 4, 6], &device());
    let mut both = Vec::new();
    for fused in [true, false] {
        let x = inputs.x.clone().reshape([3, 4]);
        let state = [inputs.h0.clone(), inputs.c0.clone()];
        let [_, c] = inputs.step(Layer::Lstm, x, state, fused);
        let probe = random(c.dims(), 98, &device());
        both.push(inputs.gradients(Layer::Lstm, &(c * probe).sum().backward()));
    }
    for ((name, got), (_, want)) in both[0].iter().zip(&both[1]) {
        close(name, got, want, 1e-5);
    }
}

#[test]
fn untracked_inputs_need_no_gradient_and_no_autodiff() {
    for layer in LAYERS {
        let tracked = Inputs::random(layer, [4, 3, 5, 6], &device());
        let constants = tracked.clone().inner();
        let lengths = [3, 2, 1, 3];
        // Without autodiff at all.
        let output = constants.run(layer, &lengths, false, true);
        // Weights alone are trained, on inputs from a device without autodiff.
        let mixed = Inputs {
            w_hh: tracked.w_hh.clone(),
            ..constants
        };
        let mixed_output = mixed.run(layer, &lengths, false, true);
        same_bits("output", &values(output), &values(mixed_output.clone()));
        let probe = random(mixed_output.dims(), 99, &device());
        let gradients = (mixed_output * probe).sum().backward();
        let got = values(tracked.w_hh.grad(&gradients).expect("a gradient"));
        let all = tracked.pass(layer, &lengths, false, true);
        let (_, want) = all
            .iter()
            .find(|(name, _)| *name == "d_w_hh")
            .expect("d_w_hh");
        same_bits("d_w_hh", &got, want);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let good = Inputs::random(Layer::Lstm, [2, 3, 4, 5], &device());
    let refusal = |change: fn(&mut Inputs), layer: Layer, lengths: &[usize]| {
        let mut inputs = good.clone();
        change(&mut inputs);
        let run = AssertUnwindSafe(|| inputs.run(layer, lengths, false, true));
        let panic = catch_unwind(run).expect_err("a panic");
        panic.downcast_ref::<String>().expect("a message").clone()
    };
    let size = "for x [2, 3, 4] and 5 hidden units";
    let states = refusal(
        |i| i.c0 = i.c0.clone().narrow(0, 0, 1),
        Layer::Lstm,
        &[3, 3],
    );
    assert_eq!(
        states,
        format!("lstm: c0 is [1, 5], expected [2, 5] {size}")
    );
    let gates = refusal(|_| (), Layer::Gru { reset_after: true }, &[3, 3]);
    assert_eq!(
        gates,
        format!("gru: w_ih is [20, 4], expected [15, 4] {size}")
    );
    let rows = refusal(|_| (), Layer::Lstm, &[3]);
    assert_eq!(rows, "lstm: 1 lengths for 2 rows");
    let long = refusal(|_| (), Layer::Lstm, &[3, 4]);
    assert_eq!(long, "lstm: row 1 has 4 steps in a tensor of 3");
}
