//! The weights of a convolution, laid out for the register tile.

use rayon::prelude::*;

use super::tile::Engine;

/// Filters in panels of one tile's width: `[panel][tap][k][panel width]`.
#[derive(Debug)]
pub struct Packed {
    data: Vec<f32>,
    bias: Vec<f32>,
    /// Products of one filter.
    depth: usize,
    filters: usize,
}

/// Some filters that share a tile.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    /// First filter, and filters with padding: one or two registers.
    pub first: usize,
    pub width: usize,
    pub weights: &'a [f32],
    pub bias: Option<&'a [f32]>,
}

/// Where the weights to pack lie: tap `t`, product `k`, filter `o` at `taps[t] + k · k_step + o · step`.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    pub data: &'a [f32],
    pub taps: &'a [usize],
    pub len: usize,
    pub k_step: usize,
    pub filters: usize,
    pub step: usize,
}

impl Packed {
    /// Packs weights and a bias of one value a filter.
    pub fn new(engine: &Engine, weights: Weights<'_>, bias: Option<&[f32]>) -> Self {
        let (len, filters) = (weights.len, weights.filters);
        let depth = weights.taps.len() * len;
        let mut data = vec![0.0f32; depth * engine.pad(filters)];
        data.par_chunks_mut((depth * engine.columns()).max(1))
            .zip(panels(engine, filters).collect::<Vec<_>>())
            .for_each(|(data, (first, width))| {
                let used = width.min(filters - first);
                for (data, tap) in data.chunks_exact_mut(len * width).zip(weights.taps) {
                    let from = &weights.data[tap + first * weights.step..];
                    if weights.step == 1 {
                        for (k, line) in data.chunks_exact_mut(width).enumerate() {
                            line[..used].copy_from_slice(&from[k * weights.k_step..][..used]);
                        }
                    } else {
                        for o in 0..used {
                            for k in 0..len {
                                data[k * width + o] = from[o * weights.step + k * weights.k_step];
                            }
                        }
                    }
                }
            });
        let mut padded = bias.map(<[f32]>::to_vec).unwrap_or_default();
        if bias.is_some() {
            padded.resize(engine.pad(filters), 0.0);
        }
        Self {
            data,
            bias: padded,
            depth,
            filters,
        }
    }

    /// Products of one filter.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Filters, without padding.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// The panels, in the order of their filters.
    pub fn panels(&self, engine: &Engine) -> impl Iterator<Item = Panel<'_>> {
        panels(engine, self.filters).map(|(first, width)| Panel {
            first,
            width,
            weights: &self.data[first * self.depth..][..self.depth * width],
            bias: self.bias.get(first..first + width),
        })
    }
}

/// The panels that cover `filters`: first filter and width, which is one or two registers.
pub fn panels(engine: &Engine, filters: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (wide, lanes) = (engine.columns(), engine.lanes);
    (0..filters).step_by(wide).map(move |first| {
        let width = if filters - first <= lanes {
            lanes
        } else {
            wide
        };
        (first, width)
    })
}

/// `n` cut into pieces of at most `most`, as equal as possible: `(first, length)`.
pub fn pieces(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n.div_ceil(most).max(1);
    (0..count).map(move |i| (i * n / count, (i + 1) * n / count - i * n / count))
}
