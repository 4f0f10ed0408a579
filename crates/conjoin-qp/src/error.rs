//! What can be wrong with a quadratic program. No error leaves a solution behind, and no solution
//! holds a number that is not finite.

use std::fmt;
use thiserror::Error;

/// A constraint of a program, by its place among those of its sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// A row of `A z = b`.
    Equality(usize),
    /// A row of `G z <= h`.
    Inequality(usize),
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equality(row) => write!(f, "equality {row}"),
            Self::Inequality(row) => write!(f, "inequality {row}"),
        }
    }
}

/// Why there is no solution or no gradient.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum QpError {
    /// An argument has the wrong number of numbers.
    #[error("{what}: found {found} numbers, expected {expected}")]
    Shape {
        /// The argument.
        what: &'static str,
        /// How many numbers it has.
        found: usize,
        /// How many it should have.
        expected: String,
    },
    /// An argument names what is not there.
    #[error("{what}: found {found}, expected below {below}")]
    Beyond {
        /// The argument.
        what: &'static str,
        /// The number that it names.
        found: usize,
        /// How many there are.
        below: usize,
    },
    /// An argument holds NaN or an infinity.
    #[error("{what}: number {index} is {value}, expected a finite number")]
    NotFinite {
        /// The argument.
        what: &'static str,
        /// The place, in row-major order.
        index: usize,
        /// What stands there.
        value: f64,
    },
    /// The Hessian and its transpose differ.
    #[error("Q is not symmetric: found {found} at ({row}, {column}), but {mirrored} across")]
    NotSymmetric {
        /// Row of the worst entry.
        row: usize,
        /// Column of the worst entry.
        column: usize,
        /// The entry.
        found: f64,
        /// The entry at (column, row).
        mirrored: f64,
    },
    /// The Hessian has a direction of negative curvature.
    #[error("Q is not positive semidefinite: there is a direction d with d'Qd = {curvature:e} d'd")]
    NonConvex {
        /// The curvature in that direction, negative.
        curvature: f64,
    },
    /// A row is softened that does not exist.
    #[error("there is no inequality {row} to soften, only {rows} of them")]
    NoSuchRow {
        /// The row asked for.
        row: usize,
        /// How many there are.
        rows: usize,
    },
    /// A penalty that is negative, or zero in both parts.
    #[error(
        "inequality {row}: found a penalty of {linear} s + 1/2 {quadratic} s^2, \
         expected no negative part and not both zero"
    )]
    Penalty {
        /// The row.
        row: usize,
        /// The linear part.
        linear: f64,
        /// The quadratic part.
        quadratic: f64,
    },
    /// Hard rows that no point satisfies together; leaving out any one of them would resolve it.
    #[error("hard rows contradict each other: {}", list(.rows))]
    Contradiction {
        /// The rows, in order.
        rows: Vec<Row>,
    },
    /// The objective has no lower bound on the feasible set.
    #[error("the objective is unbounded below on the feasible set")]
    Unbounded,
    /// Neither method reached the tolerance.
    #[error("no solution after {iterations} iterations: the relative residual is {residual:e}")]
    NotConverged {
        /// Iterations of the interior point.
        iterations: usize,
        /// The largest relative residual of the optimality conditions.
        residual: f64,
    },
    /// The barrier parameter of a relaxed solution is not a positive number.
    #[error("found a barrier parameter of {found}, expected a positive number")]
    Barrier {
        /// What was given.
        found: f64,
    },
}

fn list(rows: &[Row]) -> String {
    let names: Vec<String> = rows.iter().map(Row::to_string).collect();
    names.join(", ")
}
