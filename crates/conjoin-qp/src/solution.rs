//! Solving: which method, what a solution holds, batches.

use crate::active_set::{self, Failure, Minimum};
use crate::error::QpError;
use crate::gradient::Factor;
use crate::interior::{self, Outcome, Scaled};
use crate::linalg::{dot, largest};
use crate::problem::Qp;
use crate::working_set::Member;
use rayon::prelude::*;

/// How a solution was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Dual active set: exact up to rounding.
    ActiveSet,
    /// Primal-dual interior point.
    InteriorPoint,
    /// Not the solution but the point on the central path with this barrier parameter.
    CentralPath(f64),
}

/// The solution of a program. Every number in it is finite.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The minimiser `[n]`.
    pub z: Vec<f64>,
    /// Multipliers of the equalities `[e]`.
    pub equality_duals: Vec<f64>,
    /// Multipliers of the inequalities `[m]`, at least 0: how much the objective falls per unit of h.
    pub duals: Vec<f64>,
    /// By how much soft rows are violated `[m]`, 0 for hard rows.
    pub slacks: Vec<f64>,
    /// The binding inequalities: what [`solve_from`] begins with.
    pub active: Vec<usize>,
    /// The objective, penalties included.
    pub objective: f64,
    /// How it was found.
    pub method: Method,
    /// Steps of that method.
    pub iterations: usize,
    pub(crate) factor: Factor,
}

/// Solves a program: by the dual active set, or by the interior point where that does not suit.
///
/// # Errors
/// [`QpError::NonConvex`], [`QpError::Contradiction`], [`QpError::Unbounded`],
/// [`QpError::NotConverged`].
pub fn solve(qp: &Qp) -> Result<Solution, QpError> {
    solve_from(qp, &[])
}

/// As [`solve`], beginning with inequalities that are likely to bind, such as [`Solution::active`] of a
/// similar program. The minimiser does not depend on them but for rounding.
///
/// # Errors
/// As [`solve`].
pub fn solve_from(qp: &Qp, active: &[usize]) -> Result<Solution, QpError> {
    if let Some(l) = qp.factor()? {
        let mut found = active_set::minimise(qp, &l, active);
        if matches!(found, Err(Failure::Lost)) && !active.is_empty() {
            found = active_set::minimise(qp, &l, &[]);
        }
        match found {
            Ok(minimum) => {
                let found = Solution::from_minimum(qp, minimum);
                if found.is_finite() {
                    return Ok(found);
                }
            }
            Err(Failure::Contradiction(rows)) => return Err(QpError::Contradiction { rows }),
            Err(Failure::Lost) => {}
        }
    }
    interior_point(qp)
}

/// As [`solve`], by the interior point whatever the program.
///
/// # Errors
/// As [`solve`].
pub fn solve_interior(qp: &Qp) -> Result<Solution, QpError> {
    qp.factor()?;
    interior_point(qp)
}

/// Solves programs side by side on all threads of rayon's pool, each from its own rows where
/// `active` has some. What is found does not depend on the number of threads.
///
/// # Errors
/// Each program has its own, as [`solve`].
pub fn solve_batch(programs: &[Qp], active: &[Vec<usize>]) -> Vec<Result<Solution, QpError>> {
    (programs.par_iter().enumerate())
        .map(|(i, qp)| solve_from(qp, active.get(i).map_or(&[], Vec::as_slice)))
        .collect()
}

fn interior_point(qp: &Qp) -> Result<Solution, QpError> {
    let scaled = Scaled::new(qp);
    // An interior point alone can run away along contradicting rows and look converged by size.
    if let Some(error) = contradiction(&scaled.qp) {
        return Err(error);
    }
    let end = interior::minimise_from_afar(&scaled.qp, 0.0);
    if end.residual <= 1e-8 {
        return Solution::from_point(qp, &scaled, &end, Method::InteriorPoint);
    }
    if is_unbounded(&scaled.qp, &end.point.z) {
        return Err(QpError::Unbounded);
    }
    if end.residual <= 1e-6 {
        return Solution::from_point(qp, &scaled, &end, Method::InteriorPoint);
    }
    Err(QpError::NotConverged {
        iterations: end.iterations,
        residual: end.residual,
    })
}

