//! Gradients through a solution, by implicit differentiation of the optimality conditions (Amos & Kolter
//! 2017, "OptNet", equations 6 to 8).
//!
//! With the gradient of a loss towards z, one solve with the (symmetric) matrix of the optimality
//! conditions gives dz, dnu and dlambda, and these give the gradients of all that the program consists
//! of: `dQ = (dz z' + z dz') / 2`, `dp = dz`, `dA = dnu z' + nu dz'`, `db = -dnu`,
//! `dG = dlambda z' + lambda dz'`, `dh = -dlambda`; a penalty's parts get `ds` and `s ds`.
//!
//! Where rows pin the solution, the exact gradient is zero along their normals and jumps where the set
//! of binding rows changes. [`Solution::relax`] gives the point on the central path instead, where each
//! product of a row's distance and multiplier is a barrier parameter, and the gradient of that
//! point: the program smoothed by a logarithmic barrier (Tracy & Manchester 2024, "On the
//! Differentiability of the Primal-Dual Interior-Point Method").

use crate::error::QpError;
use crate::interior::{Point, Scaled, augmented, minimise, minimise_from_afar, weight};
use crate::linalg::{Ldl, add_scaled};
use crate::problem::{Qp, finite, shape};
use crate::solution::{Method, Solution};
use crate::working_set::{Member, WorkingSet};

/// The gradient of a loss towards a program, in the program's shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Towards Q `[n, n]`, symmetric.
    pub q: Vec<f64>,
    /// Towards p `[n]`.
    pub p: Vec<f64>,
    /// Towards A `[e, n]`.
    pub a: Vec<f64>,
    /// Towards b `[e]`.
    pub b: Vec<f64>,
    /// Towards G `[m, n]`.
    pub g: Vec<f64>,
    /// Towards h `[m]`.
    pub h: Vec<f64>,
    /// Towards the penalties' linear parts `[m]`, 0 for hard rows.
    pub linear: Vec<f64>,
    /// Towards the penalties' quadratic parts `[m]`, 0 for hard rows.
    pub quadratic: Vec<f64>,
}

/// What a solution keeps for its gradient.
#[derive(Clone, Debug)]
pub(crate) enum Factor {
    /// The factors of the binding rows.
    Working(Box<WorkingSet>),
    /// The factors of the last barrier problem, and its scales.
    Barrier {
        factor: Box<Ldl>,
        /// The inequalities that stand as rows in it.
        apart: Vec<usize>,
        cost: f64,
        rows_a: Vec<f64>,
        rows_g: Vec<f64>,
        /// D, unscaled.
        weights: Vec<f64>,
        /// `quadratic + mu / s` where a row is soft, unscaled.
        curvatures: Vec<Option<f64>>,
    },
}

/// Changes of the variables, the multipliers and the slacks.
struct Adjoint {
    z: Vec<f64>,
    nu: Vec<f64>,
    lambda: Vec<f64>,
    s: Vec<f64>,
}

impl Factor {
    /// From the end of the interior point on a scaled program.
    pub fn barrier(given: &Qp, scaled: &Scaled, point: &Point, unscaled: &Point) -> Self {
        let rows = 0..given.inequalities();
        let weights: Vec<f64> = rows.clone().map(|i| weight(&scaled.qp, point, i)).collect();
        let apart: Vec<usize> = rows.clone().filter(|i| weights[*i] > 1.0).collect();
        Self::Barrier {
            factor: Box::new(augmented(&scaled.qp, &weights, &apart)),
            apart,
            cost: scaled.cost,
            rows_a: scaled.rows_a.clone(),
            rows_g: scaled.rows_g.clone(),
            weights: rows.clone().map(|i| weight(given, unscaled, i)).collect(),
            curvatures: rows
                .map(|i| {
                    let penalty = given.penalty(i)?;
                    Some(penalty.quadratic + unscaled.mu[i] / unscaled.s[i])
                })
                .collect(),
        }
    }

    fn adjoint(&self, qp: &Qp, gradient: &[f64]) -> Adjoint {
        let (n, e, m) = (qp.n, qp.equalities(), qp.inequalities());
        let mut found = Adjoint {
            z: Vec::new(),
            nu: vec![0.0; e],
            lambda: vec![0.0; m],
            s: vec![0.0; m],
        };
        match self {
            Self::Working(set) => {
                let mut right = gradient.to_vec();
                right.resize(set.v, 0.0);
                let (mut z, multipliers) = set.adjoint(&right);
                for (member, change) in set.members.iter().zip(multipliers) {
                    match *member {
                        Member::Equality(row) => found.nu[row] = change,
                        Member::Inequality(row) => found.lambda[row] = change,
                        Member::Slack(_) => {}
                    }
                }
                for (row, change) in set.freed.iter().zip(&z[n..]) {
                    found.s[*row] = *change;
                }
                z.truncate(n);
                found.z = z;
            }
            Self::Barrier {
                factor,
                apart,
                cost,
                rows_a,
                rows_g,
                weights,
                curvatures,
            } => {
                let mut right: Vec<f64> = gradient.iter().map(|g| -cost * g).collect();
                right.resize(n + e + apart.len(), 0.0);
                let mut z = factor.solve(&right);
                let mut nu = z.split_off(n);
                let lambda = nu.split_off(e);
                for ((to, nu), row) in found.nu.iter_mut().zip(nu).zip(rows_a) {
                    *to = nu * row / cost;
                }
                for row in 0..m {
                    found.lambda[row] = match apart.binary_search(&row) {
                        Ok(place) => lambda[place] * rows_g[row] / cost,
                        Err(_) => weights[row] * qp.row_times(row, &z),
                    };
                    if let Some(curvature) = curvatures[row] {
                        found.s[row] = found.lambda[row] / curvature;
                    }
                }
                found.z = z;
            }
        }
        found
    }
}

