//! The factors of the dual active-set method (Goldfarb & Idnani 1983, section 4) for the rows that
//! are kept as equations.
//!
//! With `Q = L L'` and the normals N `[v, k]` of the working set, J `[v, v]` and the upper triangle R
//! `[k, k]` satisfy `J J' = Q^-1` and `J' N = [R; 0]`. The variables are the n of the program and the
//! slacks that have been freed so far, v in all: a slack is a variable with Hessian `quadratic` and
//! gradient `linear`, which enters when its soft row reaches the multiplier `linear`.

use crate::linalg::{add_scaled, columns, dot, givens, invert_lower, rotate};
use crate::problem::Qp;

/// A row that can be in the working set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// A row of `A z = b`.
    Equality(usize),
    /// A row of `G z <= h`, less its slack where that is free.
    Inequality(usize),
    /// `s >= 0` for the freed slack of an inequality.
    Slack(usize),
}

/// The working set and its factors.
#[derive(Clone, Debug)]
pub(crate) struct WorkingSet {
    /// Variables: those of the program, then the freed slacks.
    pub v: usize,
    pub members: Vec<Member>,
    /// The freed slacks' rows, in the order of their variables.
    pub freed: Vec<usize>,
    /// For each inequality, the variable of its slack.
    pub slack: Vec<Option<usize>>,
    /// By columns of length v.
    j: Vec<f64>,
    /// By columns of length v.
    r: Vec<f64>,
    /// The minimum without constraints `[v]`.
    pub free_minimum: Vec<f64>,
}

impl WorkingSet {
    /// An empty working set, from the Cholesky factor of Q.
    pub fn new(qp: &Qp, l: &[f64]) -> Self {
        let n = qp.n;
        let inverse = invert_lower(l, n);
        let mut free_minimum = vec![0.0; n];
        // Column c of J = L^-T is row c of L^-1.
        for column in inverse.chunks_exact(n.max(1)) {
            add_scaled(&mut free_minimum, -dot(column, &qp.p), column);
        }
        Self {
            v: n,
            members: Vec::new(),
            freed: Vec::new(),
            slack: vec![None; qp.inequalities()],
            j: inverse,
            r: vec![0.0; n * n],
            free_minimum,
        }
    }

    fn column(&self, c: usize) -> &[f64] {
        &self.j[c * self.v..(c + 1) * self.v]
    }

    /// The product of a member's normal with a vector of variables, and its right side.
    pub fn times(&self, qp: &Qp, member: Member, x: &[f64]) -> (f64, f64) {
        match member {
            Member::Equality(row) => (dot(qp.equality(row), &x[..qp.n]), qp.b[row]),
            Member::Inequality(row) => {
                let slack = self.slack[row].map_or(0.0, |s| x[s]);
                (qp.row_times(row, x) - slack, qp.h[row])
            }
            Member::Slack(row) => (-self.slack[row].map_or(0.0, |s| x[s]), 0.0),
        }
    }

    /// `J'` times the normal of a member, `[v]`.
    pub fn project(&self, qp: &Qp, member: Member) -> Vec<f64> {
        (0..self.v)
            .map(|c| self.times(qp, member, self.column(c)).0)
            .collect()
    }

