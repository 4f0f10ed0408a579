//! The updates on slices: vectorised, one pass, parallel over blocks.

use rayon::prelude::*;

use crate::shapes::expect;
use crate::simd::{Isa, Kernel, mul_add, run};

/// Values of a block: small parameters stay on the calling thread.
const BLOCK: usize = 1 << 14;

/// Constants of one step of Adam; see [`adam`].
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Factor on the gradient.
    pub clip: f32,
    /// L2 weight decay, added to the gradient.
    pub l2: f32,
    /// Factor on the parameter: `1 - lr · decay` for decoupled weight decay, else 1.
    pub shrink: f32,
    /// Decay of the two moments, and `1 - decay`, which is rounded once from double precision.
    pub beta1: f32,
    pub rest1: f32,
    pub beta2: f32,
    pub rest2: f32,
    /// Added to the root.
    pub eps: f32,
    /// `lr / (1 - beta1^t)` and `sqrt(1 - beta2^t)`.
    pub step_size: f32,
    pub root_correction: f32,
}

/// Constants of one step of SGD; see [`sgd`].
#[derive(Clone, Copy, Debug)]
pub struct SgdStep {
    /// Factor on the gradient, and L2 weight decay.
    pub clip: f32,
    pub l2: f32,
    pub lr: f32,
    pub momentum: f32,
    /// Share of the gradient that enters the buffer: `1 - dampening`, and 1 in the first step.
    pub take: f32,
    pub nesterov: bool,
}

impl Default for SgdStep {
    fn default() -> Self {
        Self {
            clip: 1.0,
            l2: 0.0,
            lr: 1e-3,
            momentum: 0.0,
            take: 1.0,
            nesterov: false,
        }
    }
}

/// Constants of one step of RMSprop; see [`rmsprop`].
#[derive(Clone, Copy, Debug)]
pub struct RmsPropStep {
    /// Factor on the gradient, and L2 weight decay.
    pub clip: f32,
    pub l2: f32,
    pub lr: f32,
    /// Decay of the mean square, and `1 - alpha`.
    pub alpha: f32,
    pub rest: f32,
    /// Added to the root.
    pub eps: f32,
    pub momentum: f32,
}

/// `m = β₁m + (1-β₁)g; v = β₂v + (1-β₂)g²; p -= step_size · m / (sqrt(v) / root_correction + eps)`.
///
/// # Panics
/// If the lengths differ.
#[track_caller]
pub fn adam(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: &AdamStep) {
    for (argument, len) in [("g", g.len()), ("m", m.len()), ("v", v.len())] {
        expect("adam", argument, &[len], &[p.len()]);
    }
    p.par_chunks_mut(BLOCK)
        .zip(g.par_chunks(BLOCK))
        .zip(m.par_chunks_mut(BLOCK).zip(v.par_chunks_mut(BLOCK)))
        .for_each(|((p, g), (m, v))| run(Adam { p, g, m, v, step }));
}

struct Adam<'a> {
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    step: &'a AdamStep,
}

impl Kernel for Adam<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let s = *self.step;
        let moments = self.m.iter_mut().zip(self.v.iter_mut());
        for ((p, &g), (m, v)) in self.p.iter_mut().zip(self.g).zip(moments) {
            let g = mul_add(isa, s.l2, *p, g * s.clip);
            // As `lerp`: from the old moment towards the gradient.
            *m = mul_add(isa, s.rest1, g - *m, *m);
            *v = mul_add(isa, s.rest2 * g, g, *v * s.beta2);
            let root = v.sqrt() / s.root_correction + s.eps;
            *p = *p * s.shrink - s.step_size * (*m / root);
        }
    }
}

/// `b = momentum · b + take · g; p -= lr · b` (Nesterov: `p -= lr · (g + momentum · b)`). With an
/// empty buffer `p -= lr · g`.
///
/// # Panics
/// If the lengths differ (the buffer may be empty).
#[track_caller]
pub fn sgd(p: &mut [f32], g: &[f32], buffer: &mut [f32], step: &SgdStep) {
    expect("sgd", "g", &[g.len()], &[p.len()]);
    let blocks = p.par_chunks_mut(BLOCK).zip(g.par_chunks(BLOCK));
    if buffer.is_empty() {
        blocks.for_each(|(p, g)| run(Sgd { p, g, step }));
    } else {
        expect("sgd", "buffer", &[buffer.len()], &[g.len()]);
        blocks
            .zip(buffer.par_chunks_mut(BLOCK))
            .for_each(|((p, g), buffer)| run(Momentum { p, g, buffer, step }));
    }
}

struct Sgd<'a> {
    p: &'a mut [f32],
    g: &'a [f32],
    step: &'a SgdStep,
}

impl Kernel for Sgd<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let s = *self.step;
        for (p, &g) in self.p.iter_mut().zip(self.g) {
            let g = mul_add(isa, s.l2, *p, g * s.clip);
            *p = mul_add(isa, -s.lr, g, *p);
        }
    }
}

struct Momentum<'a> {
    p: &'a mut [f32],
    g: &'a [f32],
    buffer: &'a mut [f32],
    step: &'a SgdStep,
}