impl Solution {
    /// The gradients of a loss towards the program, from its gradient towards z `[n]`.
    ///
    /// The program must be the one that was solved. Where rows bind without force (multiplier 0), the
    /// solution has a kink there, and the gradient is that of one of its sides.
    ///
    /// # Errors
    /// [`QpError::Shape`] and [`QpError::NotFinite`] for the gradient given, and [`QpError::NotFinite`]
    /// where one that comes out exceeds double precision.
    pub fn backward(&self, qp: &Qp, gradient: &[f64]) -> Result<Gradients, QpError> {
        let n = qp.n;
        shape("gradient of z", gradient.len(), n, || n.to_string())?;
        shape("z", self.z.len(), n, || n.to_string())?;
        shape("multipliers", self.duals.len(), qp.inequalities(), || {
            qp.inequalities().to_string()
        })?;
        finite("gradient of z", gradient)?;
        let change = self.factor.adjoint(qp, gradient);
        let mut q = vec![0.0; n * n];
        for (i, row) in q.chunks_exact_mut(n.max(1)).enumerate() {
            add_scaled(row, 0.5 * change.z[i], &self.z);
            add_scaled(row, 0.5 * self.z[i], &change.z);
        }
        let outer = |changes: &[f64], duals: &[f64]| {
            let mut rows = vec![0.0; changes.len() * n];
            for ((row, change_of), dual) in rows.chunks_exact_mut(n.max(1)).zip(changes).zip(duals)
            {
                if *change_of != 0.0 {
                    add_scaled(row, *change_of, &self.z);
                }
                if *dual != 0.0 {
                    add_scaled(row, *dual, &change.z);
                }
            }
            rows
        };
        let negative = |x: &[f64]| x.iter().map(|x| -x).collect();
        let found = Gradients {
            q,
            a: outer(&change.nu, &self.equality_duals),
            b: negative(&change.nu),
            g: outer(&change.lambda, &self.duals),
            h: negative(&change.lambda),
            quadratic: (change.s.iter().zip(&self.slacks))
                .map(|(d, s)| d * s)
                .collect(),
            linear: change.s,
            p: change.z,
        };
        for (what, values) in [
            ("gradient of Q", &found.q),
            ("gradient of p", &found.p),
            ("gradient of A", &found.a),
            ("gradient of b", &found.b),
            ("gradient of G", &found.g),
            ("gradient of h", &found.h),
            ("gradient of the linear penalties", &found.linear),
            ("gradient of the quadratic penalties", &found.quadratic),
        ] {
            finite(what, values)?;
        }
        Ok(found)
    }

    /// The point on the central path of a barrier parameter, in units of the objective: what smooths the
    /// solution, and the gradient of which is not zero where rows pin it. The gap of its objective is
    /// at most the parameter times the number of rows and soft rows.
    ///
    /// # Errors
    /// [`QpError::Barrier`], [`QpError::NotConverged`].
    pub fn relax(&self, qp: &Qp, barrier: f64) -> Result<Self, QpError> {
        if !(barrier.is_finite() && barrier > 0.0) {
            return Err(QpError::Barrier { found: barrier });
        }
        shape("z", self.z.len(), qp.n, || qp.n.to_string())?;
        let scaled = Scaled::new(qp);
        let target = barrier * scaled.cost;
        let start = scaled.convert(self.inside(qp, barrier), true);
        let mut end = minimise(&scaled.qp, target, start, 60);
        if end.residual > 1e-9 {
            end = minimise_from_afar(&scaled.qp, target);
        }
        if end.residual.is_nan() || end.residual > 1e-7 {
            return Err(QpError::NotConverged {
                iterations: end.iterations,
                residual: end.residual,
            });
        }
        Self::from_point(qp, &scaled, &end, Method::CentralPath(barrier))
    }

    /// A point near the solution whose products are the barrier parameter already.
    fn inside(&self, qp: &Qp, barrier: f64) -> Point {
        let m = qp.inequalities();
        let mut point = Point {
            z: self.z.clone(),
            nu: self.equality_duals.clone(),
            lambda: vec![0.0; m],
            w: vec![0.0; m],
            s: vec![0.0; m],
            mu: vec![0.0; m],
        };
        // Of a pair that should multiply to the parameter, the larger one stays.
        let pair = |force: f64, room: f64| {
            let (force, room) = (force.max(0.0), room.max(0.0));
            if force > room {
                (force, barrier / force)
            } else if room > 0.0 {
                (barrier / room, room)
            } else {
                (barrier.sqrt(), barrier.sqrt())
            }
        };
        for row in 0..m {
            let room = qp.h[row] - qp.row_times(row, &self.z) + self.slacks[row];
            (point.lambda[row], point.w[row]) = pair(self.duals[row], room);
            if let Some(p) = qp.penalty(row) {
                let s = self.slacks[row];
                let mu = p.linear + p.quadratic * s - self.duals[row];
                (point.mu[row], point.s[row]) = pair(mu, s);
            }
        }
        point
    }
}
