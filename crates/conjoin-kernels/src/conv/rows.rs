//! Rows times a packed weight matrix: a convolution whose kernel is one pixel.
//!
//! Shapes: x `[N, I]`, w `[O, I]`, y `[N, O]`.

use super::finish::Finish;
use super::packed::{Packed, Weights};
use super::pass::{Pass, Taps};
use super::tile::{Row, engine};
use crate::buffer::build_with;

/// Packs `w [O, I]`, neither side 0, and a bias of one value an output.
pub(crate) fn pack_rows(w: &[f32], [outputs, inputs]: [usize; 2], bias: Option<&[f32]>) -> Packed {
    let weights = Weights {
        data: w,
        taps: &[0],
        len: inputs,
        k_step: 1,
        filters: outputs,
        step: inputs,
    };
    Packed::new(engine(), weights, bias)
}

/// `y = x wᵀ + bias` of `rows` rows, and what follows.
///
/// # Panics
/// If `x` has other numbers of values.
pub(crate) fn multiply_rows(
    packed: &Packed,
    x: &[f32],
    rows: usize,
    finish: Finish<'_>,
) -> Vec<f32> {
    let (inputs, outputs) = (packed.depth(), packed.filters());
    assert_eq!(x.len(), rows * inputs, "rows of {inputs} values");
    let lines: Vec<Row> = (0..rows)
        .map(|row| Row {
            from: row * inputs,
            to: row * outputs,
        })
        .collect();
    let pass = Pass {
        packed,
        taps: Taps::new([1, 1], [1, 1], inputs, inputs, inputs),
        source: x,
        source_at: 0,
        out_at: 0,
        rows: &lines,
    };
    // SAFETY: a pass writes every output of its rows, which are all.
    unsafe { build_with(rows * outputs, |y| pass.spread(engine(), y, finish)) }
}
