//! Mehrotra's primal-dual predictor-corrector method (1992; Nocedal & Wright 2006, algorithm 16.4), for
//! what the active-set method does not take: a Hessian that is singular or ill-conditioned, penalties
//! without a quadratic part, rows that depend on each other; and for points on the central path.
//!
//! Rows become `G z - s + w = h` with `w >= 0`, and `s >= 0` where they are soft. Each Newton step
//! eliminates w, s and the multipliers of the inequalities, which leaves
//! `[Q + G'DG, A'; A, 0]` with `1 / D = w / lambda + 1 / (quadratic + mu / s)`, without the last term
//! for hard rows. The work is done on a scaled program: rows of length one, objective of size one.

use crate::linalg::{Ldl, add_scaled, dot, largest};
use crate::problem::Qp;

/// A point with its multipliers, strictly inside all signs.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub z: Vec<f64>,
    /// Of the equalities.
    pub nu: Vec<f64>,
    /// Of the inequalities.
    pub lambda: Vec<f64>,
    /// How far the inequalities are from binding.
    pub w: Vec<f64>,
    /// Slacks, 0 where a row is hard.
    pub s: Vec<f64>,
    /// Multipliers of the slacks' signs, 0 where a row is hard.
    pub mu: Vec<f64>,
}

/// Where the method ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub point: Point,
    pub iterations: usize,
    /// The largest relative residual of the optimality conditions.
    pub residual: f64,
}

/// How the scaled program relates to the given one.
pub(crate) struct Scaled {
    pub qp: Qp,
    pub cost: f64,
    pub rows_a: Vec<f64>,
    pub rows_g: Vec<f64>,
}

impl Scaled {
    pub fn new(given: &Qp) -> Self {
        let n = given.n;
        let mut qp = given.clone();
        let size = largest(&qp.q).max(largest(&qp.p));
        let cost = if size > 0.0 { size.recip() } else { 1.0 };
        qp.q.iter_mut().chain(&mut qp.p).for_each(|x| *x *= cost);
        let rows = |matrix: &mut [f64], right: &mut [f64]| -> Vec<f64> {
            (matrix.chunks_exact_mut(n.max(1)).zip(right))
                .map(|(row, right)| {
                    let norm = dot(row, row).sqrt();
                    let scale = if norm > 0.0 { norm.recip() } else { 1.0 };
                    for x in row.iter_mut() {
                        *x *= scale;
                    }
                    *right *= scale;
                    scale
                })
                .collect()
        };
        let rows_a = rows(&mut qp.a, &mut qp.b);
        let rows_g = rows(&mut qp.g, &mut qp.h);
        for (penalty, scale) in qp.penalties.iter_mut().zip(&rows_g) {
            if let Some(penalty) = penalty {
                penalty.linear *= cost / scale;
                penalty.quadratic *= cost / (scale * scale);
            }
        }
        Self {
            qp,
            cost,
            rows_a,
            rows_g,
        }
    }

    /// Turns a point of the scaled program into one of the given program, or back.
    pub fn convert(&self, mut point: Point, back: bool) -> Point {
        let turn = |x: &mut f64, factor: f64| {
            if back { *x /= factor } else { *x *= factor }
        };
        for (nu, row) in point.nu.iter_mut().zip(&self.rows_a) {
            turn(nu, row / self.cost);
        }
        for (i, row) in self.rows_g.iter().enumerate() {
            turn(&mut point.lambda[i], row / self.cost);
            turn(&mut point.mu[i], row / self.cost);
            turn(&mut point.w[i], row.recip());
            turn(&mut point.s[i], row.recip());
        }
        point
    }
}

/// `D`: what a row adds to the Hessian in the direction of its normal.
pub(crate) fn weight(qp: &Qp, point: &Point, row: usize) -> f64 {
    let own = point.w[row] / point.lambda[row];
    let slack = qp.penalty(row).map_or(0.0, |p| {
        (p.quadratic + point.mu[row] / point.s[row]).recip()
    });
    (own + slack).recip()
}

