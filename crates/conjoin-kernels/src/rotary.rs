//! Rotary positions: pairs of neighbours are turned by an angle that grows with the position, so that
//! products of queries and keys depend on distances.
//!
//! Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021). Shape
//! legend: `B` rows, `T` steps, `H` heads of `W` numbers side by side.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData};

use crate::buffer::{BLOCK, build_one};
use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::simd::{Isa, Kernel, mul_add, run};

/// Turns every pair `(x[2i], x[2i + 1])` of a head of `x [B, T, H·W]` by `t / base^(2i / W)`, the first
/// step standing at position `t = first`:
/// `y[2i] = x[2i] cos a - x[2i + 1] sin a`, `y[2i + 1] = x[2i] sin a + x[2i + 1] cos a` with that angle `a`.
///
/// Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021), equation 34,
/// where `base` is 10,000.
///
/// # Panics
/// Unless the heads share the numbers of a step evenly and each has an even number of them.
#[track_caller]
pub fn rotary(x: Tensor<3>, heads: usize, first: usize, base: f64) -> Tensor<3> {
    let dims = x.dims();
    let size = dims[2];
    assert!(
        heads > 0 && size.is_multiple_of(2 * heads),
        "rotary: x has {size} numbers a step, which {heads} heads do not share in pairs"
    );
    if !supported(&x) {
        return reference(x, heads, first, base);
    }
    let turns = turns(first, dims[1], size / heads, base);
    let operation = Rotary {
        dims,
        width: size / heads,
        turns: Arc::new(turns),
    };
    apply(operation, [x.into_dispatch()])
}

/// [`rotary`] by Burn's own operations, for any device.
pub fn reference(x: Tensor<3>, heads: usize, first: usize, base: f64) -> Tensor<3> {
    let [rows, time, size] = x.dims();
    let width = size / heads;
    let (device, dtype) = (x.device(), x.dtype());
    let turns = turns(first, time, width, base);
    let table = |part: usize| {
        let values: Vec<f32> = turns.iter().map(|turn| turn[part]).collect();
        let data = TensorData::new(values, [1, time, 1, width / 2, 1]);
        Tensor::<5>::from_data(data, (&device, dtype))
    };
    let (cos, sin) = (table(0), table(1));
    let x = x.reshape([rows, time, heads, width / 2, 2]);
    let (even, odd) = (x.clone().narrow(4, 0, 1), x.narrow(4, 1, 1));
    let turned = vec![
        even.clone() * cos.clone() - odd.clone() * sin.clone(),
        even * sin + odd * cos,
    ];
    Tensor::cat(turned, 4).reshape([rows, time, size])
}

/// Cosine and sine of the angles `[T, W / 2]`.
fn turns(first: usize, time: usize, width: usize, base: f64) -> Vec<[f32; 2]> {
    let rates: Vec<f64> = (0..width / 2)
        .map(|pair| base.powf(-2.0 * pair as f64 / width as f64))
        .collect();
    (first..first + time)
        .flat_map(|t| {
            rates.iter().map(move |rate| {
                let (sin, cos) = (t as f64 * rate).sin_cos();
                [cos as f32, sin as f32]
            })
        })
        .collect()
}

#[derive(Clone, Debug)]
struct Rotary {
    dims: [usize; 3],
    width: usize,
    turns: Arc<Vec<[f32; 2]>>,
}

impl Fused<1> for Rotary {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        (self.turn(x, 1.0), ())
    }

    /// A rotation's inverse is its transpose.
    fn backward(&self, (): (), dy: Dense, [wanted]: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [wanted.then(|| self.turn(&dy, -1.0))]
    }
}

impl Rotary {
    /// Turns forth (`direction` 1) or back (-1).
    fn turn(&self, x: &Dense, direction: f32) -> FlexTensor {
        let [_, time, size] = self.dims;
        let x = x.values();
        let task = (BLOCK / size.max(1)).max(1) * size.max(1);
        let y = build_one(x.len(), task, |first, y| {
            run(Turn {
                x: &x[first..][..y.len()],
                first: first / size % time,
                time,
                size,
                width: self.width,
                turns: &self.turns,
                direction,
                y,
            });
        });
        tensor(y, self.dims)
    }
}

/// A block of steps, whose first is step `first` of its row.
struct Turn<'a> {
    x: &'a [f32],
    first: usize,
    time: usize,
    size: usize,
    width: usize,
    turns: &'a [[f32; 2]],
    direction: f32,
    y: &'a mut [f32],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let steps = self.x.chunks_exact(self.size);
        let pairs = self.width / 2;
        for (step, (x, y)) in steps.zip(self.y.chunks_exact_mut(self.size)).enumerate() {
            let t = (self.first + step) % self.time;
            let turns = &self.turns[t * pairs..][..pairs];
            let heads = x.chunks_exact(self.width);
            for (x, y) in heads.zip(y.chunks_exact_mut(self.width)) {
                let numbers = x.as_chunks::<2>().0.iter().zip(y.as_chunks_mut::<2>().0);
                for ((x, y), [cos, sin]) in numbers.zip(turns) {
                    let sin = sin * self.direction;
                    y[0] = mul_add(isa, x[0], *cos, -(x[1] * sin));
                    y[1] = mul_add(isa, x[0], sin, x[1] * cos);
                }
            }
        }
    }
}
