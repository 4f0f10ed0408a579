//! One dense pass of the register tile over a framed image.

use std::mem::MaybeUninit;

use super::packed::{Packed, pieces};
use super::tile::{Engine, Row, Start, Tile};

/// The taps of a pass, where they do not lie side by side in the image.
#[derive(Clone, Copy)]
pub struct Taps {
    /// Rows and columns of taps, and the f32 values between them.
    pub count: [usize; 2],
    pub step: [usize; 2],
    /// Products of one tap.
    pub len: usize,
}

impl Taps {
    /// Taps of `channels` products; `pixel` values lie between pixels, `line` between lines, and taps
    /// are `dilation` pixels apart. A row of adjacent pixels becomes one run.
    pub fn new(
        count: [usize; 2],
        dilation: [usize; 2],
        line: usize,
        pixel: usize,
        channels: usize,
    ) -> Self {
        let [down, across] = count;
        let step = [dilation[0] * line, dilation[1] * pixel];
        if dilation[1] == 1 && pixel == channels {
            Self {
                count: [down, 1],
                step,
                len: across * channels,
            }
        } else {
            Self {
                count,
                step,
                len: channels,
            }
        }
    }

    /// One past the last value that the taps of an output reach.
    fn reach(&self) -> usize {
        let last = |axis: usize| self.count[axis].saturating_sub(1) * self.step[axis];
        last(0) + last(1) + self.len
    }
}

/// Where the operands of a pass lie.
pub struct Pass<'a> {
    pub packed: &'a Packed,
    pub taps: Taps,
    /// Framed source, and its first value for an output whose row says 0.
    pub source: &'a [f32],
    pub source_at: usize,
    /// First output value for a row that says 0.
    pub out_at: usize,
    /// The outputs.
    pub rows: &'a [Row],
}

impl Pass<'_> {
    /// Computes the pass into `out`: every value of every row.
    pub fn run(&self, engine: &Engine, out: &mut [MaybeUninit<f32>]) {
        if self.rows.is_empty() {
            return;
        }
        let packed = self.packed;
        let farthest = |f: fn(&Row) -> usize| self.rows.iter().map(f).max().unwrap_or(0);
        let last_source = self.source_at + farthest(|row| row.from) + self.taps.reach();
        let last_out = self.out_at + farthest(|row| row.to) + packed.filters();
        let products = self.taps.count[0] * self.taps.count[1] * self.taps.len;
        assert!(
            last_source <= self.source.len() && last_out <= out.len() && products == packed.depth(),
            "a pass leaves its image"
        );
        for (first, width, weights, bias) in packed.panels(engine) {
            for (row, count) in pieces(self.rows.len(), engine.rows) {
                // SAFETY: the assertion above bounds the farthest value read and written; the panels
                // and the bias fill whole registers.
                unsafe {
                    let tile = Tile {
                        rows: &self.rows[row..row + count],
                        a: self.source.as_ptr().add(self.source_at),
                        a_k: 1,
                        a_segs: self.taps.step,
                        b: weights.as_ptr(),
                        b_k: width,
                        b_seg: self.taps.len * width,
                        len: self.taps.len,
                        segs: self.taps.count,
                        start: bias.map_or(Start::Zeros, |bias| Start::Line(bias.as_ptr())),
                        c: out.as_mut_ptr().cast::<f32>().add(self.out_at + first),
                        columns: width.min(packed.filters() - first),
                    };
                    engine.tile(width / engine.lanes, &tile);
                }
            }
        }
    }
}