/// Factors `[Q + G'DG, A'; A, 0]`.
fn condensed(qp: &Qp, weights: &[f64]) -> Ldl {
    augmented(qp, weights, &[])
}

/// As `[Q + G'DG, A'; A, 0]`, but some rows stand as rows, `[.., G_i'; G_i, -1 / D_i]`: a weight D
/// that is very large would drown Q in rounding.
pub(crate) fn augmented(qp: &Qp, weights: &[f64], apart: &[usize]) -> Ldl {
    let (n, e) = (qp.n, qp.equalities());
    let size = n + e + apart.len();
    let mut matrix = vec![0.0; size * size];
    for i in 0..n {
        matrix[i * size..=i * size + i].copy_from_slice(&qp.q[i * n..=i * n + i]);
    }
    for (row, weight) in weights.iter().enumerate() {
        if apart.binary_search(&row).is_ok() {
            continue;
        }
        let (first, end) = qp.span(row);
        let normal = qp.row(row);
        for i in first..end {
            let factor = weight * normal[i];
            if factor != 0.0 {
                add_scaled(
                    &mut matrix[i * size + first..=i * size + i],
                    factor,
                    &normal[first..=i],
                );
            }
        }
    }
    for row in 0..e {
        matrix[(n + row) * size..][..n].copy_from_slice(qp.equality(row));
    }
    for (place, row) in apart.iter().enumerate() {
        let at = n + e + place;
        matrix[at * size..][..n].copy_from_slice(qp.row(*row));
        matrix[at * size + at] = -weights[*row].recip();
    }
    Ldl::new(matrix, size, n, 1e-10)
}

struct Residuals {
    dual: Vec<f64>,
    equal: Vec<f64>,
    primal: Vec<f64>,
    slack: Vec<f64>,
    /// The largest of them and of the complementarity's distance from its target, relative.
    worst: f64,
}

fn residuals(qp: &Qp, point: &Point, target: f64) -> Residuals {
    let n = qp.n;
    let mut dual = vec![0.0; n];
    qp.hessian_times(&point.z, &mut dual);
    let mut size = 1.0 + largest(&dual);
    add_scaled(&mut dual, 1.0, &qp.p);
    for (row, nu) in point.nu.iter().enumerate() {
        size = size.max(nu.abs());
        add_scaled(&mut dual, *nu, qp.equality(row));
    }
    let (mut primal, mut slack) = (Vec::new(), Vec::new());
    let mut slack_worst = 0.0_f64;
    let mut gap = 0.0_f64;
    for row in 0..qp.inequalities() {
        let (lambda, w, s, mu) = (point.lambda[row], point.w[row], point.s[row], point.mu[row]);
        let (first, end) = qp.span(row);
        size = size.max(lambda);
        add_scaled(&mut dual[first..end], lambda, &qp.row(row)[first..end]);
        primal.push(qp.row_times(row, &point.z) - s + w - qp.h[row]);
        gap = gap.max((lambda * w - target).abs());
        slack.push(qp.penalty(row).map_or(0.0, |p| {
            gap = gap.max((mu * s - target).abs());
            let rest = p.linear + p.quadratic * s - lambda - mu;
            slack_worst = slack_worst.max(rest.abs() / (1.0 + p.linear + p.quadratic * s));
            rest
        }));
    }
    let equal: Vec<f64> = (0..qp.equalities())
        .map(|row| dot(qp.equality(row), &point.z) - qp.b[row])
        .collect();
    let reach = 1.0 + largest(&point.z).max(largest(&qp.h)).max(largest(&qp.b));
    let cost = qp.objective(&point.z, &point.s).abs();
    let worst = (largest(&dual) / size)
        .max(largest(&equal) / reach)
        .max(largest(&primal) / reach)
        .max(slack_worst)
        .max(gap / (1.0 + cost));
    // A maximum passes over NaN, a sum does not.
    let numbers = dual.iter().chain(&equal).chain(&primal).chain(&slack);
    let is_finite = (numbers.sum::<f64>() + dot(&point.lambda, &point.w)).is_finite();
    let worst = if is_finite { worst } else { f64::INFINITY };
    Residuals {
        dual,
        equal,
        primal,
        slack,
        worst,
    }
}

