//! Random programs of several families, and Clarabel as the oracle for them.
#![allow(dead_code)] // each test file uses some of it

pub mod scenes;

use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettings, DefaultSolver, IPSolver, SolverStatus,
    SupportedConeT::{NonnegativeConeT, ZeroConeT},
};
use conjoin_qp::{Penalty, Qp, QpError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A program as plain numbers, so that the oracle and finite differences can have it too.
#[derive(Clone, Debug)]
pub struct Plain {
    pub n: usize,
    pub q: Vec<f64>,
    pub p: Vec<f64>,
    pub a: Vec<f64>,
    pub b: Vec<f64>,
    pub g: Vec<f64>,
    pub h: Vec<f64>,
    pub soft: Vec<Option<(f64, f64)>>,
}

impl Plain {
    pub fn build(&self) -> Result<Qp, QpError> {
        let mut qp = Qp::new(self.q.clone(), self.p.clone())?
            .equal(&self.a, &self.b)?
            .at_most(&self.g, &self.h)?;
        for (row, penalty) in self.soft.iter().enumerate() {
            if let Some((linear, quadratic)) = *penalty {
                qp = qp.soften(row, Penalty { linear, quadratic })?;
            }
        }
        Ok(qp)
    }
}

/// The families of programs.
pub const FAMILIES: [&str; 9] = [
    "strictly convex",
    "bounds",
    "degenerate",
    "semidefinite",
    "ill-conditioned",
    "soft",
    "soft, linear penalty alone",
    "infeasible",
    "infeasible equalities",
];

pub fn random(family: usize, seed: u64) -> Plain {
    let mut rng = ChaCha8Rng::seed_from_u64(seed * 16 + family as u64);
    let n = rng.random_range(2..=24_usize);
    let name = FAMILIES[family];
    let mut uniform = |low: f64, high: f64| rng.random_range(low..high);

    // Q = F F' + diagonal.
    let rank = if name == "semidefinite" { n / 2 } else { n };
    let factor: Vec<f64> = (0..n * rank).map(|_| uniform(-1.0, 1.0)).collect();
    let scales: Vec<f64> = (0..n)
        .map(|_| match name {
            "ill-conditioned" => 10.0_f64.powf(uniform(-3.0, 1.5)),
            _ => 1.0,
        })
        .collect();
    let mut q = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            let product: f64 = (0..rank)
                .map(|k| factor[i * rank + k] * factor[j * rank + k])
                .sum();
            q[i * n + j] = product * scales[i] * scales[j];
        }
        if name != "semidefinite" {
            q[i * n + i] += 0.05 * scales[i] * scales[i];
        }
    }
    let p: Vec<f64> = (0..n)
        .map(|i| 4.0 * uniform(-1.0, 1.0) * scales[i])
        .collect();
    let inside: Vec<f64> = (0..n).map(|_| uniform(-1.0, 1.0)).collect();
    let at = |row: &[f64]| -> f64 { row.iter().zip(&inside).map(|(g, z)| g * z).sum() };

    let e = if n > 4 {
        (uniform(0.0, 3.99)) as usize
    } else {
        0
    };
    let mut a: Vec<f64> = (0..e * n).map(|_| uniform(-1.0, 1.0)).collect();
    let mut b: Vec<f64> = a.chunks(n).map(at).collect();
    let m = (uniform(1.0, 3.0) * n as f64) as usize;
    let (mut g, mut h) = (Vec::new(), Vec::new());
    for i in 0..m {
        let mut row: Vec<f64> = (0..n).map(|_| uniform(-1.0, 1.0)).collect();
        if name == "ill-conditioned" {
            let scale = 10.0_f64.powf(uniform(-3.0, 3.0));
            for g in &mut row {
                *g *= scale;
            }
        }
        // Every second row of degenerate programs passes through the same point.
        let room = match name {
            "degenerate" if i % 2 == 0 => 0.0,
            _ => uniform(0.0, 0.5) * row.iter().map(|g| g.abs()).fold(0.0, f64::max),
        };
        h.push(at(&row) + room);
        g.extend(row);
    }
    if ["bounds", "semidefinite", "soft, linear penalty alone"].contains(&name) {
        for i in 0..2 * n {
            let sign = if i < n { 1.0 } else { -1.0 };
            g.extend((0..n).map(|j| if j == i % n { sign } else { 0.0 }));
            h.push(2.0);
        }
    }
    if name == "degenerate" {
        // Rows twice, once scaled, and an equality twice.
        for i in 0..m / 3 {
            let row: Vec<f64> = g[i * n..(i + 1) * n].iter().map(|x| 3.0 * x).collect();
            g.extend(row);
            h.push(3.0 * h[i]);
        }
        if e > 0 {
            a.extend_from_within(0..n);
            b.push(b[0]);
        }
    }
    let mut soft = vec![None; h.len()];
    if name.starts_with("soft") {
        for (i, soft) in soft.iter_mut().enumerate().take(m) {
            if i % 3 != 0 {
                h[i] -= uniform(0.0, 3.0);
                let quadratic = if name == "soft" {
                    uniform(0.1, 5.0)
                } else {
                    0.0
                };
                *soft = Some((uniform(0.05, 3.0), quadratic));
            }
        }
    }
    if name == "infeasible" {
        // One combination of rows with positive weights, turned round and moved to the wrong side.
        let count = 1 + (uniform(0.0, 3.0) as usize).min(m - 1);
        let mut row = vec![0.0; n];
        let mut right = 0.0;
        for i in 0..count {
            let weight = uniform(0.3, 1.0);
            row.iter_mut()
                .zip(&g[i * n..])
                .for_each(|(to, g)| *to -= weight * g);
            right -= weight * h[i];
        }
        g.extend(row);
        h.push(right - uniform(0.01, 1.0));
        soft.push(None);
    }
    if name == "infeasible equalities" {
        let row: Vec<f64> = (0..n).map(|_| uniform(-1.0, 1.0)).collect();
        b.push(at(&row));
        a.extend(&row);
        b.push(2.0 * at(&row) + uniform(0.1, 1.0));
        a.extend(row.iter().map(|x| 2.0 * x));
    }
    Plain {
        n,
        q,
        p,
        a,
        b,
        g,
        h,
        soft,
    }
}

