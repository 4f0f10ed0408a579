//! Sums and maxima over slices, vectorised: sixteen partial results that are joined at the end, in
//! the same order on every instruction set.

/// Partial results.
const LANES: usize = 16;

/// The sum of `f` over the elements.
#[inline(always)]
pub(crate) fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut partial = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, value) in partial.iter_mut().zip(chunk) {
            *sum += f(*value);
        }
    }
    for (sum, value) in partial.iter_mut().zip(rest) {
        *sum += f(*value);
    }
    partial.iter().sum()
}

/// The sum of the products of two slices' elements.
#[inline(always)]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut partial = [0.0; LANES];
    let (lefts, rights) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rests = (lefts.remainder(), rights.remainder());
    for (left, right) in lefts.zip(rights) {
        for l in 0..LANES {
            partial[l] += left[l] * right[l];
        }
    }
    for ((sum, left), right) in partial.iter_mut().zip(rests.0).zip(rests.1) {
        *sum += left * right;
    }
    partial.iter().sum()
}

/// The largest element; minus infinity for none. NaN does not count.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let mut partial = [f32::NEG_INFINITY; LANES];
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (most, value) in partial.iter_mut().zip(chunk) {
            *most = larger(*most, *value);
        }
    }
    for (most, value) in partial.iter_mut().zip(rest) {
        *most = larger(*most, *value);
    }
    partial.into_iter().fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_the_plain_loops_for_every_remainder() {
        for n in 0..50_u16 {
            let values: Vec<f32> = (0..n).map(|i| f32::from(i * 7 % 11) - 5.0).collect();
            assert_eq!(
                sum(&values, |x| 2.0 * x),
                values.iter().map(|x| 2.0 * x).sum::<f32>()
            );
            assert_eq!(
                dot(&values, &values),
                values.iter().map(|x| x * x).sum::<f32>()
            );
            assert_eq!(
                max(&values),
                values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            );
        }
    }
}