/// A point to begin at: the minimum with squared violations in place of rows, moved inside by at
/// least `spread`.
fn begin(qp: &Qp, spread: f64) -> Point {
    let (n, m) = (qp.n, qp.inequalities());
    let mut right: Vec<f64> = qp.p.iter().map(|p| -p).collect();
    for row in 0..m {
        add_scaled(&mut right, qp.h[row], qp.row(row));
    }
    right.extend_from_slice(&qp.b);
    let mut z = condensed(qp, &vec![1.0; m]).solve(&right);
    let nu = z.split_off(n);
    if !z.iter().all(|z| z.is_finite()) {
        z.fill(0.0);
    }
    let room: Vec<f64> = (0..m)
        .map(|row| qp.h[row] - qp.row_times(row, &z))
        .collect();
    let least = spread + 0.1 * room.iter().fold(0.0_f64, |most, x| most.max(-x));
    let mut point = Point {
        z,
        nu: vec![0.0; nu.len()],
        lambda: vec![spread; m],
        w: room.iter().map(|x| x.max(least)).collect(),
        s: vec![0.0; m],
        mu: vec![0.0; m],
    };
    for row in 0..m {
        if let Some(penalty) = qp.penalty(row) {
            let limit = penalty.linear + penalty.quadratic;
            point.lambda[row] = (0.5 * limit).min(spread);
            point.mu[row] = (0.5 * limit).max(0.01 * spread);
            point.s[row] = (-room[row]).max(spread);
        }
    }
    point
}

/// A Newton step towards complementarity products of the given sizes.
struct Step {
    z: Vec<f64>,
    nu: Vec<f64>,
    lambda: Vec<f64>,
    w: Vec<f64>,
    s: Vec<f64>,
    mu: Vec<f64>,
}

fn newton(
    qp: &Qp,
    at: &Point,
    rest: &Residuals,
    factor: &Ldl,
    weights: &[f64],
    products: impl Fn(usize) -> (f64, f64),
) -> Step {
    let (n, m) = (qp.n, qp.inequalities());
    let mut right: Vec<f64> = rest.dual.iter().map(|x| -x).collect();
    let mut shifts = Vec::with_capacity(m);
    for row in 0..m {
        let (c1, c2) = products(row);
        let mut shift = rest.primal[row] - c1 / at.lambda[row];
        if let Some(p) = qp.penalty(row) {
            let curvature = p.quadratic + at.mu[row] / at.s[row];
            shift += (rest.slack[row] + c2 / at.s[row]) / curvature;
        }
        let (first, end) = qp.span(row);
        add_scaled(
            &mut right[first..end],
            -weights[row] * shift,
            &qp.row(row)[first..end],
        );
        shifts.push(shift);
    }
    right.extend(rest.equal.iter().map(|x| -x));
    let mut z = factor.solve(&right);
    let nu = z.split_off(n);
    let (mut lambda, mut w) = (Vec::with_capacity(m), Vec::with_capacity(m));
    let (mut s, mut mu) = (vec![0.0; m], vec![0.0; m]);
    for row in 0..m {
        let (c1, c2) = products(row);
        let change = weights[row] * (qp.row_times(row, &z) + shifts[row]);
        lambda.push(change);
        w.push((-c1 - at.w[row] * change) / at.lambda[row]);
        if let Some(p) = qp.penalty(row) {
            let curvature = p.quadratic + at.mu[row] / at.s[row];
            s[row] = (change - rest.slack[row] - c2 / at.s[row]) / curvature;
            mu[row] = (-c2 - at.mu[row] * s[row]) / at.s[row];
        }
    }
    Step {
        z,
        nu,
        lambda,
        w,
        s,
        mu,
    }
}

/// The longest step that keeps all signs.
fn length(at: &Point, step: &Step) -> f64 {
    let pairs = [
        (&at.lambda, &step.lambda),
        (&at.w, &step.w),
        (&at.s, &step.s),
        (&at.mu, &step.mu),
    ];
    (pairs.into_iter())
        .flat_map(|(at, step)| at.iter().zip(step))
        .filter(|(_, step)| **step < 0.0)
        .fold(f64::INFINITY, |least, (at, step)| least.min(-at / step))
}

