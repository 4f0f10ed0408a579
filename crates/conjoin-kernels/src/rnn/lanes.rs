//! Element by element over several slices at once, sixteen elements in registers.
//!
//! The elements go through local arrays: the compiler then knows that outputs and inputs do not
//! overlap, and the last few elements cost one block rather than a loop of their own.

/// Elements of a block.
const BLOCK: usize = 16;

/// For every index: `outputs = f(inputs, outputs)`. All slices must have `len` elements at least.
#[inline(always)]
pub(crate) fn update<const I: usize, const O: usize>(
    len: usize,
    inputs: [&[f32]; I],
    mut outputs: [&mut [f32]; O],
    f: impl Fn([f32; I], [f32; O]) -> [f32; O],
) {
    let whole = len / BLOCK * BLOCK;
    for first in (0..whole).step_by(BLOCK) {
        block(first, BLOCK, inputs, &mut outputs, &f);
    }
    if whole < len {
        block(whole, len - whole, inputs, &mut outputs, &f);
    }
}

/// `count` elements from `first` on; `count` is a constant in all but the last block.
#[inline(always)]
fn block<const I: usize, const O: usize>(
    first: usize,
    count: usize,
    inputs: [&[f32]; I],
    outputs: &mut [&mut [f32]; O],
    f: &impl Fn([f32; I], [f32; O]) -> [f32; O],
) {
    let mut read = [[0.0; BLOCK]; I];
    let mut written = [[0.0; BLOCK]; O];
    for (local, slice) in read.iter_mut().zip(inputs) {
        local[..count].copy_from_slice(&slice[first..][..count]);
    }
    for (local, slice) in written.iter_mut().zip(outputs.iter()) {
        local[..count].copy_from_slice(&slice[first..][..count]);
    }
    for lane in 0..BLOCK {
        let new = f(
            std::array::from_fn(|i| read[i][lane]),
            std::array::from_fn(|o| written[o][lane]),
        );
        for (local, new) in written.iter_mut().zip(new) {
            local[lane] = new;
        }
    }
    for (slice, local) in outputs.iter_mut().zip(&written) {
        slice[first..][..count].copy_from_slice(&local[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_covered_once() {
        for len in 0..70 {
            let a: Vec<f32> = (0..len + 3).map(|i| i as f32).collect();
            let (mut b, mut c) = (vec![1.0; len + 1], vec![2.0; len]);
            update(len, [&a], [&mut b, &mut c], |[a], [b, c]| [a + b, c * a]);
            for i in 0..len {
                assert_eq!((b[i], c[i]), (i as f32 + 1.0, 2.0 * i as f32));
            }
            assert_eq!(b[len], 1.0);
        }
    }
}
