//! What the machine can do: its matrix products, and the memory that this process took.

use burn::tensor::{Device, Distribution, Tensor};
use std::time::Instant;

/// Rows and columns of the product: large enough for every core, small enough for a second.
const SIZE: usize = 1536;

/// Operations a second of the fastest of a few large products of matrices.
pub(super) fn peak(device: &Device) -> f64 {
    let matrix = || Tensor::<2>::random([SIZE, SIZE], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (matrix(), matrix());
    let fastest = (0..8)
        .map(|_| {
            let begun = Instant::now();
            // Reading one number waits for a device that works on its own.
            let c = a.clone().matmul(b.clone());
            c.slice([0..1, 0..1]).into_data();
            begun.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * (SIZE as f64).powi(3) / fastest
}

/// The most memory that was resident so far, in bytes; `None` where the system does not tell.
pub(super) fn memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}
