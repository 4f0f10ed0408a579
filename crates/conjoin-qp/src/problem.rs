//! The program: minimise `1/2 z'Q z + p'z + sum of penalties` subject to `A z = b` and `G z <= h`.
//!
//! Shapes, row-major: Q `[n, n]`, p `[n]`, A `[e, n]`, b `[e]`, G `[m, n]`, h `[m]`.
//!
//! A row of G is hard, or soft: `G_i z - s_i <= h_i, s_i >= 0` with the cost `linear s_i +
//! 1/2 quadratic s_i^2`. The linear part makes the penalty exact: where the row can be kept with a
//! multiplier below `linear`, it is kept and `s_i = 0` (Nocedal & Wright 2006, section 17.2).

use crate::error::QpError;
use crate::linalg::{cholesky, dot, largest};

/// What the violation of a soft row costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    /// Cost per unit of violation.
    pub linear: f64,
    /// Cost per half squared unit of violation. Positive for the fast method; with 0 the interior
    /// point solves the program.
    pub quadratic: f64,
}

/// A convex quadratic program, checked when it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Qp {
    pub(crate) n: usize,
    pub(crate) q: Vec<f64>,
    pub(crate) p: Vec<f64>,
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    pub(crate) g: Vec<f64>,
    pub(crate) h: Vec<f64>,
    pub(crate) penalties: Vec<Option<Penalty>>,
    /// First column that is not zero and the one behind the last, a row of G.
    spans: Vec<(usize, usize)>,
}

impl Qp {
    /// A program without constraints, from Q `[n, n]` and p `[n]`.
    ///
    /// # Errors
    /// [`QpError::Shape`], [`QpError::NotFinite`], [`QpError::NotSymmetric`].
    pub fn new(q: Vec<f64>, p: Vec<f64>) -> Result<Self, QpError> {
        let n = p.len();
        shape("Q", q.len(), n * n, || format!("{n} x {n}"))?;
        finite("Q", &q)?;
        finite("p", &p)?;
        let scale = largest(&q);
        for row in 0..n {
            for column in 0..row {
                let (found, mirrored) = (q[row * n + column], q[column * n + row]);
                if (found - mirrored).abs() > 1e-9 * scale {
                    return Err(QpError::NotSymmetric {
                        row,
                        column,
                        found,
                        mirrored,
                    });
                }
            }
        }
        Ok(Self {
            n,
            q,
            p,
            a: Vec::new(),
            b: Vec::new(),
            g: Vec::new(),
            h: Vec::new(),
            penalties: Vec::new(),
            spans: Vec::new(),
        })
    }

    /// Adds the rows `A z = b`, never slack.
    ///
    /// # Errors
    /// [`QpError::Shape`], [`QpError::NotFinite`].
    pub fn equal(mut self, a: &[f64], b: &[f64]) -> Result<Self, QpError> {
        let (rows, n) = (b.len(), self.n);
        shape("A", a.len(), rows * n, || format!("{rows} x {n}"))?;
        finite("A", a)?;
        finite("b", b)?;
        self.a.extend_from_slice(a);
        self.b.extend_from_slice(b);
        Ok(self)
    }

    /// Adds the hard rows `G z <= h`.
    ///
    /// # Errors
    /// [`QpError::Shape`], [`QpError::NotFinite`].
    pub fn at_most(mut self, g: &[f64], h: &[f64]) -> Result<Self, QpError> {
        let (rows, n) = (h.len(), self.n);
        shape("G", g.len(), rows * n, || format!("{rows} x {n}"))?;
        finite("G", g)?;
        finite("h", h)?;
        for row in 0..rows {
            let row = &g[row * n..(row + 1) * n];
            let first = row.iter().position(|x| *x != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|x| *x != 0.0).map_or(0, |x| x + 1);
            self.spans.push((first, end));
        }
        self.g.extend_from_slice(g);
        self.h.extend_from_slice(h);
        self.penalties.resize(self.h.len(), None);
        Ok(self)
    }

    /// Makes an inequality soft.
    ///
    /// # Errors
    /// [`QpError::NoSuchRow`], [`QpError::NotFinite`], [`QpError::Penalty`].
    pub fn soften(mut self, row: usize, penalty: Penalty) -> Result<Self, QpError> {
        let Penalty { linear, quadratic } = penalty;
        let rows = self.h.len();
        if row >= rows {
            return Err(QpError::NoSuchRow { row, rows });
        }
        finite("penalty", &[linear, quadratic])?;
        if linear < 0.0 || quadratic < 0.0 || linear + quadratic == 0.0 {
            return Err(QpError::Penalty {
                row,
                linear,
                quadratic,
            });
        }
        self.penalties[row] = Some(penalty);
        Ok(self)
    }

    /// The number of variables n.
    pub fn variables(&self) -> usize {
        self.n
    }

    /// The number of equalities e.
    pub fn equalities(&self) -> usize {
        self.b.len()
    }

    /// The number of inequalities m.
    pub fn inequalities(&self) -> usize {
        self.h.len()
    }

    /// The penalty of an inequality, if it is soft.
    pub fn penalty(&self, row: usize) -> Option<Penalty> {
        self.penalties.get(row).copied().flatten()
    }

    /// The cost of a point with slacks `[m]`.
    pub fn objective(&self, z: &[f64], slacks: &[f64]) -> f64 {
        let mut curved = vec![0.0; self.n];
        self.hessian_times(z, &mut curved);
        let slack: f64 = (self.penalties.iter().zip(slacks))
            .filter_map(|(penalty, s)| penalty.map(|p| s * (p.linear + 0.5 * p.quadratic * s)))
            .sum();
        0.5 * dot(&curved, z) + dot(&self.p, z) + slack
    }