    /// `J'` times a vector.
    fn transposed_times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.v).map(|c| dot(self.column(c), x)).collect()
    }

    /// `J2` times the tail of a projection: the direction that leaves the working set's rows alone.
    pub fn step(&self, projection: &[f64]) -> Vec<f64> {
        let mut step = vec![0.0; self.v];
        for (c, factor) in projection.iter().enumerate().skip(self.members.len()) {
            if *factor != 0.0 {
                add_scaled(&mut step, *factor, self.column(c));
            }
        }
        step
    }

    /// Solves `R x = head of a projection`.
    pub fn multipliers(&self, projection: &[f64]) -> Vec<f64> {
        let k = self.members.len();
        let mut x = projection[..k].to_vec();
        for i in (0..k).rev() {
            let column = &self.r[i * self.v..=i * self.v + i];
            x[i] /= column[i];
            let (head, tail) = x.split_at_mut(i);
            add_scaled(head, -tail[0], column);
        }
        x
    }

    /// Takes a member in, whose projection is known and has a tail that is not zero.
    pub fn add(&mut self, member: Member, mut projection: Vec<f64>) {
        let (k, v) = (self.members.len(), self.v);
        for c in (k + 1..v).rev() {
            if projection[c] == 0.0 {
                continue;
            }
            let (cos, sin, length) = givens(projection[c - 1], projection[c]);
            projection[c - 1] = length;
            let (left, right) = columns(&mut self.j, v, c - 1, c);
            rotate(left, right, cos, sin);
        }
        self.r[k * v..=k * v + k].copy_from_slice(&projection[..=k]);
        self.members.push(member);
    }

    /// Lets the member at a place go.
    pub fn drop(&mut self, place: usize) {
        let v = self.v;
        self.members.remove(place);
        let k = self.members.len();
        for c in place..k {
            let (to, from) = columns(&mut self.r, v, c, c + 1);
            to[..=c + 1].copy_from_slice(&from[..=c + 1]);
        }
        for c in place..k {
            let (cos, sin, length) = givens(self.r[c * v + c], self.r[c * v + c + 1]);
            (self.r[c * v + c], self.r[c * v + c + 1]) = (length, 0.0);
            for other in c + 1..k {
                let column = &mut self.r[other * v..(other + 1) * v];
                (column[c], column[c + 1]) = (
                    cos * column[c] + sin * column[c + 1],
                    cos * column[c + 1] - sin * column[c],
                );
            }
            let (left, right) = columns(&mut self.j, v, c, c + 1);
            rotate(left, right, cos, sin);
        }
    }

    /// Makes the slack of a soft row a variable. Where the row is a member, its column of R gets an
    /// entry below the triangle, which rotations with the new column of J carry away.
    ///
    /// Does nothing and says so if the penalty has no quadratic part.
    pub fn free(&mut self, qp: &Qp, row: usize) -> bool {
        let Some(penalty) = qp.penalty(row).filter(|p| p.quadratic > 0.0) else {
            return false;
        };
        let (old, v) = (self.v, self.v + 1);
        let widen = |from: &[f64]| {
            let mut to = vec![0.0; v * v];
            for (to, from) in to.chunks_exact_mut(v).zip(from.chunks_exact(old.max(1))) {
                to[..old].copy_from_slice(from);
            }
            to
        };
        self.j = widen(&self.j);
        self.r = widen(&self.r);
        self.v = v;
        let length = penalty.quadratic.sqrt().recip();
        self.j[old * v + old] = length;
        self.free_minimum.push(-penalty.linear / penalty.quadratic);
        self.slack[row] = Some(old);
        self.freed.push(row);
        let place = (self.members.iter()).position(|member| *member == Member::Inequality(row));
        let Some(place) = place else {
            return true;
        };
        let k = self.members.len();
        let mut extra = vec![0.0; k];
        extra[place] = -length;
        for c in place..k {
            if extra[c] == 0.0 {
                continue;
            }
            let (cos, sin, length) = givens(self.r[c * v + c], extra[c]);
            self.r[c * v + c] = length;
            for other in c + 1..k {
                let entry = &mut self.r[other * v + c];
                (*entry, extra[other]) = (
                    cos * *entry + sin * extra[other],
                    cos * extra[other] - sin * *entry,
                );
            }
            let (left, right) = columns(&mut self.j, v, c, old);
            rotate(left, right, cos, sin);
        }
        true
    }

    /// The minimum with the members as equations, and their multipliers.
    pub fn minimum(&self, qp: &Qp) -> (Vec<f64>, Vec<f64>) {
        let k = self.members.len();
        let mut y = vec![0.0; k];
        for (i, member) in self.members.iter().enumerate() {
            let (product, right) = self.times(qp, *member, &self.free_minimum);
            let column = &self.r[i * self.v..=i * self.v + i];
            y[i] = (product - right - dot(&column[..i], &y[..i])) / column[i];
        }
        let mut x = self.free_minimum.clone();
        for (c, y) in y.iter().enumerate() {
            add_scaled(&mut x, -y, self.column(c));
        }
        let multipliers = self.multipliers(&y);
        (x, multipliers)
    }

    /// Solves the optimality conditions of the working set for a change of the gradient `[v]`: the
    /// changes of variables and multipliers.
    pub fn adjoint(&self, gradient: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let projection = self.transposed_times(gradient);
        let negative = |x: Vec<f64>| x.into_iter().map(|x| -x).collect();
        (
            negative(self.step(&projection)),
            negative(self.multipliers(&projection)),
        )
    }
}
