//! The kernel's own transforms: `G g Gᵀ` and its adjoint.

use rayon::prelude::*;

use super::super::packed::panels;
use super::super::tile::Engine;
use super::grid::Shared;
use super::transform::POINTS;

/// The kernel at 36 points, `U = G g Gᵀ`, in panels: `[point][panel][channel][panel width]`.
pub fn transform_kernel(
    engine: &Engine,
    channels: usize,
    filters: usize,
    tap: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
) -> Vec<f32> {
    let plane = channels * filters;
    let mut points = vec![0.0f32; POINTS * plane];
    let cells: Vec<(usize, usize)> = panels(engine, filters).collect();
    let target = Shared(points.as_mut_ptr());
    (0..channels).into_par_iter().for_each(|channel| {
        for &(first, width) in &cells {
            for lane in 0..width.min(filters - first) {
                let g: [[f32; 3]; 3] = std::array::from_fn(|ky| {
                    std::array::from_fn(|kx| tap(first + lane, ky, kx, channel))
                });
                let rows: [[f32; 6]; 3] = std::array::from_fn(|ky| kernel_points(g[ky]));
                for j in 0..6 {
                    let column = kernel_points(rows.map(|row| row[j]));
                    for (i, value) in column.into_iter().enumerate() {
                        let at = (i * 6 + j) * plane + first * channels + channel * width + lane;
                        // SAFETY: `at` belongs to this channel alone and is below 36 planes.
                        unsafe { target.at(at).write(value) };
                    }
                }
            }
        }
    });
    points
}

/// `G g` for three taps.
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
pub fn kernel_taps(u: [f32; 6]) -> [f32; 3] {
    let (near, far) = (u[1] + u[2], u[3] + u[4]);
    [
        u[0] / 4.0 - near / 6.0 + far / 24.0,
        (u[2] - u[1]) / 6.0 + (u[3] - u[4]) / 12.0,
        u[5] - near / 6.0 + far / 6.0,
    ]
}
