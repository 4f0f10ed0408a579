//! Element by element over several slices at once, sixteen elements in registers.
//!
//! The elements go through local arrays: the compiler then knows that outputs and inputs do not
//! overlap. What remains goes in blocks of eight, four, two and one.

/// For every index: `outputs = f(inputs, outputs)`. All slices must have `len` elements at least.
#[inline(always)]
pub(crate) fn update<const I: usize, const O: usize>(
    len: usize,
    inputs: [&[f32]; I],
    mut outputs: [&mut [f32]; O],
    f: impl Fn([f32; I], [f32; O]) -> [f32; O],
) {
    let whole = len / 16 * 16;
    for first in (0..whole).step_by(16) {
        block::<16, I, O>(first, inputs, &mut outputs, &f);
    }
    let (rest, mut first) = (len - whole, whole);
    if rest & 8 != 0 {
        block::<8, I, O>(first, inputs, &mut outputs, &f);
        first += 8;
    }
    if rest & 4 != 0 {
        block::<4, I, O>(first, inputs, &mut outputs, &f);
        first += 4;
    }
    if rest & 2 != 0 {
        block::<2, I, O>(first, inputs, &mut outputs, &f);
        first += 2;
    }
    if rest & 1 != 0 {
        block::<1, I, O>(first, inputs, &mut outputs, &f);
    }
}

/// `N` elements from `first` on.
#[inline(always)]
fn block<const N: usize, const I: usize, const O: usize>(
    first: usize,
    inputs: [&[f32]; I],
    outputs: &mut [&mut [f32]; O],
    f: &impl Fn([f32; I], [f32; O]) -> [f32; O],
) {
    let mut read = [[0.0; N]; I];
    let mut written = [[0.0; N]; O];
    for (local, slice) in read.iter_mut().zip(inputs) {
        local.copy_from_slice(&slice[first..][..N]);
    }
    for (local, slice) in written.iter_mut().zip(outputs.iter()) {
        local.copy_from_slice(&slice[first..][..N]);
    }
    for lane in 0..N {
        let new = f(
            std::array::from_fn(|i| read[i][lane]),
            std::array::from_fn(|o| written[o][lane]),
        );
        for (local, new) in written.iter_mut().zip(new) {
            local[lane] = new;
        }
    }
    for (slice, local) in outputs.iter_mut().zip(&written) {
        slice[first..][..N].copy_from_slice(local);
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
