//! One dense pass of the register tile over a framed image.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::finish::Finish;
use super::packed::{Packed, Panel, pieces};
use super::shared::Shared;
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

    /// Cuts the products into blocks whose weights stay in the first-level cache while all outputs pass;
    /// a single block if `cut` is false.
    fn blocks(&self, cut: bool) -> Vec<Block> {
        let ([down, across], len) = (self.count, self.len);
        let whole = |row: usize, rows: usize| Block {
            source: row * self.step[0],
            products: row * across * len,
            count: [rows, across],
            len,
        };
        if !cut || down * across * len <= MOST {
            return vec![whole(0, down)];
        }
        if across * len <= MOST {
            let rows = MOST / (across * len);
            return pieces(down, rows)
                .map(|(row, rows)| whole(row, rows))
                .collect();
        }
        let mut blocks = Vec::new();
        for tap in 0..down * across {
            for (first, len) in pieces(len, MOST) {
                blocks.push(Block {
                    source: tap / across * self.step[0] + tap % across * self.step[1] + first,
                    products: tap * self.len + first,
                    count: [1, 1],
                    len,
                });
            }
        }
        blocks
    }

    /// One past the last value that the taps of an output reach.
    fn reach(&self) -> usize {
        let last = |axis: usize| self.count[axis].saturating_sub(1) * self.step[axis];
        last(0) + last(1) + self.len
    }
}

/// Products of a block: a panel of 16 columns then takes 16 KiB.
const MOST: usize = 256;

/// Some of the products of a pass.
struct Block {
    /// First value in the source, and first product.
    source: usize,
    products: usize,
    /// Taps down and across, and products of each.
    count: [usize; 2],
    len: usize,
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
        self.check(out.len());
        let out = Shared(out.as_mut_ptr().cast());
        for panel in self.packed.panels(engine) {
            // SAFETY: the check above; nobody else writes to `out` meanwhile.
            unsafe { self.panel(engine, panel, self.rows, out) };
        }
    }

    /// [`Pass::run`] with the panels shared out over the threads, so that each reads its part of the
    /// weights once, and with what follows. For rows that are few next to the weights.
    pub fn spread(&self, engine: &Engine, out: &mut [MaybeUninit<f32>], finish: Finish<'_>) {
        /// Below so many products, waking a thread costs more than it saves.
        const ALONE: usize = 1 << 16;
        self.check(out.len());
        let (packed, rows) = (self.packed, self.rows);
        let threads = rayon::current_num_threads();
        let alone = rows.len() * packed.depth() * packed.filters() < ALONE;
        let wanted = if alone || threads == 1 {
            1
        } else {
            2 * threads
        };
        let panels: Vec<Panel<'_>> = packed.panels(engine).collect();
        let groups: Vec<&[Panel<'_>]> = panels
            .chunks(panels.len().div_ceil(wanted).max(1))
            .collect();
        let cuts = wanted / groups.len().max(1);
        let block = rows.len().div_ceil(cuts.max(1)).max(engine.rows);
        let out = Shared(out.as_mut_ptr().cast());
        let task = |(group, rows): (&[Panel<'_>], &[Row])| {
            for panel in group {
                // SAFETY: the check above; these rows of this panel are this task's alone.
                unsafe { self.panel(engine, *panel, rows, out) };
            }
            let (Some(first), Some(last)) = (group.first(), group.last()) else {
                return;
            };
            let width = packed.filters().min(last.first + last.width) - first.first;
            for row in rows.iter().filter(|_| !finish.is_nothing()) {
                let at = self.out_at + row.to + first.first;
                // SAFETY: as above, and these values have just been written.
                finish.apply(at, unsafe {
                    std::slice::from_raw_parts_mut(out.at(at), width)
                });
            }
        };
        let tasks: Vec<_> = groups
            .into_iter()
            .flat_map(|group| rows.chunks(block).map(move |rows| (group, rows)))
            .collect();
        if wanted == 1 {
            tasks.into_iter().for_each(task);
        } else {
            tasks.into_par_iter().with_max_len(1).for_each(task);
        }
    }

    /// # Panics
    /// If a row reads beyond the source or writes beyond `len` outputs.
    fn check(&self, len: usize) {
        if self.rows.is_empty() {
            return;
        }
        let packed = self.packed;
        let farthest = |f: fn(&Row) -> usize| self.rows.iter().map(f).max().unwrap_or(0);
        let last_source = self.source_at + farthest(|row| row.from) + self.taps.reach();
        let last_out = self.out_at + farthest(|row| row.to) + packed.filters();
        let products = self.taps.count[0] * self.taps.count[1] * self.taps.len;
        assert!(
            last_source <= self.source.len() && last_out <= len && products == packed.depth(),
            "a pass leaves its image"
        );
    }

    /// Computes some rows of one panel.
    ///
    /// # Safety
    /// [`Pass::check`] has passed for `out`, and nobody else writes these rows of this panel.
    unsafe fn panel(&self, engine: &Engine, panel: Panel<'_>, rows: &[Row], out: Shared) {
        let Panel { first, width, .. } = panel;
        if rows.is_empty() {
            return;
        }
        let columns = width.min(self.packed.filters() - first);
        // Sums that do not fill their registers cannot be taken up again; and where few rows pass, weights
        // are not read again.
        let cut = columns == width && rows.len() > 2 * engine.rows;
        for (block, taps) in self.taps.blocks(cut).iter().enumerate() {
            let start = match (block, panel.bias) {
                (0, Some(bias)) => Start::Line(bias.as_ptr()),
                (0, None) => Start::Zeros,
                _ => Start::Output,
            };
            let size = taps.count[0] * taps.count[1] * taps.len * width;
            for (row, count) in pieces(rows.len(), engine.rows) {
                // The next weights lie behind these: they come from memory with the last of the rows.
                let ahead = (row > 0 && row + count == rows.len()).then_some(size);
                // SAFETY: the caller's check bounds the farthest value read and written, and the
                // blocks of taps cut both operands alike; the panels and the bias fill whole
                // registers.
                unsafe {
                    let tile = Tile {
                        rows: &rows[row..row + count],
                        a: self.source.as_ptr().add(self.source_at + taps.source),
                        a_k: 1,
                        a_segs: self.taps.step,
                        b: panel.weights.as_ptr().add(taps.products * width),
                        b_k: width,
                        b_seg: taps.len * width,
                        ahead,
                        len: taps.len,
                        segs: taps.count,
                        start,
                        c: out.at(self.out_at + first),
                        columns,
                    };
                    engine.tile(width / engine.lanes, &tile);
                }
            }
        }
    }
}
