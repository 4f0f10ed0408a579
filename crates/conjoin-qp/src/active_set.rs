//! The dual active-set method of Goldfarb & Idnani (1983), for a Hessian that is positive definite.
//!
//! It begins at the minimum without constraints and adds the row that is violated most, until none is.
//! On the way the multipliers stay feasible: a row whose multiplier would turn negative leaves. A
//! soft row adds nothing to the work until its multiplier reaches the penalty; there its slack is freed.

use crate::error::Row;
use crate::linalg::{add_scaled, dot, largest};
use crate::problem::Qp;
use crate::working_set::{Member, WorkingSet};

/// Where the method ended.
pub(crate) struct Minimum {
    pub set: WorkingSet,
    /// Program's variables and freed slacks.
    pub x: Vec<f64>,
    /// Of the members, in their order.
    pub multipliers: Vec<f64>,
    pub iterations: usize,
}

/// Why the method found no minimum.
#[derive(Debug)]
pub(crate) enum Failure {
    /// These hard rows exclude each other.
    Contradiction(Vec<Row>),
    /// Rounding or degeneracy: another method is needed.
    Lost,
}

/// Violations below this share of a row's size are none.
const FEASIBLE: f64 = 1e-9;
/// A normal whose part outside the working set's span is below this share of it lies in the span.
const DEPENDENT: f64 = 1e-9;
/// A row that lies in the span of others and is violated by more than this contradicts them.
const CONTRADICTS: f64 = 1e-7;

struct Method<'a> {
    qp: &'a Qp,
    set: WorkingSet,
    x: Vec<f64>,
    multipliers: Vec<f64>,
    /// What a violation of each inequality is measured in.
    sizes: Vec<f64>,
    /// Whether an inequality, or the sign of its freed slack, is in the working set.
    member: Vec<bool>,
    signed: Vec<bool>,
    /// Rows within rounding of the span of others: kept by these.
    kept: Vec<bool>,
    iterations: usize,
}

/// Runs the method, from the rows of an earlier working set where one is given.
pub(crate) fn minimise(qp: &Qp, l: &[f64], warm: &[usize]) -> Result<Minimum, Failure> {
    let set = WorkingSet::new(qp, l);
    let m = qp.inequalities();
    let sizes = (0..m)
        .map(|row| {
            let (first, end) = qp.span(row);
            let normal = &qp.row(row)[first..end];
            let norm = dot(normal, normal).sqrt();
            (norm + qp.h[row].abs()).max(f64::MIN_POSITIVE)
        })
        .collect();
    let mut method = Method {
        qp,
        x: set.free_minimum.clone(),
        set,
        multipliers: Vec::new(),
        sizes,
        member: vec![false; m],
        signed: vec![false; m],
        kept: vec![false; m],
        iterations: 0,
    };
    for row in 0..qp.equalities() {
        method.equality(row)?;
    }
    if !warm.is_empty() {
        method.begin_with(warm)?;
    }
    let most = 20 * (m + qp.n + 10);
    while let Some(candidate) = method.most_violated() {
        method.add(candidate, most)?;
    }
    let (x, multipliers) = method.set.minimum(qp);
    let minimum = Minimum {
        x,
        multipliers,
        iterations: method.iterations,
        set: method.set,
    };
    if is_optimal(&minimum, qp) {
        Ok(minimum)
    } else {
        Err(Failure::Lost)
    }
}

/// Checks the conditions that rounding could have broken, from scratch.
fn is_optimal(found: &Minimum, qp: &Qp) -> bool {
    let Minimum {
        set,
        x,
        multipliers,
        ..
    } = found;
    if !x.iter().chain(multipliers).all(|x| x.is_finite()) {
        return false;
    }
    let most = largest(multipliers);
    for (member, multiplier) in set.members.iter().zip(multipliers) {
        if !matches!(member, Member::Equality(_)) && *multiplier < -1e-8 * (1.0 + most) {
            return false;
        }
        // A soft row whose slack is not free stays below its penalty.
        if let Member::Inequality(row) = *member
            && set.slack[row].is_none()
            && (qp.penalty(row)).is_some_and(|p| *multiplier > p.linear + 1e-8 * (1.0 + most))
        {
            return false;
        }
    }
    let mut rest = vec![0.0; qp.n];
    qp.hessian_times(&x[..qp.n], &mut rest);
    let mut scale = largest(&rest) + largest(&qp.p);
    add_scaled(&mut rest, 1.0, &qp.p);
    for (member, multiplier) in set.members.iter().zip(multipliers) {
        let normal = match *member {
            Member::Equality(row) => qp.equality(row),
            Member::Inequality(row) => qp.row(row),
            Member::Slack(_) => continue,
        };
        scale = scale.max(multiplier.abs() * largest(normal));
        add_scaled(&mut rest, *multiplier, normal);
    }
    let reach = largest(&x[..qp.n]);
    let kept = |row: usize| {
        let slack = set.slack[row].map_or(0.0, |s| x[s]).max(0.0);
        let size = qp.h[row].abs() + largest(qp.row(row)) * (1.0 + reach);
        qp.row_times(row, x) - slack - qp.h[row] <= 1e-7 * size
    };
    let equal = |row: usize| {
        let size = qp.b[row].abs() + largest(qp.equality(row)) * (1.0 + reach);
        (dot(qp.equality(row), &x[..qp.n]) - qp.b[row]).abs() <= 1e-7 * size
    };
    largest(&rest) <= 1e-8 * scale
        && (0..qp.inequalities()).all(kept)
        && (0..qp.equalities()).all(equal)
}