impl Kernel for Momentum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let s = *self.step;
        // Nesterov looks ahead by the momentum; the plain rule follows the buffer alone.
        let (own, ahead) = if s.nesterov {
            (1.0, s.momentum)
        } else {
            (0.0, 1.0)
        };
        for ((p, &g), b) in self.p.iter_mut().zip(self.g).zip(self.buffer.iter_mut()) {
            let g = mul_add(isa, s.l2, *p, g * s.clip);
            *b = mul_add(isa, s.take, g, *b * s.momentum);
            *p = mul_add(isa, -s.lr, mul_add(isa, ahead, *b, own * g), *p);
        }
    }
}

/// `s = α s + (1-α) g²; d = g / (sqrt(s) + eps); p -= lr · d`. With `mean` (centered) the root is of
/// `s - mean²`, `mean` following the gradient; with `buffer`, `b = momentum · b + d; p -= lr · b`.
///
/// # Panics
/// If the lengths differ (`mean` and `buffer` may be empty).
#[track_caller]
pub fn rmsprop(
    p: &mut [f32],
    g: &[f32],
    square: &mut [f32],
    mean: &mut [f32],
    buffer: &mut [f32],
    step: &RmsPropStep,
) {
    for (argument, len) in [("g", g.len()), ("square", square.len())] {
        expect("rmsprop", argument, &[len], &[p.len()]);
    }
    for (argument, slice) in [("mean", &*mean), ("buffer", &*buffer)] {
        if !slice.is_empty() {
            expect("rmsprop", argument, &[slice.len()], &[p.len()]);
        }
    }
    let count = p.len().div_ceil(BLOCK);
    let (means, buffers) = (blocks(mean, count), blocks(buffer, count));
    p.par_chunks_mut(BLOCK)
        .zip(g.par_chunks(BLOCK))
        .zip(square.par_chunks_mut(BLOCK))
        .zip(means.into_par_iter().zip(buffers))
        .for_each(|(((p, g), square), (mean, buffer))| {
            run(RmsProp {
                p,
                g,
                square,
                mean,
                buffer,
                step,
            });
        });
}

/// The blocks of a slice, or `count` empty ones if it is empty.
fn blocks(slice: &mut [f32], count: usize) -> Vec<&mut [f32]> {
    if slice.is_empty() {
        (0..count).map(|_| Default::default()).collect()
    } else {
        slice.chunks_mut(BLOCK).collect()
    }
}

struct RmsProp<'a> {
    p: &'a mut [f32],
    g: &'a [f32],
    square: &'a mut [f32],
    mean: &'a mut [f32],
    buffer: &'a mut [f32],
    step: &'a RmsPropStep,
}

impl Kernel for RmsProp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        match (self.mean.is_empty(), self.buffer.is_empty()) {
            (true, true) => self.variant::<S, false, false>(isa),
            (true, false) => self.variant::<S, false, true>(isa),
            (false, true) => self.variant::<S, true, false>(isa),
            (false, false) => self.variant::<S, true, true>(isa),
        }
    }
}

impl RmsProp<'_> {
    #[inline(always)]
    fn variant<S: Isa, const CENTRED: bool, const MOMENTUM: bool>(self, isa: S) {
        let s = *self.step;
        let n = self.p.len();
        let (p, g, square) = (self.p, &self.g[..n], &mut self.square[..n]);
        let mean = if CENTRED {
            &mut self.mean[..n]
        } else {
            self.mean
        };
        let buffer = if MOMENTUM {
            &mut self.buffer[..n]
        } else {
            self.buffer
        };
        for i in 0..n {
            let g = mul_add(isa, s.l2, p[i], g[i] * s.clip);
            square[i] = mul_add(isa, s.rest * g, g, square[i] * s.alpha);
            let mut variance = square[i];
            if CENTRED {
                mean[i] = mul_add(isa, s.rest, g - mean[i], mean[i]);
                // Rounded as PyTorch rounds it: the product first, then the difference.
                variance -= mean[i] * mean[i];
            }
            let mut direction = g / (variance.sqrt() + s.eps);
            if MOMENTUM {
                direction = mul_add(isa, s.momentum, buffer[i], direction);
                buffer[i] = direction;
            }
            p[i] = mul_add(isa, -s.lr, direction, p[i]);
        }
    }
}

/// `average = decay · average + rest · p`.
///
/// # Panics
/// If the lengths differ.
#[track_caller]
pub fn average(average: &mut [f32], p: &[f32], decay: f32, rest: f32) {
    expect("average", "p", &[p.len()], &[average.len()]);
    average
        .par_chunks_mut(BLOCK)
        .zip(p.par_chunks(BLOCK))
        .for_each(|(average, p)| {
            run(Average {
                old: average,
                p,
                decay,
                rest,
            });
        });
}

struct Average<'a> {
    old: &'a mut [f32],
    p: &'a [f32],
    decay: f32,
    rest: f32,
}

impl Kernel for Average<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        for (old, &p) in self.old.iter_mut().zip(self.p) {
            *old = mul_add(isa, self.decay, *old, self.rest * p);
        }
    }
}