/// Runs from wider and wider starts until one run converges; what came closest is what it gives.
pub(crate) fn minimise_from_afar(qp: &Qp, target: f64) -> Outcome {
    let mut best = minimise(qp, target, begin(qp, 1.0), 120);
    for spread in [100.0, 0.01, 1e4] {
        if best.residual <= 1e-9 {
            break;
        }
        let next = minimise(qp, target, begin(qp, spread), 120);
        let iterations = best.iterations + next.iterations;
        let closer = next.residual < best.residual;
        best = Outcome {
            iterations,
            ..if closer { next } else { best }
        };
    }
    best
}

/// Solves a scaled program, or finds its point on the central path where all products of a row's
/// distance and its multiplier are `target`.
pub(crate) fn minimise(qp: &Qp, target: f64, start: Point, most: usize) -> Outcome {
    const ENOUGH: f64 = 1e-12;
    let m = qp.inequalities();
    let soft = (0..m).filter(|row| qp.penalty(*row).is_some()).count();
    let pairs = ((m + soft) as f64).max(1.0);
    let mut at = start;
    let mut best = (f64::INFINITY, at.clone(), 0);
    let mut iterations = 0;
    loop {
        let rest = residuals(qp, &at, target);
        if rest.worst < best.0 {
            best = (rest.worst, at.clone(), iterations);
        }
        if rest.worst <= ENOUGH
            || !rest.worst.is_finite()
            || iterations >= most
            || iterations > best.2 + 20
        {
            break;
        }
        iterations += 1;
        let weights: Vec<f64> = (0..m).map(|row| weight(qp, &at, row)).collect();
        let factor = condensed(qp, &weights);
        let predictor = newton(qp, &at, &rest, &factor, &weights, |row| {
            (
                at.lambda[row] * at.w[row] - target,
                at.mu[row] * at.s[row] - target,
            )
        });
        let reach = length(&at, &predictor).min(1.0);
        let now = (dot(&at.lambda, &at.w) + dot(&at.mu, &at.s)) / pairs;
        let after: f64 = (0..m)
            .map(|i| {
                (at.lambda[i] + reach * predictor.lambda[i]) * (at.w[i] + reach * predictor.w[i])
                    + (at.mu[i] + reach * predictor.mu[i]) * (at.s[i] + reach * predictor.s[i])
            })
            .sum();
        let ratio = (after / pairs - target) / (now - target);
        let centring = if now > target {
            ratio.clamp(0.0, 1.0).powi(3)
        } else {
            0.0
        };
        let aim = target + centring * (now - target);
        let step = newton(qp, &at, &rest, &factor, &weights, |row| {
            (
                at.lambda[row] * at.w[row] + predictor.lambda[row] * predictor.w[row] - aim,
                at.mu[row] * at.s[row] + predictor.mu[row] * predictor.s[row] - aim,
            )
        });
        let back = 0.995_f64.max(1.0 - now);
        let mut step = step;
        let mut reach = (back * length(&at, &step)).min(1.0);
        if reach < 0.1 {
            // The second-order correction led astray: only towards the path, then.
            let aim = target + 0.5 * (now - target).max(0.0);
            let plain = newton(qp, &at, &rest, &factor, &weights, |row| {
                (
                    at.lambda[row] * at.w[row] - aim,
                    at.mu[row] * at.s[row] - aim,
                )
            });
            let further = (back * length(&at, &plain)).min(1.0);
            if further > reach {
                (step, reach) = (plain, further);
            }
        }
        let moves = [
            (&mut at.z, &step.z),
            (&mut at.nu, &step.nu),
            (&mut at.lambda, &step.lambda),
            (&mut at.w, &step.w),
            (&mut at.s, &step.s),
            (&mut at.mu, &step.mu),
        ];
        for (to, change) in moves {
            add_scaled(to, reach, change);
        }
    }
    Outcome {
        point: best.1,
        iterations,
        residual: best.0,
    }
}