    pub(crate) fn hessian_times(&self, z: &[f64], out: &mut [f64]) {
        for (out, row) in out.iter_mut().zip(self.q.chunks_exact(self.n.max(1))) {
            *out = dot(row, z);
        }
    }

    /// The columns that are not zero in a row of G.
    pub(crate) fn span(&self, row: usize) -> (usize, usize) {
        self.spans[row]
    }

    /// A row of G and the product with z, whose tail beyond n is ignored.
    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.g[row * self.n..(row + 1) * self.n]
    }

    pub(crate) fn row_times(&self, row: usize, z: &[f64]) -> f64 {
        let (first, end) = self.spans[row];
        dot(&self.row(row)[first..end], &z[first..end])
    }

    pub(crate) fn equality(&self, row: usize) -> &[f64] {
        &self.a[row * self.n..(row + 1) * self.n]
    }

    /// The Cholesky factor of Q where it is positive definite and not close to singular, `None` where
    /// it is semidefinite or ill-conditioned.
    ///
    /// # Errors
    /// [`QpError::NonConvex`].
    pub(crate) fn factor(&self) -> Result<Option<Vec<f64>>, QpError> {
        let n = self.n;
        let scale = largest(&self.q);
        match cholesky(&self.q, n, 1e-11 * scale) {
            Ok(l) => return Ok(Some(l)),
            // A pivot that is small but positive may still be followed by a negative one.
            Err(_) if scale == 0.0 => return Ok(None),
            Err(_) => {}
        }
        let shift = 1e-10 * scale;
        let mut shifted = self.q.clone();
        (0..n).for_each(|i| shifted[i * n + i] += shift);
        let Err((place, pivot, l)) = cholesky(&shifted, n, 0.0) else {
            return Ok(None);
        };
        // The direction [-Q11^-1 q1; 1] has the pivot as its curvature.
        let mut direction = vec![0.0; place + 1];
        direction[place] = 1.0;
        for i in (0..place).rev() {
            let below: f64 = (i + 1..=place).map(|k| l[k * n + i] * direction[k]).sum();
            direction[i] = -below / l[i * n + i];
        }
        let curvature = pivot / dot(&direction, &direction) - shift;
        Err(QpError::NonConvex { curvature })
    }
}

/// Refuses an argument of the wrong size.
pub(crate) fn shape(
    what: &'static str,
    found: usize,
    expected: usize,
    described: impl Fn() -> String,
) -> Result<(), QpError> {
    if found == expected {
        return Ok(());
    }
    let expected = described();
    Err(QpError::Shape {
        what,
        found,
        expected,
    })
}

/// Refuses an argument that is not finite.
pub(crate) fn finite(what: &'static str, values: &[f64]) -> Result<(), QpError> {
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => Err(QpError::NotFinite {
            what,
            index,
            value: values[index],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let error = Qp::new(vec![1.0; 3], vec![0.0; 2]).unwrap_err();
        assert_eq!(error.to_string(), "Q: found 3 numbers, expected 2 x 2");
        let error = Qp::new(vec![1.0, f64::NAN, 0.0, 1.0], vec![0.0; 2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Q: number 1 is NaN, expected a finite number"
        );
        let error = Qp::new(vec![1.0, 0.5, 0.0, 1.0], vec![0.0; 2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Q is not symmetric: found 0 at (1, 0), but 0.5 across"
        );
        let plain = Qp::new(vec![1.0, 0.0, 0.0, 1.0], vec![0.0; 2]).unwrap();
        let error = plain.clone().at_most(&[1.0; 3], &[0.0; 2]).unwrap_err();
        assert_eq!(error.to_string(), "G: found 3 numbers, expected 2 x 2");
        let soft = |linear, quadratic| {
            let rows = plain.clone().at_most(&[1.0, 0.0], &[1.0]).unwrap();
            rows.soften(0, Penalty { linear, quadratic })
        };
        assert!(soft(1.0, 0.0).is_ok());
        assert!(matches!(soft(-1.0, 1.0), Err(QpError::Penalty { .. })));
        assert!(matches!(soft(0.0, 0.0), Err(QpError::Penalty { .. })));
        let penalty = Penalty {
            linear: 1.0,
            quadratic: 1.0,
        };
        assert_eq!(
            plain.soften(0, penalty).unwrap_err().to_string(),
            "there is no inequality 0 to soften, only 0 of them"
        );
    }

    #[test]
    fn negative_curvature_is_found() {
        let saddle = Qp::new(vec![1.0, 2.0, 2.0, 1.0], vec![0.0; 2]).unwrap();
        match saddle.factor() {
            Err(QpError::NonConvex { curvature }) => assert!((-1.01..-0.5).contains(&curvature)),
            other => panic!("{other:?}"),
        }
        let flat = Qp::new(vec![1.0, 1.0, 1.0, 1.0], vec![0.0; 2]).unwrap();
        assert_eq!(flat.factor(), Ok(None));
        let zero = Qp::new(vec![0.0; 4], vec![0.0; 2]).unwrap();
        assert_eq!(zero.factor(), Ok(None));
        let hollow = Qp::new(vec![0.0, 1.0, 1.0, 0.0], vec![0.0; 2]).unwrap();
        assert!(matches!(hollow.factor(), Err(QpError::NonConvex { .. })));
    }
}
