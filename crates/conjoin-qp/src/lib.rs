//! Convex quadratic programs as a differentiable operation: small, dense, many at a time.
//!
//! [`Qp`] is a program, with hard rows and rows that are soft at an exact penalty; [`solve`] finds its
//! solution with multipliers and slacks, or an error that says which hard rows contradict each other;
//! [`Solution::backward`] turns the gradient of a loss towards the solution into gradients of
//! everything that the program consists of. Numbers are double precision throughout.
//!
//! ```
//! use conjoin_qp::{Qp, solve};
//!
//! // The point of the half-plane x + y <= 1 that is nearest to (2, 1).
//! let qp = Qp::new(vec![1.0, 0.0, 0.0, 1.0], vec![-2.0, -1.0])?.at_most(&[1.0, 1.0], &[1.0])?;
//! let solution = solve(&qp)?;
//! assert!((solution.z[0] - 1.0).abs() < 1e-12 && solution.z[1].abs() < 1e-12);
//! assert!((solution.duals[0] - 1.0).abs() < 1e-12);
//! // Moving the boundary by h moves both coordinates by h / 2.
//! let gradients = solution.backward(&qp, &[1.0, 0.0])?;
//! assert!((gradients.h[0] - 0.5).abs() < 1e-12);
//! # Ok::<(), conjoin_qp::QpError>(())
//! ```

// Rows and columns index several arrays side by side, as the formulas do.
#![allow(clippy::needless_range_loop)]

mod active_set;
mod error;
mod gradient;
mod interior;
mod linalg;
pub mod planner;
mod problem;
mod solution;
mod working_set;

pub use error::{QpError, Row};
pub use gradient::Gradients;
pub use problem::{Penalty, Qp};
pub use solution::{Method, Solution, solve, solve_batch, solve_from, solve_interior};
