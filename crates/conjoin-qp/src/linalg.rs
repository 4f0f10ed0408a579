//! Small dense linear algebra in double precision. Matrices are slices; symmetric ones and factors
//! `[n, n]` are row-major with the lower triangle filled.

/// The sum of products, in a fixed order.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[4]) + (sums[1] + sums[5]) + (sums[2] + sums[6]) + (sums[3] + sums[7]) + rest
}

/// `y += factor * x`.
pub fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// The largest magnitude, 0 for none.
pub fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| x.abs().max(most))
}

/// A rotation (c, s) that turns (a, b) into (r, 0), and r.
pub fn givens(a: f64, b: f64) -> (f64, f64, f64) {
    if b == 0.0 {
        return (1.0, 0.0, a);
    }
    let r = a.hypot(b).copysign(a);
    (a / r, b / r, r)
}

/// Rotates two vectors: `x, y = c x + s y, c y - s x`.
pub fn rotate(x: &mut [f64], y: &mut [f64], c: f64, s: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
    }
}

/// Two columns `i < j` of a matrix that is stored by columns of length `stride`.
pub fn columns(matrix: &mut [f64], stride: usize, i: usize, j: usize) -> (&mut [f64], &mut [f64]) {
    debug_assert!(i < j);
    let (head, tail) = matrix.split_at_mut(j * stride);
    (&mut head[i * stride..(i + 1) * stride], &mut tail[..stride])
}

/// The Cholesky factor of a symmetric matrix, or the pivot that is not above `least` and its place.
pub fn cholesky(matrix: &[f64], n: usize, least: f64) -> Result<Vec<f64>, (usize, f64, Vec<f64>)> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        let (above, row) = l.split_at_mut(i * n);
        let row = &mut row[..n];
        for j in 0..i {
            let other = &above[j * n..j * n + n];
            row[j] = (matrix[i * n + j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let pivot = matrix[i * n + i] - dot(&row[..i], &row[..i]);
        if pivot.is_nan() || pivot <= least {
            return Err((i, pivot, l));
        }
        row[i] = pivot.sqrt();
    }
    Ok(l)
}

/// The inverse of a lower triangle, whose rows are the columns of the transposed inverse.
pub fn invert_lower(l: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for i in 0..n {
        let (above, row) = inverse.split_at_mut(i * n);
        let row = &mut row[..=i];
        for k in 0..i {
            let factor = l[i * n + k];
            if factor != 0.0 {
                add_scaled(&mut row[..=k], -factor, &above[k * n..=k * n + k]);
            }
        }
        row[i] = 1.0;
        let pivot = l[i * n + i];
        for x in row.iter_mut() {
            *x /= pivot;
        }
    }
    inverse
}

/// `L D L'` of a quasidefinite matrix: positive pivots for the first `positive`, then negative ones.
/// It exists for every order without pivoting (Vanderbei 1995). What is factored is the matrix plus
/// `shift` on the positive and minus `shift` on the negative part of the diagonal, and [`Ldl::solve`]
/// refines against the matrix itself.
#[derive(Clone, Debug)]
pub struct Ldl {
    n: usize,
    matrix: Vec<f64>,
    /// Unit lower triangle, the pivots on its diagonal.
    factor: Vec<f64>,
}

impl Ldl {
    /// Factors a symmetric matrix of which the lower triangle is read.
    pub fn new(matrix: Vec<f64>, n: usize, positive: usize, shift: f64) -> Self {
        let mut factor = vec![0.0; n * n];
        // Row i holds L D until its pivot is known.
        let mut unit = vec![0.0; n];
        for i in 0..n {
            let (above, row) = factor.split_at_mut(i * n);
            let row = &mut row[..n];
            for j in 0..i {
                let other = &above[j * n..j * n + n];
                row[j] = matrix[i * n + j] - dot(&row[..j], &other[..j]);
            }
            for j in 0..i {
                unit[j] = row[j] / above[j * n + j];
            }
            let sign = if i < positive { 1.0 } else { -1.0 };
            let own = matrix[i * n + i];
            let pivot = own + sign * shift - dot(&row[..i], &unit[..i]);
            let least = 1e-15 * own.abs() + shift.max(f64::MIN_POSITIVE);
            row[..i].copy_from_slice(&unit[..i]);
            row[i] = sign * (pivot * sign).max(least);
        }
        Self { n, matrix, factor }
    }

    fn substitute(&self, x: &mut [f64]) {
        let n = self.n;
        for i in 0..n {
            x[i] -= dot(&self.factor[i * n..i * n + i], &x[..i]);
        }
        for i in 0..n {
            x[i] /= self.factor[i * n + i];
        }
        for i in (0..n).rev() {
            let (head, tail) = x.split_at_mut(i);
            add_scaled(head, -tail[0], &self.factor[i * n..i * n + i]);
        }
    }

    /// The solution of `matrix x = right`, refined.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = self.n;
        let mut x = right.to_vec();
        self.substitute(&mut x);
        let mut best = x.clone();
        let mut error = f64::INFINITY;
        for _ in 0..6 {
            let mut rest = right.to_vec();
            for i in 0..n {
                let row = &self.matrix[i * n..=i * n + i];
                rest[i] -= dot(row, &x[..=i]);
                add_scaled(&mut rest[..i], -x[i], &row[..i]);
            }
            let now = largest(&rest);
            if now.is_nan() || now >= error {
                return best;
            }
            best.copy_from_slice(&x);
            if now >= 0.5 * error || now <= 1e-16 * largest(right) {
                return best;
            }
            error = now;
            self.substitute(&mut rest);
            add_scaled(&mut x, 1.0, &rest);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_solve() {
        let matrix = [4.0, 0.0, 0.0, 1.0, 3.0, 0.0, 2.0, -1.0, 5.0];
        let l = cholesky(&matrix, 3, 0.0).unwrap();
        let inverse = invert_lower(&l, 3);
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = (0..3).map(|k| l[i * 3 + k] * inverse[k * 3 + j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-15);
            }
        }
        let quasidefinite = vec![2.0, 0.0, 0.0, 0.5, 1.0, 0.0, 1.0, 3.0, 0.0];
        let x = Ldl::new(quasidefinite, 3, 2, 1e-9).solve(&[1.0, -2.0, 0.25]);
        let full = [[2.0, 0.5, 1.0], [0.5, 1.0, 3.0], [1.0, 3.0, 0.0]];
        for (row, right) in full.iter().zip([1.0, -2.0, 0.25]) {
            assert!((dot(row, &x) - right).abs() < 1e-14);
        }
    }

    #[test]
    fn an_indefinite_matrix_has_no_cholesky_factor() {
        let (place, pivot, _) = cholesky(&[1.0, 0.0, 2.0, 1.0], 2, 0.0).unwrap_err();
        assert_eq!((place, pivot), (1, -3.0));
    }
}