fn csc(rows: usize, columns: usize, at: impl Fn(usize, usize) -> f64) -> CscMatrix {
    let (mut starts, mut places, mut values) = (vec![0], Vec::new(), Vec::new());
    for j in 0..columns {
        for i in 0..rows {
            let value = at(i, j);
            if value != 0.0 {
                places.push(i);
                values.push(value);
            }
        }
        starts.push(values.len());
    }
    CscMatrix::new(rows, columns, starts, places, values)
}

/// What Clarabel says.
#[derive(Debug)]
pub enum Oracle {
    Solution(Vec<f64>),
    Infeasible,
    /// Nothing: it made no progress.
    Silent,
}

pub fn oracle(plain: &Plain) -> Oracle {
    let Plain { n, .. } = *plain;
    let (e, m) = (plain.b.len(), plain.h.len());
    let soft: Vec<usize> = (0..m).filter(|i| plain.soft[*i].is_some()).collect();
    let v = n + soft.len();
    let penalty = |k: usize| plain.soft[soft[k]].unwrap();
    let hessian = csc(v, v, |i, j| match (i < n, j < n) {
        (true, true) if i <= j => plain.q[i * n + j],
        (false, false) if i == j => penalty(i - n).1,
        _ => 0.0,
    });
    let mut linear = plain.p.clone();
    linear.extend((0..soft.len()).map(|k| penalty(k).0));
    let rows = csc(e + m + soft.len(), v, |i, j| {
        if i < e {
            if j < n { plain.a[i * n + j] } else { 0.0 }
        } else if i < e + m {
            if j < n {
                plain.g[(i - e) * n + j]
            } else {
                -f64::from(u8::from(soft[j - n] == i - e))
            }
        } else {
            -f64::from(u8::from(j == n + i - e - m))
        }
    });
    let mut right = plain.b.clone();
    right.extend(&plain.h);
    right.resize(e + m + soft.len(), 0.0);
    let cones = [ZeroConeT(e), NonnegativeConeT(m + soft.len())];
    // As sharp as it can be; a program on which it makes no progress so is tried with less.
    for tolerance in [1e-12, 1e-10, 1e-8] {
        let settings = DefaultSettings {
            verbose: false,
            tol_gap_abs: tolerance,
            tol_gap_rel: tolerance,
            tol_feas: tolerance,
            max_iter: 500,
            ..DefaultSettings::default()
        };
        let mut solver =
            DefaultSolver::new(&hessian, &linear, &rows, &right, &cones, settings).unwrap();
        solver.solve();
        match solver.solution.status {
            SolverStatus::PrimalInfeasible => return Oracle::Infeasible,
            SolverStatus::Solved => return Oracle::Solution(solver.solution.x[..n].to_vec()),
            _ => {}
        }
    }
    Oracle::Silent
}

/// The largest difference relative to the largest number.
pub fn difference(a: &[f64], b: &[f64]) -> f64 {
    let size = b.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    let pairs = a.iter().zip(b);
    pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs())) / size
}

/// The largest violation of the optimality conditions, relative to the numbers that enter them.
pub fn optimality(plain: &Plain, found: &conjoin_qp::Solution) -> f64 {
    let n = plain.n;
    let product = |row: &[f64]| -> f64 { row.iter().zip(&found.z).map(|(x, z)| x * z).sum() };
    let mut worst = 0.0_f64;
    for j in 0..n {
        let mut terms = vec![product(&plain.q[j * n..(j + 1) * n]), plain.p[j]];
        terms.extend((0..plain.b.len()).map(|i| found.equality_duals[i] * plain.a[i * n + j]));
        terms.extend((0..plain.h.len()).map(|i| found.duals[i] * plain.g[i * n + j]));
        let size = terms.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
        worst = worst.max(terms.iter().sum::<f64>().abs() / size);
    }
    for (row, b) in plain.a.chunks(n).zip(&plain.b) {
        worst = worst.max((product(row) - b).abs() / (1.0 + b.abs()));
    }
    for (i, row) in plain.g.chunks(n).enumerate() {
        let size = 1.0 + plain.h[i].abs() + row.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let room = plain.h[i] + found.slacks[i] - product(row);
        let dual = found.duals[i];
        worst = worst.max(-room / size).max(-dual).max(-found.slacks[i]);
        worst = worst.max(dual * room / (size * (1.0 + dual)));
        match plain.soft[i] {
            None => worst = worst.max(found.slacks[i].abs()),
            Some((linear, quadratic)) => {
                let rest = linear + quadratic * found.slacks[i] - dual;
                worst = worst.max(-rest).max(found.slacks[i] * rest / (1.0 + rest));
            }
        }
    }
    worst
}
