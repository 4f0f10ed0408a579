//! Where in a sequence a vector stands.
//!
//! Shapes: vectors, queries and keys `[B, T, D]`, the latter with heads side by side. The first vector
//! stands at position `first`, which is 0 but where a decoder goes on.

use crate::init::{Fill, Init};
use crate::transformer::TransformerOptions;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use conjoin_kernels::rotary::rotary;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest wavelength of sinusoids and rotations, divided by 2 pi.
const BASE: f64 = 10_000.0;

/// How a stack of transformer layers knows positions.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PositionKind {
    /// Not at all: only what the inputs tell, and a causal mask.
    None,
    /// Sines and cosines of the position are added to the inputs (Vaswani et al. 2017).
    #[default]
    Sinusoidal,
    /// The same numbers in another order, all sines before all cosines: Marian's (Junczys-Dowmunt et
    /// al. 2018).
    SinusoidalHalves,
    /// A trained vector a position is added to the inputs (Gehring et al. 2017).
    Learned,
    /// Queries and keys are rotated by angles that grow with the position, so that scores depend on
    /// distances (Su et al. 2021).
    Rotary,
}

/// One of the [`PositionKind`]s with its parameters.
#[derive(Module, Debug)]
pub struct Positions {
    /// `[max_length, D]`, where positions are learned.
    weight: Option<Param<Tensor<2>>>,
    #[module(skip)]
    kind: PositionKind,
    #[module(skip)]
    sinusoids: Sinusoids,
    heads: usize,
}

impl Positions {
    /// Learned vectors begin small, with variance `1 / size`, as fairseq's do.
    pub fn new(init: &Init, options: &TransformerOptions) -> Self {
        let TransformerOptions {
            size, max_length, ..
        } = *options;
        let kind = options.positions;
        let std = (size as f32).sqrt().recip();
        let table = || init.param("weight", [max_length, size], Fill::Normal { std });
        Self {
            weight: (kind == PositionKind::Learned).then(table),
            kind,
            sinusoids: Sinusoids::default(),
            heads: options.heads,
        }
    }

    /// Positions that there are, where their number is limited.
    pub fn limit(&self) -> Option<usize> {
        self.weight.as_ref().map(|weight| weight.lazy_shape()[0])
    }

    /// Adds to `x [B, T, D]` what positions add to inputs.
    pub fn add(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        let [_, time, size] = x.dims();
        match (self.kind, &self.weight) {
            (PositionKind::Sinusoidal | PositionKind::SinusoidalHalves, _) => {
                let halves = self.kind == PositionKind::SinusoidalHalves;
                let rows = self.sinusoids.rows(first, time, size, halves);
                let rows = Tensor::<2>::from_data(rows, &x.device());
                x + rows.unsqueeze()
            }
            (PositionKind::Learned, Some(weight)) => {
                x + weight.val().narrow(0, first, time).unsqueeze()
            }
            _ => x,
        }
    }

    /// Rotates queries or keys `x [B, T, D]`, if positions are rotary.
    pub fn rotate(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        match self.kind {
            PositionKind::Rotary => rotary(x, self.heads, first, BASE),
            _ => x,
        }
    }
}

/// Positions computed so far, from the first on, each once: sines of all of them at every step would cost
/// as much as a layer where a batch is small.
#[derive(Debug, Clone, Default)]
struct Sinusoids(Arc<Mutex<Vec<f32>>>);

impl Sinusoids {
    /// `[T, D]` from position `first`: `sin(t / 10000^(2i / D))` at feature 2i, and the cosine at 2i + 1
    /// (Vaswani et al. 2017, section 3.5). In `halves` the even features of this come first, then the odd
    /// ones.
    fn rows(&self, first: usize, time: usize, size: usize, halves: bool) -> TensorData {
        let even = size.div_ceil(2);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = first + time;
        for t in table.len() / size.max(1)..end {
            table.extend((0..size).map(|i| {
                let i = match (halves, i < even) {
                    (false, _) => i,
                    (true, true) => 2 * i,
                    (true, false) => 2 * (i - even) + 1,
                };
                let angle = angle(t, i / 2, size);
                (if i % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
            }));
        }
        TensorData::new(table[first * size..end * size].to_vec(), [time, size])
    }
}

/// `t / 10000^(2 pair / size)`.
fn angle(t: usize, pair: usize, size: usize) -> f64 {
    t as f64 / BASE.powf(2.0 * pair as f64 / size as f64)
}