/// Looks for a point that satisfies the hard rows, the one nearest to the origin: a program with a
/// Hessian that suits the active set whatever the given one is.
fn contradiction(qp: &Qp) -> Option<QpError> {
    let n = qp.n;
    let mut identity = vec![0.0; n * n];
    (0..n).for_each(|i| identity[i * n + i] = 1.0);
    let hard: Vec<usize> = (0..qp.inequalities())
        .filter(|row| qp.penalty(*row).is_none())
        .collect();
    let g: Vec<f64> = hard.iter().flat_map(|row| qp.row(*row)).copied().collect();
    let h: Vec<f64> = hard.iter().map(|row| qp.h[*row]).collect();
    let nearest = (Qp::new(identity.clone(), vec![0.0; n]))
        .and_then(|nearest| nearest.equal(&qp.a, &qp.b))
        .and_then(|nearest| nearest.at_most(&g, &h))
        .ok()?;
    match active_set::minimise(&nearest, &identity, &[]) {
        Err(Failure::Contradiction(rows)) => {
            let rows = (rows.into_iter())
                .map(|row| match row {
                    crate::Row::Inequality(row) => crate::Row::Inequality(hard[row]),
                    equality @ crate::Row::Equality(_) => equality,
                })
                .collect();
            Some(QpError::Contradiction { rows })
        }
        _ => None,
    }
}

/// Whether iterates that ran away show a direction in which the objective falls for ever.
fn is_unbounded(qp: &Qp, z: &[f64]) -> bool {
    const ZERO: f64 = 1e-6;
    let norm = dot(z, z).sqrt();
    if norm.is_nan() || norm < 1e3 {
        return false;
    }
    let direction: Vec<f64> = z.iter().map(|z| z / norm).collect();
    let mut curved = vec![0.0; qp.n];
    qp.hessian_times(&direction, &mut curved);
    let mut slope = dot(&qp.p, &direction);
    for row in 0..qp.inequalities() {
        let rise = qp.row_times(row, &direction).max(0.0);
        match qp.penalty(row) {
            None if rise > ZERO => return false,
            Some(p) if p.quadratic * rise > ZERO => return false,
            Some(p) => slope += p.linear * rise,
            None => {}
        }
    }
    let equal = (0..qp.equalities()).all(|row| dot(qp.equality(row), &direction).abs() <= ZERO);
    equal && largest(&curved) <= ZERO && slope < -ZERO
}

impl Solution {
    fn from_minimum(qp: &Qp, minimum: Minimum) -> Self {
        let Minimum {
            set,
            mut x,
            multipliers,
            iterations,
        } = minimum;
        let mut duals = vec![0.0; qp.inequalities()];
        let mut equality_duals = vec![0.0; qp.equalities()];
        let mut slacks = vec![0.0; qp.inequalities()];
        let mut active = Vec::new();
        for (member, multiplier) in set.members.iter().zip(multipliers) {
            match *member {
                Member::Equality(row) => equality_duals[row] = multiplier,
                Member::Inequality(row) => {
                    duals[row] = multiplier.max(0.0);
                    active.push(row);
                }
                Member::Slack(_) => {}
            }
        }
        for (row, s) in set.freed.iter().zip(&x[qp.n..]) {
            let signed = set.members.contains(&Member::Slack(*row));
            slacks[*row] = if signed { 0.0 } else { s.max(0.0) };
        }
        x.truncate(qp.n);
        active.sort_unstable();
        Self {
            objective: qp.objective(&x, &slacks),
            z: x,
            equality_duals,
            duals,
            slacks,
            active,
            method: Method::ActiveSet,
            iterations,
            factor: Factor::Working(Box::new(set)),
        }
    }

    fn is_finite(&self) -> bool {
        let numbers = self.z.iter().chain(&self.duals).chain(&self.slacks);
        let numbers = numbers.chain(&self.equality_duals);
        numbers.chain([&self.objective]).all(|x| x.is_finite())
    }

    pub(crate) fn from_point(
        qp: &Qp,
        scaled: &Scaled,
        end: &Outcome,
        method: Method,
    ) -> Result<Self, QpError> {
        let point = scaled.convert(end.point.clone(), false);
        let found = Self {
            factor: Factor::barrier(qp, scaled, &end.point, &point),
            active: (0..qp.inequalities())
                .filter(|row| end.point.lambda[*row] > end.point.w[*row])
                .collect(),
            objective: qp.objective(&point.z, &point.s),
            z: point.z,
            equality_duals: point.nu,
            duals: point.lambda,
            slacks: point.s,
            method,
            iterations: end.iterations,
        };
        // Numbers at the end of double precision can be lost in turning the scales back.
        if found.is_finite() {
            Ok(found)
        } else {
            Err(QpError::NotConverged {
                iterations: end.iterations,
                residual: f64::INFINITY,
            })
        }
    }
}
