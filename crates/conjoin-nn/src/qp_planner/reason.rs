//! Why a row has no plan.

use conjoin_qp::QpError;
use conjoin_qp::planner::PlanError;
use std::fmt;

/// Why nothing was planned and the vehicle brakes: the number that a row of
/// [`super::PlannerOutput::reason`] holds, 0 being a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An input holds NaN or an infinity.
    NotFinite = 1,
    /// The vehicle's limits exclude each other from where it is.
    Contradiction = 2,
    /// The solver did not reach its tolerance.
    NotSolved = 3,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::NotFinite, Self::Contradiction, Self::NotSolved];

    /// The reason that a number stands for; none for 0, a plan.
    pub fn from_number(number: f32) -> Option<Self> {
        let found = |reason: &Self| (number - f32::from(*reason as u8)).abs() < 0.5;
        Self::ALL.into_iter().find(found)
    }

    pub(super) fn of(error: &PlanError) -> Self {
        match error {
            PlanError::Contradiction { .. } => Self::Contradiction,
            PlanError::Program(QpError::NotFinite { .. }) => Self::NotFinite,
            PlanError::Program(_) => Self::NotSolved,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "an input of the planner is not finite",
            Self::Contradiction => "the planner's hard rows contradict each other",
            Self::NotSolved => "the planner's program was not solved",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back() {
        for reason in Reason::ALL {
            let number = f32::from(reason as u8);
            assert_eq!(Reason::from_number(number), Some(reason));
        }
        assert_eq!(Reason::from_number(0.0), None);
        assert_eq!(Reason::from_number(f32::NAN), None);
    }
}