impl Method<'_> {
    fn is_dependent(&self, projection: &[f64]) -> bool {
        let k = self.set.members.len();
        let tail = dot(&projection[k..], &projection[k..]);
        tail <= DEPENDENT * DEPENDENT * dot(projection, projection)
    }

    /// Keeps an equality from now on.
    fn equality(&mut self, row: usize) -> Result<(), Failure> {
        let member = Member::Equality(row);
        let projection = self.set.project(self.qp, member);
        let (product, right) = self.set.times(self.qp, member, &self.x);
        if self.is_dependent(&projection) {
            let normal = self.qp.equality(row);
            let size = dot(normal, normal).sqrt() * (1.0 + largest(&self.x)) + right.abs();
            return if (product - right).abs() <= CONTRADICTS * size {
                Ok(())
            } else {
                Err(self.contradiction(member, &projection))
            };
        }
        self.set.add(member, projection);
        (self.x, self.multipliers) = self.set.minimum(self.qp);
        Ok(())
    }

    /// Begins with rows that may be active: all of them that are independent, less those whose
    /// multiplier has the wrong sign. What remains is optimal for its own rows, as the method wants.
    fn begin_with(&mut self, rows: &[usize]) -> Result<(), Failure> {
        for row in rows
            .iter()
            .copied()
            .filter(|row| *row < self.qp.inequalities())
        {
            let member = Member::Inequality(row);
            if self.member[row] {
                continue;
            }
            let mut projection = self.set.project(self.qp, member);
            let is_full = self.set.members.len() == self.set.v;
            if is_full || self.is_dependent(&projection) {
                // With its slack free a soft row depends on no other.
                if self.set.slack[row].is_some() || !self.set.free(self.qp, row) {
                    continue;
                }
                projection = self.set.project(self.qp, member);
            }
            self.set.add(member, projection);
            self.member[row] = true;
        }
        loop {
            (self.x, self.multipliers) = self.set.minimum(self.qp);
            let beyond = (self.set.members.iter().zip(&self.multipliers)).find_map(
                |(member, multiplier)| match *member {
                    Member::Inequality(row) if self.set.slack[row].is_none() => self
                        .qp
                        .penalty(row)
                        .is_some_and(|p| *multiplier > p.linear)
                        .then_some(row),
                    _ => None,
                },
            );
            if let Some(row) = beyond {
                if !self.set.free(self.qp, row) {
                    return Err(Failure::Lost);
                }
                continue;
            }
            let worst = (self.set.members.iter().zip(&self.multipliers).enumerate())
                .filter(|(_, (member, _))| !matches!(member, Member::Equality(_)))
                .min_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b))
                .map(|(place, (_, multiplier))| (place, *multiplier));
            match worst {
                Some((place, multiplier)) if multiplier < 0.0 => self.leave(place),
                // A freed slack that came out negative is a violated row like any other.
                _ => return Ok(()),
            }
        }
    }

    fn leave(&mut self, place: usize) {
        match self.set.members[place] {
            Member::Inequality(row) => self.member[row] = false,
            Member::Slack(row) => self.signed[row] = false,
            Member::Equality(_) => {}
        }
        self.set.drop(place);
        self.multipliers.remove(place);
    }

    fn most_violated(&self) -> Option<Member> {
        let mut worst = None;
        let mut most = FEASIBLE;
        for row in 0..self.qp.inequalities() {
            if !self.member[row] && !self.kept[row] {
                let (product, right) = self.set.times(self.qp, Member::Inequality(row), &self.x);
                let violation = (product - right) / self.sizes[row];
                if violation > most {
                    (most, worst) = (violation, Some(Member::Inequality(row)));
                }
            }
        }
        for (place, row) in self.set.freed.iter().copied().enumerate() {
            let violation = -self.x[self.qp.n + place] / self.sizes[row];
            if !self.signed[row] && violation > most {
                (most, worst) = (violation, Some(Member::Slack(row)));
            }
        }
        worst
    }

    /// Takes steps until a violated row is kept.
    fn add(&mut self, candidate: Member, most: usize) -> Result<(), Failure> {
        let qp = self.qp;
        let mut own = 0.0;
        // The most that its multiplier may become before its slack is freed.
        let row = match candidate {
            Member::Inequality(row) | Member::Slack(row) => row,
            Member::Equality(_) => return Err(Failure::Lost),
        };
        loop {
            self.iterations += 1;
            if self.iterations > most {
                return Err(Failure::Lost);
            }
            let bound = |set: &WorkingSet, member: Member| match member {
                Member::Inequality(row) if set.slack[row].is_none() => {
                    qp.penalty(row).map(|p| p.linear)
                }
                _ => None,
            };
            let projection = self.set.project(qp, candidate);
            let (product, right) = self.set.times(qp, candidate, &self.x);
            let violation = product - right;
            let rates = self.set.multipliers(&projection);

            // The longest step for which all multipliers stay feasible, and what ends it.
            enum End {
                Full,
                Leaves(usize),
                Frees(usize),
            }
            let (mut length, mut end) = (f64::INFINITY, End::Full);
            let noise = 1e-12 * largest(&rates);
            for (place, rate) in rates.iter().enumerate() {
                if rate.abs() <= noise {
                    continue;
                }
                let member = self.set.members[place];
                if matches!(member, Member::Equality(_)) {
                    continue;
                }
                let (until, what) = if *rate > 0.0 {
                    (self.multipliers[place].max(0.0) / rate, End::Leaves(place))
                } else if let (Some(bound), Member::Inequality(row)) =
                    (bound(&self.set, member), member)
                    && *rate < 0.0
                {
                    let room = (bound - self.multipliers[place]).max(0.0);
                    (room / -rate, End::Frees(row))
                } else {
                    continue;
                };
                if until < length {
                    (length, end) = (until, what);
                }
            }
            if let Some(bound) = bound(&self.set, candidate)
                && bound - own < length
            {
                (length, end) = ((bound - own).max(0.0), End::Frees(row));
            }
            let dependent = self.is_dependent(&projection);
            if dependent && length == f64::INFINITY {
                if violation <= CONTRADICTS * self.sizes[row] * (1.0 + largest(&self.x[..qp.n])) {
                    self.kept[row] = true;
                    return Ok(());
                }
                return Err(self.contradiction(candidate, &projection));
            }
            if !dependent {
                let tail = &projection[self.set.members.len()..];
                let full = violation / dot(tail, tail);
                if full <= length {
                    (length, end) = (full, End::Full);
                }
                let step = self.set.step(&projection);
                add_scaled(&mut self.x, -length, &step);
            }
            add_scaled(&mut self.multipliers, -length, &rates);
            own += length;
            match end {
                End::Full => {
                    self.set.add(candidate, projection);
                    self.multipliers.push(own);
                    match candidate {
                        Member::Slack(row) => self.signed[row] = true,
                        _ => self.member[row] = true,
                    }
                    return Ok(());
                }
                End::Leaves(place) => self.leave(place),
                End::Frees(row) => {
                    // Without a quadratic part the freed slack has no curvature.
                    if !self.set.free(qp, row) {
                        return Err(Failure::Lost);
                    }
                    self.x.push(0.0);
                }
            }
        }
    }

    /// The rows of which one is a combination of the others that cannot be, if the numbers bear it out.
    fn contradiction(&self, candidate: Member, projection: &[f64]) -> Failure {
        let qp = self.qp;
        let rates = self.set.multipliers(projection);
        let most = largest(&rates).max(1.0);
        let mut rest = vec![0.0; qp.n];
        let (mut gap, mut size) = (0.0, 0.0);
        let mut rows = Vec::new();
        let involved = (self
            .set
            .members
            .iter()
            .copied()
            .zip(rates.iter().map(|x| -x)))
        .chain([(candidate, 1.0)])
        .filter(|(_, weight)| weight.abs() > 1e-9 * most);
        for (member, weight) in involved {
            let (normal, right, row) = match member {
                Member::Equality(row) => (qp.equality(row), qp.b[row], Row::Equality(row)),
                Member::Inequality(row) => (qp.row(row), qp.h[row], Row::Inequality(row)),
                Member::Slack(_) => return Failure::Lost,
            };
            add_scaled(&mut rest, weight, normal);
            gap += weight * right;
            size += weight.abs() * (largest(normal) + right.abs());
            rows.push(row);
        }
        let signed = matches!(candidate, Member::Equality(_));
        let proves =
            largest(&rest) <= 1e-8 * size && if signed { gap.abs() } else { -gap } > 1e-8 * size;
        if !proves {
            return Failure::Lost;
        }
        rows.sort_unstable();
        Failure::Contradiction(rows)
    }
}
