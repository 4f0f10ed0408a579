//! The kernel's own transforms: `G g Gᵀ` and its adjoint, several filters side by side.

use rayon::prelude::*;

use super::super::packed::panels;
use super::super::tile::Engine;
use super::grid::Shared;
use super::transform::POINTS;
use crate::simd::{Isa, Kernel, run};

/// Channels of a task: their weights share cache lines.
const CHANNELS: usize = 16;

/// Where a 3x3 kernel's weights lie: tap `t` of filter `o` and channel `c` at
/// `t · tap + o · filter + c · channel`, the taps backwards if `turned`.
#[derive(Clone, Copy)]
pub struct Taps<'a> {
    pub data: &'a [f32],
    pub tap: usize,
    pub filter: usize,
    pub channel: usize,
    pub turned: bool,
}

/// The kernel at 36 points, `U = G g Gᵀ`, in panels: `[point][panel][channel][panel width]`. Filters
/// fill whole registers.
pub fn transform_kernel(
    engine: &Engine,
    channels: usize,
    filters: usize,
    taps: Taps<'_>,
) -> Vec<f32> {
    let plane = channels * filters;
    let mut points: Vec<f32> = Vec::with_capacity(POINTS * plane);
    let target = Shared(points.as_mut_ptr());
    let blocks = (0..channels).step_by(CHANNELS);
    let tasks: Vec<_> = blocks
        .flat_map(|channel| panels(engine, filters).map(move |panel| (channel, panel)))
        .collect();
    tasks.into_par_iter().for_each(|(channel, (first, width))| {
        let count = CHANNELS.min(channels - channel);
        debug_assert!(first + width <= filters, "filters fill whole registers");
        // SAFETY: these channels of this panel belong to the task alone, at each of 36 planes.
        let target = Shared(unsafe { target.at(first * channels + channel * width) });
        let task = Points {
            taps,
            channels: channel..channel + count,
            filters: first..first + width,
            target,
            plane,
        };
        run(task);
    });
    // SAFETY: the tasks have written all channels of all panels at all points.
    unsafe { points.set_len(POINTS * plane) };
    points
}

/// Some channels of one panel.
struct Points<'a> {
    taps: Taps<'a>,
    channels: std::ops::Range<usize>,
    filters: std::ops::Range<usize>,
    target: Shared,
    plane: usize,
}

impl Kernel for Points<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        if self.filters.len().is_multiple_of(8) {
            self.lanes::<8>();
        } else {
            self.lanes::<4>();
        }
    }
}

impl Points<'_> {
    /// `N` filters at a time.
    #[inline(always)]
    fn lanes<const N: usize>(self) {
        let width = self.filters.len();
        for (row, channel) in self.channels.clone().enumerate() {
            for first in (0..width).step_by(N) {
                let filter = self.filters.start + first;
                let g: [[f32; N]; 9] = std::array::from_fn(|t| {
                    let t = if self.taps.turned { 8 - t } else { t };
                    let at = t * self.taps.tap + channel * self.taps.channel;
                    std::array::from_fn(|lane| {
                        self.taps.data[at + (filter + lane) * self.taps.filter]
                    })
                });
                let mut u = [[0.0f32; N]; POINTS];
                for lane in 0..N {
                    let rows: [[f32; 6]; 3] = std::array::from_fn(|ky| {
                        kernel_points([g[ky * 3][lane], g[ky * 3 + 1][lane], g[ky * 3 + 2][lane]])
                    });
                    for j in 0..6 {
                        let column = kernel_points(rows.map(|row| row[j]));
                        for (i, value) in column.into_iter().enumerate() {
                            u[i * 6 + j][lane] = value;
                        }
                    }
                }
                for (point, values) in u.iter().enumerate() {
                    // SAFETY: within this task's rows of the point's plane; see `transform_kernel`.
                    unsafe {
                        let to = self.target.at(point * self.plane + row * width + first);
                        to.copy_from_nonoverlapping(values.as_ptr(), N);
                    }
                }
            }
        }
    }
}

/// `G g` for three taps.
#[inline(always)]
fn kernel_points([a, b, c]: [f32; 3]) -> [f32; 6] {
    let (outer, near) = (a + c, a / 24.0 + c / 6.0);
    [
        a / 4.0,
        -(outer + b) / 6.0,
        -(outer - b) / 6.0,
        near + b / 12.0,
        near - b / 12.0,
        c,
    ]
}

/// `Gᵀ u` for six points: the adjoint of [`kernel_points`].
#[inline(always)]
fn kernel_taps(u: [f32; 6]) -> [f32; 3] {
    let (near, far) = (u[1] + u[2], u[3] + u[4]);
    [
        u[0] / 4.0 - near / 6.0 + far / 24.0,
        (u[2] - u[1]) / 6.0 + (u[3] - u[4]) / 12.0,
        u[5] - near / 6.0 + far / 6.0,
    ]
}

/// Filters of a task of [`kernel_gradient`].
const FILTERS: usize = 8;

/// `dw [O, 3, 3, C] = Gᵀ u G` from `points [36, C, O]`.
pub fn kernel_gradient(points: &[f32], channels: usize, filters: usize) -> Vec<f32> {
    let mut dw = vec![0.0f32; 9 * channels * filters];
    dw.par_chunks_mut(FILTERS * 9 * channels)
        .enumerate()
        .for_each(|(block, dw)| {
            run(Gradient {
                points,
                first: block * FILTERS,
                channels,
                filters,
                dw,
            });
        });
    dw
}

/// Some filters' share of [`kernel_gradient`], from filter `first` on.
struct Gradient<'a> {
    points: &'a [f32],
    first: usize,
    channels: usize,
    filters: usize,
    dw: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let (channels, filters) = (self.channels, self.filters);
        let count = self.dw.len() / (9 * channels);
        for channel in 0..channels {
            let mut u = [[0.0f32; FILTERS]; POINTS];
            for (point, u) in u.iter_mut().enumerate() {
                let at = (point * channels + channel) * filters + self.first;
                u[..count].copy_from_slice(&self.points[at..][..count]);
            }
            let mut taps = [[0.0f32; FILTERS]; 9];
            for lane in 0..FILTERS {
                let rows: [[f32; 3]; 6] = std::array::from_fn(|i| {
                    kernel_taps(std::array::from_fn(|j| u[i * 6 + j][lane]))
                });
                for kx in 0..3 {
                    let column = kernel_taps(std::array::from_fn(|i| rows[i][kx]));
                    for (ky, value) in column.into_iter().enumerate() {
                        taps[ky * 3 + kx][lane] = value;
                    }
                }
            }
            for (filter, dw) in self.dw.chunks_exact_mut(9 * channels).enumerate() {
                for (tap, values) in taps.iter().enumerate() {
                    dw[tap * channels + channel] = values[filter];
                }
            }
        }
    }
}
